"""Microsoft Teams and Skype: the personal export (`MessageList`), and the answers of Teams' own interface (`value`).

HTML becomes text, without what a message quotes; calls, joins, pictures and files without words are left out and
counted.
"""

import re
from collections.abc import Iterator
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import BadMessage, Gathering, name_of, objects, string
from dialog.formats.html_text import as_text
from dialog.formats.json_document import opened
from dialog.formats.left_out import CALL, DELETED, EMPTY, MEDIA, SYSTEM, is_silent
from dialog.formats.source import Source, Unreadable

_QUOTE = re.compile(r"<quote\b[^<>]*>(?:(?!<quote\b).)*?</quote>", re.DOTALL)
_SMILEY = re.compile(r"</?ss\b[^<>]*>")
"""Around the signs that Skype shows a picture for, which stay."""


def read_teams(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each chat."""
    document = yield from opened(source)
    if document is None:
        return
    value = document.value
    if isinstance(value, dict) and isinstance(value.get("conversations"), list):
        for number, chat in enumerate(objects(value["conversations"])):
            default = name_of(chat.get("id"), f"{source.name}-{number + 1}")
            gathering = Gathering(name_of(chat.get("displayName"), default))
            messages = chat.get("MessageList")
            gathering.take(
                messages if isinstance(messages, list) else [],
                _skype_message,
                "MessageList",
                document.lines_of("MessageList", number),
            )
            yield from gathering.items(document.warnings)
        return
    messages = document.messages("messages", "value")
    if messages is None:
        yield Unreadable.at(0, "expected conversations, value or messages, as Teams and Skype write them")
        return
    gathering = Gathering(f"{source.name}-1")
    gathering.take(messages.items, _message, messages.place, messages.line_of)
    yield from gathering.items(document.warnings)


def _skype_message(message: Any) -> Utterance | str:
    kind = string(message, "messagetype", optional=True)
    if kind.startswith("Event/Call"):
        return CALL
    if not kind.startswith(("RichText", "Text")):
        return SYSTEM
    if kind.startswith(("RichText/UriObject", "RichText/Media")):
        return MEDIA
    properties = message.get("properties")
    text = as_text(_SMILEY.sub("", _QUOTE.sub("", string(message, "content", optional=True))))
    if is_silent(text):
        return DELETED if isinstance(properties, dict) and properties.get("deletetime") else EMPTY
    sender = string(message, "from", optional=True)
    return Utterance(
        speaker=string(message, "displayName", optional=True) or sender.rpartition(":")[2] or "unknown",
        text=text,
        time=string(message, "originalarrivaltime", optional=True) or None,
    )


def _message(message: Any) -> Utterance | str:
    """One of Teams' own interface."""
    if string(message, "messageType", optional=True) not in ("message", ""):
        return SYSTEM
    if message.get("deletedDateTime"):
        return DELETED
    body, sender = message.get("body"), message.get("from")
    if not isinstance(body, dict):
        raise BadMessage("body: expected an object")
    text = string(body, "content", optional=True)
    text = as_text(text) if body.get("contentType") == "html" else text
    if is_silent(text):
        return MEDIA if message.get("attachments") or "<img" in str(body.get("content")) else EMPTY
    people = [sender.get(k) for k in ("user", "application", "device")] if isinstance(sender, dict) else []
    names = [p["displayName"] for p in people if isinstance(p, dict) and isinstance(p.get("displayName"), str)]
    return Utterance(
        speaker=names[0] if names else "unknown",
        text=text,
        time=string(message, "createdDateTime", optional=True) or None,
    )
