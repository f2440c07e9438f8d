"""Element and other Matrix clients: the export of a room as JSON, and the events of a room as a server has them.

An edited message says what it says now, and a reply is without what it answers. Names are those people have in the
room, where the export has them. Reactions, comings and goings, files without words, and what could not be decrypted are
left out and counted. (Element's export as text is read as `whatsapp` is, its pages as `element_page.py` has them.)
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import BadMessage, Gathering, encodable, moment, name_of, string
from dialog.formats.json_document import opened
from dialog.formats.left_out import (
    DELETED,
    DOCUMENT,
    EMPTY,
    LOCATION,
    PICTURE,
    POLL,
    SOUND,
    STICKER,
    SYSTEM,
    VIDEO,
    is_silent,
)
from dialog.formats.source import Source, Unreadable

_FILES = {"m.image": PICTURE, "m.video": VIDEO, "m.audio": SOUND, "m.file": DOCUMENT, "m.location": LOCATION}
_KINDS = {
    "m.reaction": "reaction",
    "m.sticker": STICKER,
    "m.room.encrypted": "message that was not decrypted",
    "m.room.redaction": DELETED,
}
_POLLS = ("m.poll.start", "org.matrix.msc3381.poll.start")
_TEXTS = ("m.text", "org.matrix.msc1767.text", "body")
_ANSWERED = re.compile(r"(?:> [^\n]*\n|>\n)+\n?")
_LISTS = ("messages", "events", "chunk", "timeline")


def read_element(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a room, called after it."""
    document = yield from opened(source)
    if document is None:
        return
    events = document.messages(*_LISTS)
    if events is None:
        yield Unreadable.at(0, "expected messages, as Element and Matrix servers write them")
        return
    about = document.value if isinstance(document.value, dict) else {}
    gathering = Gathering(name_of(about.get("room_name"), f"{source.name}-1"))
    read = partial(_message, people=_people(events.items), edits=_edits(events.items))
    gathering.take(events.items, read, events.place, events.line_of)
    yield from gathering.items(document.warnings)


def _people(events: Sequence[Any]) -> dict[str, str]:
    """What everybody is called in the room, by their addresses."""
    people: dict[str, str] = {}
    for event in events:
        name = _part(event, "content").get("displayname")
        if _kind(event) == "m.room.member" and isinstance(name, str) and not is_silent(name):
            people[str(event.get("state_key") or event.get("sender"))] = encodable(name).strip()
    return people


def _edits(events: Sequence[Any]) -> dict[str, Mapping[str, Any]]:
    """The last content of every message that was edited, by its number."""
    edits: dict[str, Mapping[str, Any]] = {}
    for event in events:
        if target := _edited(event):
            content = _part(event, "content")
            edits[target] = _part(content, "m.new_content") or content
    return edits


def _edited(event: Any) -> str:
    """The number of the message that an event is an edit of; nothing of another event."""
    relation = _part(_part(event, "content"), "m.relates_to")
    return str(relation.get("event_id") or "") if relation.get("rel_type") == "m.replace" else ""


def _message(event: Any, people: Mapping[str, str], edits: Mapping[str, Mapping[str, Any]]) -> Utterance | str:
    if not isinstance(event, dict):
        raise BadMessage(f"expected an object, got {type(event).__name__}")
    kind, content = _kind(event), _part(event, "content")
    if _edited(event):
        return "edit"
    if kind != "m.room.message" and kind not in _POLLS:
        return _KINDS.get(kind, SYSTEM)
    if not content or _part(event, "unsigned").get("redacted_because"):
        return DELETED
    changed = edits.get(str(event.get("event_id")))
    content = dict(changed or content)
    extra: dict[str, Any] = {"edited": True} if changed else {}
    what = str(content.get("msgtype") or "")
    text = _question(content) if kind in _POLLS else string(content, "body", optional=True)
    if _part(_part(content, "m.relates_to"), "m.in_reply_to"):
        text = text[quoted.end() :] if (quoted := _ANSWERED.match(text)) else text
    if what in _FILES:
        # Without a caption the body is the file's name; with one the name stands beside it.
        if content.get("filename") in (None, content.get("body")):
            return _FILES[what]
        extra["media"] = _FILES[what]
    if is_silent(text):
        return POLL if kind in _POLLS else EMPTY
    if what == "m.emote":
        extra["action"] = True
    sender = string(event, "sender", optional=True) or "unknown"
    time = event.get("origin_server_ts")
    seconds = time / 1000 if isinstance(time, int | float) else None
    return Utterance(speaker=people.get(sender, sender), text=text.strip(), time=moment(seconds), extra=extra)


def _question(content: Mapping[str, Any]) -> str:
    """What a poll asks."""
    held = next((part for name in ("m.poll", *_POLLS) if (part := _part(content, name))), {})
    question = _part(held, "question")
    return next((encodable(question[key]) for key in _TEXTS if isinstance(question.get(key), str)), "")


def _kind(event: Any) -> str:
    return str(event.get("type") or "") if isinstance(event, dict) else ""


def _part(held: Any, key: str) -> dict[str, Any]:
    part = held.get(key) if isinstance(held, dict) else None
    return part if isinstance(part, dict) else {}
