"""What logs have in common that write the date on a line of its own, and only the time of day before a message."""

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import NamedTuple

from dialog.conversation import Conversation, Utterance
from dialog.formats.date_order import read_stamps
from dialog.formats.left_out import EMPTY, SYSTEM, LeftOut, is_silent
from dialog.formats.source import Source, Unreadable
from dialog.formats.stamp import Stamp, find_stamp

_HEADING = 4
"""On so many lines at the top a heading may stand."""


class Message(NamedTuple):
    """Who says what, when; lines may still be added."""

    speaker: str
    stamp: Stamp | None
    lines: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """What the lines of a program's log are."""

    message: Callable[[str, str], Message | str | None]
    """A line and the date before it to a message, or to the kind of thing that is left out; None of another line."""
    date: Callable[[str], str | None]
    """The date as it is written, of a line that has nothing else."""
    heading: tuple[re.Pattern[str], ...]
    expected: str | None = None
    """What should have stood in the place of any other line; where nothing is said, such a line is a notice."""


def messages_in(source: Source, dialect: Dialect, left_out: LeftOut) -> Generator[Unreadable, None, list[Message]]:
    """The messages of a log; what cannot be read is yielded, what is left out counted. A message goes on over the lines
    under it that are nothing else."""
    messages: list[Message] = []
    date, goes_on = "", False
    for line in source.lines():
        text = line.text
        if line.fault:
            yield Unreadable.at(line.number, line.fault)
        elif (found := dialect.message(text, date)) is not None:
            goes_on = isinstance(found, Message)
            if isinstance(found, Message):
                messages.append(found)
            else:
                left_out.add(found)
        elif (day := dialect.date(text)) is not None:
            date, goes_on = day, False
        elif line.number <= _HEADING and any(heading.match(text) for heading in dialect.heading):
            continue
        elif goes_on:
            messages[-1].lines.append(text)
        elif text.strip() and dialect.expected is not None:
            yield Unreadable.at(line.number, dialect.expected, text)
        elif text.strip():
            left_out.add(SYSTEM)
    return messages


def stamp_of(date: str, time: str) -> Stamp | None:
    """The stamp of a date and a time of day, each as it is written; None where they are none."""
    found = find_stamp(f"[{date} {time}] ") if date else find_stamp(f"[{time}] ")
    return found.stamp if found else None


def conversation_of(
    id: str, messages: list[Message], left_out: LeftOut, warnings: tuple[str, ...] = ()
) -> Conversation:
    """The conversation, with ISO times where there is a date."""
    dated = [m.stamp for m in messages if m.stamp and m.stamp.numbers is not None]
    times, told = read_stamps(dated)
    read = iter(times)
    utterances = []
    for message in messages:
        time = None
        if message.stamp and message.stamp.numbers is not None:
            time = next(read)
        elif message.stamp and message.stamp.hour is not None:
            time = f"{message.stamp.hour:02d}:{message.stamp.minute:02d}"
        text = "\n".join(message.lines).strip()
        if is_silent(text):
            left_out.add(EMPTY)
        else:
            utterances.append(Utterance(speaker=message.speaker, text=text, time=time))
    return Conversation(
        id=id,
        utterances=tuple(utterances),
        warnings=(*warnings, *told, *left_out.warnings()),
        extra=left_out.extra(),
    )
