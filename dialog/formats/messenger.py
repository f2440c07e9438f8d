"""Facebook Messenger's and Instagram's JSON: a chat in one file (`message_1.json`) or in several, or the whole export.

Both write UTF-8 read as Latin-1 (`MÃ¼ller`), which is mended. The newer export of encrypted chats (`senderName`) is
read too. Media without words, reactions, unsent messages and what the program wrote are left out and counted.
Messages stand newest first in the files and are put in order.
"""

import re
from collections.abc import Iterator
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import Gathering, moment, name_of, objects, string
from dialog.formats.json_document import Document, open_document, parse_document
from dialog.formats.left_out import (
    CALL,
    DELETED,
    DOCUMENT,
    EMPTY,
    GIF,
    PICTURE,
    SOUND,
    STICKER,
    SYSTEM,
    VIDEO,
    is_silent,
)
from dialog.formats.source import Source, Unreadable

_KINDS = {
    "photos": PICTURE,
    "videos": VIDEO,
    "audio_files": SOUND,
    "gifs": GIF,
    "files": DOCUMENT,
    "sticker": STICKER,
    "media": "media message",
}
_NOTICE = re.compile(
    r"(?:Reacted .{1,12} to your message ?|Liked a message|(?:You|User) sent an attachment\.|"
    r"You missed a (?:video |audio )?(?:call|chat) [^\n]{1,80}|The video call ended\.|"
    r"You (?:can now message and call each other|are now connected on Messenger)[^\n]{0,120})"
)
_DEED = re.compile(
    r" (?:sent an attachment\.|(?:named|left|created) the group|changed the (?:group|chat|theme|group photo)|"
    r"set (?:the nickname|the emoji|the quick reaction|your nickname)|pinned a message|"
    r"(?:added|removed) [^\n]{1,80} (?:to|from) the group|"
    r"(?:started|joined|missed) (?:a|the|your) (?:video |audio )?(?:call|chat))[^\n]{0,80}"
)


def read_messenger(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each chat, called after its title."""
    if source.tree is None:
        yield from _chat(f"{source.name}-1", [("", open_document(source))])
        return
    for folder, names in source.tree.chats.items():
        parts = [(name, parse_document(source.member(name) or "")) for name in sorted(names)]
        yield from _chat(folder, parts)


def _chat(default: str, parts: list[tuple[str, Document | Unreadable]]) -> Iterator[Conversation | Unreadable]:
    gathering = Gathering(default)
    warnings: tuple[str, ...] = ()
    read = False
    for name, document in parts:
        place = f"{name}: " if name else ""
        if isinstance(document, Unreadable):
            yield Unreadable.at(document.line, place + document.reason, document.text)
            continue
        for fault in document.faults:
            yield Unreadable.at(fault.line, place + fault.reason, fault.text)
        value = document.value
        messages = value.get("messages") if isinstance(value, dict) else None
        if not isinstance(messages, list):
            yield Unreadable.at(0, f"{place}messages: expected an array, as Messenger and Instagram write it")
            continue
        read = True
        gathering.id = mended(name_of(value.get("title") or value.get("threadName"), gathering.id))
        gathering.take(messages, _message, f"{place}messages", document.lines_of())
        warnings += document.warnings
    if read:
        yield from gathering.items(tuple(dict.fromkeys(warnings)))


def mended(text: str) -> str:
    """UTF-8 that was read as Latin-1, as it was; anything else as it is."""
    try:
        return text if text.isascii() else text.encode("latin-1").decode()
    except (UnicodeEncodeError, UnicodeDecodeError):
        return text


def _message(message: Any) -> Utterance | str:
    if isinstance(message, dict) and "senderName" in message:
        return _encrypted(message)
    text = mended(string(message, "content", optional=True))
    if message.get("is_unsent"):
        return DELETED
    if message.get("type") == "Call" or "call_duration" in message:
        return CALL
    if message.get("type") in ("Subscribe", "Unsubscribe"):
        return SYSTEM
    found = next((key for key in _KINDS if message.get(key)), None)
    share = message.get("share")
    if is_notice(text, mended(string(message, "sender_name", optional=True))):
        return _KINDS[found] if found else SYSTEM
    if is_silent(text) and isinstance(share, dict):
        text = mended(string(share, "share_text", optional=True)) or string(share, "link", optional=True)
    if is_silent(text):
        return _KINDS[found] if found else EMPTY
    at = message.get("timestamp_ms")
    return Utterance(
        speaker=mended(string(message, "sender_name", optional=True)).strip() or "unknown",
        text=text,
        time=moment(at / 1000) if isinstance(at, int | float) else None,
        extra={"media": found} if found else {},
    )


def is_notice(text: str, sender: str) -> bool:
    """What the program says in somebody's name: of nobody, or of them by their name."""
    who = next((w for w in (sender.strip(), *sender.split()[:1], "You") if w and text.startswith(f"{w} ")), None)
    return _NOTICE.fullmatch(text) is not None or (who is not None and _DEED.fullmatch(text, len(who)) is not None)


def _encrypted(message: dict[str, Any]) -> Utterance | str:
    """The form of chats encrypted from end to end."""
    text = mended(string(message, "text", optional=True))
    if message.get("isUnsent"):
        return DELETED
    if is_silent(text) or text == "User sent an attachment":
        return "media message" if objects(message.get("media")) else EMPTY
    if is_notice(text, mended(string(message, "senderName"))) or message.get("type") == "placeholder":
        return SYSTEM
    at = message.get("timestamp")
    return Utterance(
        speaker=mended(string(message, "senderName")).strip() or "unknown",
        text=text,
        time=moment(at / 1000) if isinstance(at, int | float) else None,
    )
