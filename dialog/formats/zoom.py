"""Zoom's saved chat: `10:20:30 From Mira to Everyone: hi`, older and newer, text on the line or under it.

Reactions and removed messages are left out and counted; of a reply the words of the one who replies stay.
"""

import re
from collections.abc import Iterator

from dialog.conversation import Conversation
from dialog.formats.left_out import DELETED, LeftOut
from dialog.formats.running_date import Message, conversation_of, stamp_of
from dialog.formats.source import Source, Unreadable

HEADER = re.compile(
    r"\ufeff?(?:(?P<date>\d{4}-\d{2}-\d{2})\s+)?(?P<time>\d{1,2}:\d{2}:\d{2}(?:\s?[AP]M)?)\s+From\s+"
    r"(?P<name>[^\n]{1,100}?)(?:\s+to\s+[^\n:]{1,100}?)?\s?:(?:\s(?P<text>.*)|$)"
)
_REPLY = re.compile(r"Replying to \"[^\n]*?\"\s*(?::\s*|\n\s*)", re.DOTALL)
_REACTION = re.compile(r"Reacted to \"[^\n]*\" with [^\n]{1,20}")
_REMOVED = re.compile(
    r"Removed a? ?[^\n]{1,20} (?:reaction )?from \"[^\n]*\"|(?:This|The) message (?:was|has been) (?:deleted|removed)"
)


def read_zoom(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a meeting, called after the file."""
    messages: list[Message] = []
    for line in source.lines():
        if line.fault:
            yield Unreadable.at(line.number, line.fault)
        elif match := HEADER.match(line.text):
            stamp = stamp_of(match["date"] or "", match["time"])
            messages.append(Message(" ".join(match["name"].split()), stamp, [(match["text"] or "").strip()]))
        elif messages:
            messages[-1].lines.append(line.text.strip())
        elif line.text.strip():
            yield Unreadable.at(line.number, "expected `time From name to somebody: text`", line.text)
    left_out = LeftOut()
    said = []
    for message in messages:
        text = "\n".join(message.lines).strip()
        if _REACTION.fullmatch(text):
            left_out.add("reaction")
        elif _REMOVED.fullmatch(text):
            left_out.add(DELETED)
        else:
            said.append(message._replace(lines=[_REPLY.sub("", text, count=1)]))
    if messages:
        yield conversation_of(f"{source.name}-1", said, left_out, source.take_warnings())
