"""Telegram Desktop's JSON export: one chat (`messages`), or all of them (`chats.list`).

Texts made of pieces (links, bold words) are put together. Service messages, and media without a caption, are left out
and counted; a caption stays, with the kind of media in `extra.media`.
"""

from collections.abc import Iterator
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import MEDIA, SYSTEM, Gathering, document, string
from dialog.formats.source import Source, Unreadable

_MEDIA_KEYS = ("media_type", "photo", "file", "location_information", "contact_information", "poll")


def read_telegram(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each chat, called after it."""
    read = document(source)
    if isinstance(read, Unreadable):
        yield read
        return
    value, warnings = read
    for number, chat in enumerate(_chats(value), 1):
        messages = chat.get("messages") if isinstance(chat, dict) else None
        if not isinstance(messages, list):
            yield Unreadable.at(1, f"chat {number}: messages: expected an array")
            continue
        name = chat.get("name")
        gathering = Gathering(name if isinstance(name, str) and name.strip() else f"{source.name}-{number}")
        gathering.take(messages, _message)
        yield from gathering.items(warnings)


def _chats(value: Any) -> list[Any]:
    if not isinstance(value, dict):
        return [value]
    chats = value.get("chats")
    if isinstance(chats, dict) and isinstance(chats.get("list"), list):
        return list(chats["list"])
    return [value]


def _message(message: Any) -> Utterance | str:
    if string(message, "type") != "message":
        return SYSTEM
    text = _text(message.get("text"))
    media = next((key for key in _MEDIA_KEYS if message.get(key)), None)
    if media and not text.strip():
        return MEDIA
    kind = message.get("media_type") if media == "media_type" else media
    return Utterance(
        speaker=string(message, "from", optional=True) or "deleted account",
        text=text,
        time=string(message, "date", optional=True) or None,
        extra={"media": kind} if isinstance(kind, str) else {},
    )


def _text(value: Any) -> str:
    """A text, whole or in pieces; each piece is a string or an object with one."""
    if isinstance(value, list):
        return "".join(piece if isinstance(piece, str) else string(piece, "text") for piece in value)
    return string({"text": value}, "text", optional=True)
