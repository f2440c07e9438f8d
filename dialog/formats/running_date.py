"""What logs have in common that write the date on a line of its own, and only the time of day before a message."""

from typing import NamedTuple

from dialog.conversation import Conversation, Utterance
from dialog.formats.date_order import read_stamps
from dialog.formats.left_out import EMPTY, LeftOut, is_silent
from dialog.formats.stamp import Stamp, find_stamp


class Message(NamedTuple):
    """Who says what, when; lines may still be added."""

    speaker: str
    stamp: Stamp | None
    lines: list[str]


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
