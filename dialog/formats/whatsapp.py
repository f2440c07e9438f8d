"""WhatsApp's "Export chat", from Android and iOS, in any language and any date order; and logs that look like one.

    31/12/2020, 21:41 - Ann: Happy new year!            Android
    [12/31/20, 9:41:05 PM] Ann: Happy new year!         iOS
    [21:41, 31/12/2020] Ann: Happy new year!            copied out of WhatsApp Web
    2020-12-31 21:41:05 Ann: Happy new year!            other programs

A line that begins with a date and a time (`stamp`) is a message; other lines go on with the message above. The order of
day, month and year is told from the whole file (`date_order`). After the stamp everything with a name and a colon is
speech. What nobody wrote is left out and counted by its kind: system lines (no name, or one of the known notices), and
media without a caption. A caption stays, with the file's name in `extra.media`; so does a poll's question.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dialog.conversation import Conversation, Utterance
from dialog.formats.date_order import read_stamps
from dialog.formats.left_out import LeftOut
from dialog.formats.source import Source, Unreadable
from dialog.formats.stamp import Found, find_stamp, house_styles
from dialog.formats.whatsapp_message import has_gap, read_message
from dialog.formats.words import words

_LEVELS = frozenset(words("info warn warning error debug trace fatal critical notice severe fine verbose"))
_NO_HEADER = "no date at the beginning, and no message above it to go on with"


class _Message(NamedTuple):
    """A line with a stamp, and the lines that go on with it."""

    number: int
    found: Found
    lines: list[str]
    """The first is what follows the stamp."""
    raw: str
    """The first line with its stamp."""


def header_of(text: str) -> Found | None:
    """The stamp of a line that begins a message: one with a date and a time; or None."""
    found = find_stamp(text)
    return found if found is not None and found.whole else None


def read_whatsapp(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of an export, with ISO times (no zone: the export names none)."""
    messages: list[_Message] = []
    for line in source.lines():
        if line.fault:
            yield Unreadable.at(line.number, line.fault)
        elif header := header_of(line.text):
            messages.append(_Message(line.number, header, [header.rest], line.text))
        elif messages:
            messages[-1].lines.append(line.text)
        elif line.text.strip():
            yield Unreadable.at(line.number, _NO_HEADER, line.text)
    warnings = source.take_warnings()
    messages, strays = _of_one_house(messages)
    yield from strays
    if not messages:
        return
    times, told = read_stamps([message.found.stamp for message in messages])
    left_out = LeftOut()
    utterances = []
    rests = ["\n".join(message.lines).rstrip() for message in messages]
    gap = has_gap(rests)
    for message, rest, time in zip(messages, rests, times, strict=True):
        said = read_message(rest, ios=message.found.style == "bracket", gap=gap)
        if isinstance(said, str):
            left_out.add(said)
        else:
            utterances.append(Utterance(speaker=said.speaker, text=said.text, time=time, extra=said.extra))
    if reason := _no_chat(messages, utterances):
        yield Unreadable.at(0, reason, messages[0].raw)
        return
    yield Conversation(
        id=f"{source.name}-1",
        utterances=tuple(utterances),
        warnings=(*warnings, *told, *left_out.warnings()),
        extra=left_out.extra(),
    )


def _of_one_house(messages: Sequence[_Message]) -> tuple[list[_Message], list[Unreadable]]:
    """Only the stamps of the file's own style begin a message; a date inside somebody's words does not."""
    styles = house_styles(message.found for message in messages)
    kept: list[_Message] = []
    strays = []
    for message in messages:
        if message.found.style in styles:
            kept.append(message)
        elif kept:
            kept[-1].lines.extend((message.raw, *message.lines[1:]))
        else:
            strays.append(Unreadable.at(message.number, _NO_HEADER, message.raw))
            lines = enumerate(message.lines[1:], message.number + 1)
            strays += [Unreadable.at(number, _NO_HEADER, text) for number, text in lines if text.strip()]
    return kept, strays


def _no_chat(messages: Sequence[_Message], utterances: Sequence[Utterance]) -> str:
    """Why dated lines are no chat, if they are none: a program's log, or mostly lines without a name."""
    levels = sum(u.speaker.casefold().split()[0].strip("[]") in _LEVELS for u in utterances)
    if levels * 2 > len(utterances):
        return "this is a program's log (INFO, ERROR …), not a conversation"
    loose = sum(message.found.style in ("bare", "loose") for message in messages)
    if loose * 2 > len(messages) and len(utterances) * 2 < len(messages):
        return f"{len(messages) - len(utterances):,} of {len(messages):,} dated lines have no name and no colon"
    return ""
