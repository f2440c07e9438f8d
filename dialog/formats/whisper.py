"""Whisper's JSON (`segments`), that of whisper.cpp (`transcription`), and of tools that add who speaks (`speaker`).

Segments are utterances; those of one and the same known speaker in a row stay apart, as they were cut.
"""

from collections.abc import Iterator
from typing import Any

from dialog.conversation import Caveat, Conversation, Utterance
from dialog.formats.chat_json import Gathering, objects, string
from dialog.formats.json_document import opened
from dialog.formats.source import Source, Unreadable

_NOBODY = Caveat("no-people", "the transcript names no speakers; everything was taken to be of one and the same")


def read_whisper(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a transcript, with its times from the beginning of the recording."""
    document = yield from opened(source)
    if document is None:
        return
    segments = document.messages("segments", "transcription")
    if segments is None:
        yield Unreadable.at(0, "segments: expected an array, as Whisper writes it")
        return
    gathering = Gathering(f"{source.name}-1")
    gathering.take(segments.items, _segment, segments.place, segments.line_of)
    named = any(isinstance(s.get("speaker"), str | int) for s in objects(segments.items))
    yield from gathering.items((*document.warnings, *(() if named else (_NOBODY,))))


def _segment(segment: Any) -> Utterance | str:
    text = string(segment, "text", optional=True).strip()
    speaker = segment.get("speaker")
    stamps = segment.get("timestamps")
    start, end = (stamps.get("from"), stamps.get("to")) if isinstance(stamps, dict) else (None, None)
    start, end = segment.get("start", start), segment.get("end", end)
    extra = {} if (shown := _clock(end)) is None else {"end": shown}
    return Utterance(
        speaker=str(speaker) if isinstance(speaker, str | int) and str(speaker).strip() else "unknown",
        text=text,
        time=_clock(start),
        extra=extra,
    )


def _clock(at: Any) -> str | None:
    """`00:01:02.500` of seconds, or of a time that is written so already."""
    if isinstance(at, str):
        return at.replace(",", ".") or None
    if not isinstance(at, int | float) or isinstance(at, bool) or not 0 <= at < 10**7:
        return None
    thousandths = round(at * 1000)
    seconds, thousandths = divmod(thousandths, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{thousandths:03d}"
