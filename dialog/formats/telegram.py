"""Telegram Desktop's JSON export: one chat (`messages`), or all of them (`chats.list` and `left_chats.list`).

Texts made of pieces (links, bold words) are put together. Service messages, and media without words, are left out and
counted; a caption stays, with the kind of media in `extra.media`, and so do a poll's question and a list of things to
do.
"""

from collections.abc import Iterator
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import Gathering, encodable, name_of, objects, string, words_in
from dialog.formats.json_document import opened
from dialog.formats.left_out import (
    CALL,
    CONTACT,
    DOCUMENT,
    EMPTY,
    GIF,
    LOCATION,
    MEDIA,
    PICTURE,
    SOUND,
    STICKER,
    SYSTEM,
    VIDEO,
    is_silent,
)
from dialog.formats.source import Source, Unreadable

_KINDS = {
    "sticker": STICKER,
    "animation": GIF,
    "video_file": VIDEO,
    "video_message": "video message",
    "voice_message": "voice message",
    "audio_file": SOUND,
    "photo": PICTURE,
    "file": DOCUMENT,
    "location_information": LOCATION,
    "place_name": LOCATION,
    "contact_information": CONTACT,
    "poll": "poll",
    "dice": "dice",
    "game_title": "game",
    "invoice_information": "invoice",
    "giveaway_information": "giveaway",
    "giveaway_results": "giveaway",
    "story": "story",
    "story_id": "story",
    "paid_media": MEDIA,
    "todo_list": "to-do list",
    "rich_message": MEDIA,
}
_WORDED = ("rich_message", "todo_list", "todo", "checklist", "poll")
_TEXTS = frozenset(("text", "title", "question", "caption", "description"))


def read_telegram(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each chat, called after it."""
    document = yield from opened(source)
    if document is None:
        return
    arrays = 0  # of messages, in the order in which they stand in the file
    for number, chat in enumerate(_chats(document.value), 1):
        messages = chat.get("messages") if isinstance(chat, dict) else None
        if not isinstance(messages, list):
            yield Unreadable.at(0, f"chat {number}: messages: expected an array")
            continue
        gathering = Gathering(name_of(chat.get("name"), f"{source.name}-{number}"))
        gathering.take(messages, _message, line_of=document.lines_of(number=arrays))
        arrays += 1
        yield from gathering.items(document.warnings)


def _chats(value: Any) -> list[Any]:
    if not isinstance(value, dict):
        return [value]
    lists = [value[key]["list"] for key in ("chats", "left_chats") if _has_list(value.get(key))]
    return [chat for chats in lists for chat in chats] if lists else [value]


def _has_list(chats: Any) -> bool:
    return isinstance(chats, dict) and isinstance(chats.get("list"), list)


def _message(message: Any) -> Utterance | str:
    if string(message, "type") != "message":
        return CALL if message.get("action") in ("phone_call", "group_call") else SYSTEM
    text = _text(message.get("text"))
    kind = message.get("media_type") if isinstance(message.get("media_type"), str) else None
    kind = kind or next((key for key in _KINDS if message.get(key)), None)
    extra: dict[str, Any] = {"media": kind} if kind else {}
    if is_silent(text):
        if isinstance(poll := message.get("poll"), dict) and isinstance(poll.get("question"), str):
            text = string(poll, "question")
            extra["options"] = [a["text"] for a in objects(poll.get("answers")) if isinstance(a.get("text"), str)]
        else:
            text = next((t for key in _WORDED if (t := words_in(message.get(key), _TEXTS))), "")
    if is_silent(text):
        return _KINDS.get(kind, MEDIA) if kind else EMPTY
    return Utterance(
        speaker=string(message, "from", optional=True) or "deleted account",
        text=text,
        time=string(message, "date", optional=True) or None,
        extra=extra,
    )


def _text(value: Any) -> str:
    """A text, whole or in pieces; each piece is a string or an object with one."""
    if isinstance(value, list):
        return "".join(encodable(piece) if isinstance(piece, str) else string(piece, "text") for piece in value)
    return string({"text": value}, "text", optional=True)
