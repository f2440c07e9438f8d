"""`rapport ask`: a dialogue about a picture in the terminal."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from models.catalogue import VISUAL
from ui.commands.options import AsJson


def ask(
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="A picture: JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP or TIFF.")
    ],
    questions: Annotated[
        list[str] | None, typer.Argument(metavar="[QUESTION]...", help="Asked in turn; without any they are typed.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="A model, `transformers:FOLDER`, or `openai:MODEL` at RAPPORT_VISUAL_URL.")
    ] = VISUAL,
    caption: Annotated[str, typer.Option(help="What is known of the picture before the first question.")] = "",
    as_json: AsJson = False,
) -> int:
    """Ask about a picture, in rounds: earlier ones are remembered."""
    from dialog.pictures.engines import open_engine
    from dialog.reading.pictures import open_picture
    from ui.commands.terminal import progress
    from ui.commands.terminal_ask import converse

    with progress("Loading the model"):
        picture = open_picture(image.read_bytes())
        asked = open_engine(engine)
        look = asked.look(picture)
    return converse(asked, look, questions or (), sys.stdin, caption=caption, as_json=as_json)
