"""Snapchat's My Data: `chat_history.json`, an array of messages for each chat, newest first.

Exports of before 2023 have what was received and what was sent in arrays of their own (`Received Saved Chat History`,
`Sent Saved Chat History`), which name the other person of each message: they are put together by that, and who sent is
`Me`. What is not text is left out and counted; the words of snaps are not in the export.
"""

from collections.abc import Iterator
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import BadMessage, Gathering, name_of, objects, string
from dialog.formats.html_text import as_text
from dialog.formats.json_document import Document, opened
from dialog.formats.jsonl import dump
from dialog.formats.left_out import CALL, DELETED, EMPTY, LOCATION, MEDIA, PICTURE, STICKER, SYSTEM, is_silent
from dialog.formats.source import Source, Unreadable

ME = "Me"
_TEXT = "TEXT"
_KINDS = {
    "MEDIA": MEDIA,
    "IMAGE": PICTURE,
    "STICKER": STICKER,
    "NOTE": "voice message",
    "LOCATION": LOCATION,
    "STATUSERASEDMESSAGE": DELETED,
}
_SPLIT = ("Received", "Sent")


def read_snapchat(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each chat, called after its title, or the other person."""
    document = yield from opened(source)
    if document is None:
        return
    value = document.value if isinstance(document.value, dict) else {}
    inner = [held for held in value.values() if isinstance(held, dict)]
    chats = inner[0] if len(value) == 1 and inner else value
    if any(isinstance(held, list) and name.startswith(_SPLIT) for name, held in chats.items()):
        yield from _of_halves(chats, document)
        return
    for name, messages in chats.items():
        if not isinstance(messages, list):
            yield Unreadable.at(0, f"{name}: expected an array of messages, as Snapchat writes them")
            continue
        title = next((m["Conversation Title"] for m in objects(messages) if m.get("Conversation Title")), None)
        gathering = Gathering(name_of(title, name_of(name, source.name)))
        gathering.take(messages, _message, name, document.lines_of(name))
        yield from gathering.items(document.warnings)


def _of_halves(chats: dict[str, Any], document: Document) -> Iterator[Conversation | Unreadable]:
    """Of an old export: a conversation for each person somebody has written to or heard from."""
    found: dict[str, Gathering] = {}
    for name, messages in chats.items():
        lines = document.lines_of(name)
        for i, message in enumerate(messages if isinstance(messages, list) else ()):
            other = message.get("To" if name.startswith("Sent") else "From") if isinstance(message, dict) else None
            gathering = found.setdefault(name_of(other, "unknown"), Gathering(name_of(other, "unknown")))
            try:
                gathering.add(_message(message))
            except BadMessage as error:
                gathering.refuse(f"{name}[{i}]", error, lines(i), dump(message))
    for gathering in found.values():
        yield from gathering.items(document.warnings)


def _message(message: Any) -> Utterance | str:
    if not isinstance(message, dict):
        raise BadMessage(f"expected an object, got {type(message).__name__}")
    text = as_text(string(message, "Content", optional=True) or string(message, "Text", optional=True))
    speaker = string(message, "From", optional=True) or (ME if "To" in message else "unknown")
    return of_kind(speaker, string(message, "Media Type", optional=True), text, string(message, "Created"))


def of_kind(speaker: str, kind: str, text: str, created: str) -> Utterance | str:
    """What somebody said, or what is left out of a message of this kind (`TEXT`, `MEDIA`, `STATUSCALLMISSED…` …)."""
    kind = kind.upper()
    if kind.startswith("STATUS"):
        return _KINDS.get(kind) or (CALL if "CALL" in kind else SYSTEM)
    if is_silent(text):
        return EMPTY if kind in ("", _TEXT) else _KINDS.get(kind, MEDIA)
    extra = {} if kind in ("", _TEXT) else {"media": kind.lower()}
    return Utterance(speaker=speaker, text=text, time=time_of(created), extra=extra)


def time_of(created: str) -> str | None:
    """ISO time of `2024-03-02 18:22:10 UTC`."""
    return created.strip().removesuffix(" UTC").replace(" ", "T", 1) + "+00:00" if created.strip() else None
