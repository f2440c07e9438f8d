"""The command `rapport`. Data goes to stdout, everything about it to stderr.

Exit codes: 0 fine; 1 wrong usage or unreadable input; 2 some items failed, and are listed; 130 interrupted, and what
can be resumed says so. Heavy imports happen inside the commands, so that help is quick.
"""

import io
import os
import sys
from typing import Annotated, Any

import typer

from ui.commands.annotate import annotate
from ui.commands.ask import ask
from ui.commands.bench import bench
from ui.commands.chat import chat
from ui.commands.correct import correct
from ui.commands.database import database
from ui.commands.evaluate import evaluate
from ui.commands.keys import keys
from ui.commands.linearise import linearise
from ui.commands.maintain import maintain
from ui.commands.models import models
from ui.commands.serve import serve
from ui.commands.train import train
from ui.commands.transcribe import transcribe

COMMANDS = (serve, annotate, transcribe, chat, ask, correct, evaluate, train, linearise, models, bench, keys)
"""In the order in which help lists them."""

app = typer.Typer(
    name="rapport",
    help="Emotions in conversations: a web page, a REST service and a batch annotator.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The entry point: runs a command and exits with its code."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a stray byte, or an emoji on an old terminal, must not end the work
            stream.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs a command line and returns its exit code. Expected faults become one line on stderr."""
    from ui.commands.terminal import complain, nothing_more_to_write

    try:
        return int(app(arguments, standalone_mode=False, prog_name="rapport") or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        nothing_more_to_write()
        return 1
    except _usage_error() as error:
        error.show()
        return 1
    except (ValueError, OSError) as error:
        if os.environ.get("RAPPORT_TRACEBACK"):
            raise
        complain(_described(error))
        return 1


def _usage_error() -> Any:
    """The base of typer's errors, which typer does not name itself."""
    return next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _described(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"rapport {version('rapport')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for command in COMMANDS:
    app.command()(command)
app.add_typer(maintain)
app.add_typer(database)
