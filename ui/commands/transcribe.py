"""`rapport transcribe`: recordings as conversations, and what `annotate` makes of a recording among its logs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from ui.commands.options import AsJson

if TYPE_CHECKING:
    from dialog.formats import Item

RECOGNISER = "pocketsphinx"

Speakers = Annotated[
    int | None, typer.Option("--speakers", min=1, help="How many people speak in a recording.  [default: found]")
]
RecogniserName = Annotated[
    str,
    typer.Option(
        "--recogniser",
        metavar="NAME",
        help="Who hears the words: pocketsphinx, whisper:FOLDER, or an http(s) address of a transcription service.",
    ),
]


def transcribe(
    inputs: Annotated[list[str], typer.Argument(metavar="RECORDING...", help="wav, flac, ogg, mp3; m4a with ffmpeg.")],
    out: Annotated[str, typer.Option("--output", "-o", metavar="OUT", help="Where to write; - is stdout.")],
    to: Annotated[str | None, typer.Option(help="Format to write.  [default: by OUT's ending, else jsonl]")] = None,
    speakers: Speakers = None,
    recogniser: RecogniserName = RECOGNISER,
    as_json: AsJson = False,
) -> int:
    """Make conversations of recordings: who spoke when, in which words."""
    import sys

    from dialog.annotation.output import write_whole
    from dialog.conversation import Conversation
    from dialog.formats import WRITERS, write
    from ui.commands.terminal import complain, note, pick, progress, write_json
    from ui.messages import number

    if as_json and out == "-":
        raise ValueError("--json and -o - would both write to stdout; choose one")
    ending = Path(out).suffix.lstrip(".").lower()
    name = to or (ending if ending in WRITERS else "jsonl")
    pick(name, WRITERS, "output format")
    if any(Path(given).resolve() == Path(out).resolve() for given in inputs):
        raise ValueError(f"{out} is an input and the output at once")
    with progress("Listening") as bar:
        items = heard(inputs, recogniser, speakers, bar.at)
    if out == "-":
        write(items, sys.stdout.buffer, name)
        sys.stdout.buffer.flush()
    else:
        write_whole(Path(out), lambda file: write(items, file, name))
    failed = [item for item in items if item.error is not None]
    for item in failed:
        complain(f"{item.id}: {item.error}")
    done = [item for item in items if isinstance(item, Conversation) and item.error is None]
    for conversation in done:
        for warning in conversation.warnings:
            note(f"rapport: {conversation.id}: {warning}")
    n_utterances = sum(len(conversation.utterances) for conversation in done)
    code = 0 if not failed else 2 if done else 1
    if as_json:
        told = [
            {"id": c.id, "seconds": c.extra["seconds"], "utterances": len(c.utterances), "speakers": list(c.speakers)}
            for c in done
        ]
        write_json({"recordings": told, "failed": len(failed), "recogniser": recogniser, "out": out, "exit_code": code})
    said = f"{number(n_utterances, 'message')} in {number(len(done), 'recording')}"
    note(f"rapport: {said}{f', {len(failed):,} failed' if failed else ''} -> {out}")
    return code


def heard(
    inputs: list[str], recogniser: str, speakers: int | None, progress: Callable[[float, str], None]
) -> "list[Item]":
    """The conversation of each recording; an Unreadable for one that cannot be read or heard."""
    from dialog.formats import Unreadable
    from dialog.speech.recognisers import recogniser_of
    from dialog.speech.sound import NotSound
    from dialog.speech.transcript import transcribe as conversation_of

    port = recogniser_of(recogniser)
    items: list[Item] = []
    for n, given in enumerate(inputs):
        shown = Path(given).name

        def told(share: float, n: int = n, shown: str = shown) -> None:
            progress((n + share) / len(inputs), shown)

        try:
            items.append(conversation_of(Path(given), port, n_speakers=speakers, progress=told))
        except (NotSound, OSError) as error:
            reason = f"{error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)
            items.append(Unreadable.at(0, reason, source=Path(given).stem))
    return items


def as_log(recording: str, recogniser: str, speakers: int | None, progress: Callable[[float, str], None]) -> BinaryIO:
    """A recording as the log that `annotate` reads. ValueError where it cannot be read or heard."""
    import io

    from dialog.formats import write

    [item] = heard([recording], recogniser, speakers, progress)
    if item.error is not None:
        raise ValueError(f"{recording}: {item.error}")
    file = io.BytesIO()
    write([item], file, "jsonl")
    file.seek(0)
    return file
