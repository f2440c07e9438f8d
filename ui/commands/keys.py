"""`rapport keys`: who may ask a service."""

from pathlib import Path
from typing import Annotated

import typer


def keys(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What the key is called; its chats and logs are its own.")
    ],
    file: Annotated[Path, typer.Option("--file", help="The file to write it into; made if it is not there.")],
    read_only: Annotated[
        bool, typer.Option("--read-only", help="It may label and read, and make or delete nothing.")
    ] = False,
    per_minute: Annotated[int | None, typer.Option(min=1, help="So many requests a minute, and no more.")] = None,
) -> int:
    """Make a key for a service; it is printed once and kept nowhere, the file gets its hash."""
    import yaml

    from serve.edge.keys import PAGE, new_key, read_keys
    from ui.commands.terminal import note

    known = read_keys(file) if file.exists() else ()
    if name == PAGE or name in {key.name for key in known}:
        raise ValueError(f"there is a key {name} already; take its entry out of {file} first")
    token, key = new_key(name, scopes=("read",) if read_only else ("read", "write"), per_minute=per_minute)
    entry = {**key.model_dump(mode="json", exclude_none=True), "scopes": list(key.scopes)}
    file.touch(mode=0o600)
    with file.open("a", encoding="utf-8") as out:
        out.write(yaml.safe_dump([entry], sort_keys=False))
    note(
        f"rapport: written to {file}; start the service with access.keys, and keep this key, which is not shown again:"
    )
    print(token)
    return 0
