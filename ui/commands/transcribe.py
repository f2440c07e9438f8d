"""`rapport transcribe`: recordings as conversations, and what `annotate` makes of a recording among its logs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from dialog.speech.names import Channels
from ui.commands.options import AsJson, To

if TYPE_CHECKING:
    from dialog.conversation import Conversation
    from dialog.formats import Item
    from ui.commands.terminal import Bar

CHANNELS = "found"

Speakers = Annotated[
    int | None, typer.Option("--speakers", min=1, help="How many people speak in a recording. \\[default: found]")
]
ChannelsName = Annotated[
    str,
    typer.Option(
        "--channels",
        metavar="KIND",
        help="What two channels are: found (by listening), speakers (one each) or mixed (one recording twice).",
    ),
]
RecogniserName = Annotated[
    str | None,
    typer.Option(
        "--recogniser",
        metavar="NAME",
        help="Who hears the words: whisper, pocketsphinx, whisper:FOLDER, or an http(s) address of a transcription "
        "service. \\[default: whisper where it is installed, else pocketsphinx]",
    ),
]
Language = Annotated[
    str | None,
    typer.Option(metavar="CODE", help="What is spoken, such as de. \\[default: left to the recogniser]"),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Listening:
    """How recordings are to be listened to. ValueError for channels that are none of the three."""

    recogniser: str | None = None
    language: str | None = None
    speakers: int | None = None
    channels: str = CHANNELS

    def __post_init__(self) -> None:
        from ui.commands.terminal import pick

        pick(self.channels, dict.fromkeys(get_args(Channels)), "kind of channels")

    def asked(self) -> list[str]:
        """The options that somebody gave: all that differ from what they are by default."""
        return [field.name for field in fields(self) if getattr(self, field.name) != field.default]


def transcribe(
    inputs: Annotated[list[str], typer.Argument(metavar="RECORDING", help="wav, flac, ogg, mp3; m4a with ffmpeg.")],
    out: Annotated[str, typer.Option("--output", "-o", metavar="OUT", help="Where to write; - is stdout.")],
    to: To = None,
    speakers: Speakers = None,
    channels: ChannelsName = CHANNELS,
    recogniser: RecogniserName = None,
    language: Language = None,
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
    how = Listening(recogniser=recogniser, language=language, speakers=speakers, channels=channels)
    listener = Listener(how)
    items: list[Item] = []
    try:
        with progress("Listening") as bar:
            for n, given in enumerate(inputs):

                def told(share: float, n: int = n, shown: str = Path(given).name) -> None:
                    bar.at((n + share) / len(inputs), shown)

                items.append(listener.hear(given, told))
    except KeyboardInterrupt:
        complain("interrupted; nothing was written")
        return 130
    if out == "-":
        write(items, sys.stdout.buffer, name)
        sys.stdout.buffer.flush()
    else:
        write_whole(Path(out), lambda file: write(items, file, name))
    failures = [{"id": item.id, "error": item.error} for item in items if item.error is not None]
    for failure in failures:
        complain(f"{failure['id']}: {failure['error']}")
    done = [item for item in items if isinstance(item, Conversation) and item.error is None]
    for conversation in done:
        for warning in conversation.warnings:
            note(f"rapport: {conversation.id}: {warning}")
    n_utterances = sum(len(conversation.utterances) for conversation in done)
    code = 0 if not failures else 2 if done else 1
    if as_json:
        write_json(
            {
                "recordings": [_told(conversation) for conversation in done],
                "failed": len(failures),
                "failures": failures,
                "recogniser": listener.called,
                "out": out,
                "exit_code": code,
            }
        )
    said = f"{number(n_utterances, 'message')} in {number(len(done), 'recording')}"
    note(f"rapport: {said}{f', {len(failures):,} failed' if failures else ''} -> {out}")
    return code


def _told(conversation: "Conversation") -> dict[str, Any]:
    return {
        "id": conversation.id,
        "seconds": conversation.extra["seconds"],
        "utterances": len(conversation.utterances),
        "speakers": list(conversation.speakers),
        "warnings": list(conversation.warnings),
    }


class Listener:
    """Hears recordings as somebody asked, all by one recogniser. NoRecogniser where there is nobody to hear words."""

    def __init__(self, how: Listening) -> None:
        from dialog.speech.recognisers import default_recogniser, recogniser_of

        self._how = how
        self.called = how.recogniser or default_recogniser()
        self._port = recogniser_of(self.called, language=how.language)

    def hear(self, recording: str, progress: Callable[[float], None]) -> "Item":
        """The conversation of a recording; an Unreadable for one that cannot be read or heard."""
        from dialog.formats import Unreadable
        from dialog.speech.names import NotSound
        from dialog.speech.transcript import transcribe as conversation_of

        path, channels = Path(recording), cast(Channels, self._how.channels)
        try:
            return conversation_of(
                path, self._port, n_speakers=self._how.speakers, channels=channels, progress=progress
            )
        except (NotSound, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return Unreadable.at(0, reason, source=path.stem)

    def when_asked(self, recording: str, bar: "Bar") -> "Iterator[Item]":
        """The same once it is its turn among other logs."""
        bar.describe("Listening")
        yield self.hear(recording, lambda share: bar.at(share, Path(recording).name))
        bar.describe("Labelling")
