"""iMessage as text, as imessage-exporter writes it: a time, a name, the words, and an empty line.

    May 17, 2022  5:29:42 PM (Read by them after 3 seconds)
    Me
    hello

Attachments without words, tapbacks and announcements are left out and counted. An answer stands twice, indented under
what it answers and in its own place; it is read there.
"""

import re
from collections.abc import Iterator

from dialog.conversation import Conversation
from dialog.formats.left_out import DELETED, SYSTEM, LeftOut, kind_of_file
from dialog.formats.running_date import Message, conversation_of, stamp_of
from dialog.formats.source import Source, Unreadable

HEADER = re.compile(
    r"\ufeff?(?P<date>[A-Z][a-z]{2,8} \d{1,2}, \d{4})\s{1,3}(?P<time>\d{1,2}:\d{2}:\d{2} [AP]M)"
    r"(?: \([^()]{0,200}\))?(?P<rest>.*)$"
)
_FILE = re.compile(r"(?:[~/]|[A-Za-z]:\\|attachments/)\S[^\n]{0,300}\.(?P<ending>\w{2,5})")
_ASIDE = re.compile(r"\s*(?:Tapbacks|Stickers|Edits|Reactions):\s*$")

_ANSWERED = "This message responded to an earlier message."


def read_imessage(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a file, called after it."""
    left_out = LeftOut()
    messages: list[Message] = []
    opened: Message | None = None
    aside = answer = False  # a tapback, or an answer that stands again in its own place
    for line in source.lines():
        text = line.text
        if line.fault:
            yield Unreadable.at(line.number, line.fault)
        elif match := HEADER.match(text):
            aside = answer = False
            if match["rest"].strip():
                left_out.add(SYSTEM)
                opened = None
                continue
            opened = Message("", stamp_of(match["date"], match["time"]), [])
            messages.append(opened)
        elif text[:1] == " " and HEADER.match(text.strip()):
            aside = answer = True
        elif aside and answer:
            aside = bool(text.strip())
        elif opened is None:
            if text.strip():
                yield Unreadable.at(line.number, "expected a time such as `May 17, 2022  5:29:42 PM`", text)
        elif not opened.speaker:
            if text.strip():
                opened = opened._replace(speaker=text.strip())
                messages[-1] = opened
        elif _ASIDE.match(text):
            aside, answer = True, False
        elif aside and text.strip():
            left_out.add("reaction")
        elif file := _FILE.fullmatch(text.strip()):
            opened.lines.append("")
            left_out.add(kind_of_file(f"x.{file['ending']}"))
        elif text.strip() == _ANSWERED:
            continue
        elif text.strip() in ("This message was deleted from the conversation!", "You unsent a message!"):
            left_out.add(DELETED)
            opened.lines.append("")
        else:
            opened.lines.append(text)
    said = [m for m in messages if any(line.strip() for line in m.lines) or not m.lines]
    if messages or left_out:
        yield conversation_of(f"{source.name}-1", said, left_out, source.take_warnings())
