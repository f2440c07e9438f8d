"""`python -m ui.commands` is `rapport`."""

from ui.commands.main import main

main()
