"""`rapport ask`: a dialogue about a picture in the terminal, or the same questions about several."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from models.catalogue import VISUAL
from ui.commands.options import AsJson


def ask(
    image: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGE...",
            help="Pictures (JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP or TIFF; - for stdin) or folders of them.",
        ),
    ],
    questions: Annotated[
        list[str] | None,
        typer.Argument(metavar="QUESTION", help="Asked in turn; of one picture they may be typed instead."),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="A model, `transformers:FOLDER`, or `openai:MODEL` at RAPPORT_VISUAL_URL.")
    ] = VISUAL,
    caption: Annotated[str, typer.Option(help="What is known of the picture before the first question.")] = "",
    as_json: AsJson = False,
) -> int:
    """Ask about a picture, in rounds: earlier ones are remembered. Several pictures are each asked the same: a table
    comes out, or JSON lines with --json."""
    from dialog.pictures.engines import open_engine
    from dialog.reading.pictures import open_picture
    from ui.commands.ask_each import apart, ask_each, pictures_of
    from ui.commands.terminal import progress
    from ui.commands.terminal_ask import converse

    further, asking = apart(questions or ())
    if further or image.is_dir():
        if not asking:
            raise ValueError("several pictures are asked the same questions: expected them as arguments behind")
        several = pictures_of([image, *further])
        with progress("Loading the model"):
            asked = open_engine(engine)
        return ask_each(asked, several, asking, caption=caption, as_json=as_json)
    data = _read(image, alone=not questions)
    with progress("Loading the model"):
        picture = open_picture(data)
        asked = open_engine(engine)
        look = asked.look(picture)
    return converse(asked, look, questions or (), sys.stdin, caption=caption, as_json=as_json)


def _read(image: Path, *, alone: bool) -> bytes:
    """The file's bytes; those of stdin for `-`, where questions do not stand `alone` to be typed there. ValueError for
    what is no file."""
    if str(image).lower().startswith(("http:/", "https:/")):
        raise ValueError(f"expected a file, got an address ({image.name}): save the picture first, nothing is fetched")
    if str(image) != "-":
        return image.read_bytes()
    if alone:
        raise ValueError("a picture from stdin leaves no place to type questions: expected them as arguments")
    return sys.stdin.buffer.read()
