"""Options that several commands share."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
ModelName = Annotated[str, typer.Option("--model", help="A shipped model (see `rapport models`) or a folder.")]
Device = Annotated[
    str | None,
    typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where it runs.  [default: auto, a card if any]"),
]


def refuse(names: list[str], what: str) -> None:
    """ValueError that says which options `what` does not take."""
    if names:
        raise ValueError(f"{what} takes no --{' and no --'.join(names)}")
