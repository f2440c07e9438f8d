"""Options that several commands share."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
ModelName = Annotated[str, typer.Option("--model", help="A shipped model (see `rapport models`) or a folder.")]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="DEVICE", help="Where it runs: auto, cpu, cuda or cuda:N. \\[default: auto, a card if any]"
    ),
]
To = Annotated[
    str | None,
    typer.Option(help="jsonl, csv, html, parquet or label-studio. \\[default: by OUT's ending, else jsonl]"),
]
"""The format to write. A bracket would be markup, were it not escaped."""


def refuse(names: list[str], what: str) -> None:
    """ValueError that says which options `what` does not take."""
    if names:
        raise ValueError(f"{what} takes no --{' and no --'.join(names)}")
