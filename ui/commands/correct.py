"""`rapport correct`: what was meant by what was typed."""

import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from models.catalogue import CORRECTION
from ui.commands.options import AsJson, ModelName


def correct(
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="One message; without any, a line each from stdin.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", metavar="WORD", help="A word to leave alone; may be repeated.")
    ] = None,
    complete: Annotated[
        int | None, typer.Option("--complete", min=1, max=20, help="How it may go on instead: so many whole words.")
    ] = None,
    model: ModelName = CORRECTION,
    as_json: AsJson = False,
) -> int:
    """Mend slips of the keys; names, numbers, links, emoji and feeling ("sooo", CAPS) stay as they are."""
    from dialog.correction import TextCorrector
    from ui.commands.terminal import progress

    with progress("Loading the model"):
        corrector = TextCorrector.load(model)
    kept = {word.lower() for word in keep or ()}
    lines: Iterable[str] = [" ".join(text)] if text else (line.rstrip("\r\n") for line in sys.stdin)
    for line in lines:
        if complete is not None:
            found = corrector.complete(line, complete)
            if as_json:
                print(_line({"text": line, "completions": [c._asdict() for c in found]}), flush=True)
            else:
                print("\n".join(f"{c.word}\t{c.probability:.2f}" for c in found), flush=True)
            continue
        done = corrector.correct(line, kept)
        if as_json:
            edits = [e._asdict() for e in done.edits]
            print(_line({"text": done.text, "corrected": done.corrected, "edits": edits}), flush=True)
        else:
            print(done.corrected, flush=True)
    return 0


def _line(value: dict[str, Any]) -> str:
    """A JSON object on a line of its own, so that many messages are JSON Lines."""
    return json.dumps(value, ensure_ascii=False)
