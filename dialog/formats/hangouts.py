"""Google Hangouts: Takeout's `Hangouts.json`, all chats in one document.

Calls, comings and goings, and pictures without words are left out and counted.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import BadMessage, Gathering, encodable, moment, name_of, objects
from dialog.formats.json_document import opened
from dialog.formats.left_out import CALL, EMPTY, MEDIA, SYSTEM, is_silent
from dialog.formats.source import Source, Unreadable

_MICROSECONDS = 1_000_000


def read_hangouts(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each chat, called after its name, or the people in it."""
    document = yield from opened(source)
    if document is None:
        return
    value = document.value if isinstance(document.value, dict) else {}
    # Two generations of Takeout: `conversations` with `events`, `conversation_state` with `event`.
    chats = objects(value.get("conversations")) or objects(value.get("conversation_state"))
    if not chats:
        yield Unreadable.at(0, "expected conversations, as Google Takeout writes them for Hangouts")
    key = "events" if any("events" in chat for chat in chats) else "event"
    for number, chat in enumerate(chats):
        state = _part(chat, "conversation_state")
        about = _part(chat, "conversation") or _part(state, "conversation")
        about = _part(about, "conversation") or about
        people = {_id(person): encodable(str(person["fallback_name"])) for person in _people(about)}
        messages = chat.get(key) if isinstance(chat.get(key), list) else state.get(key)
        gathering = Gathering(name_of(about.get("name"), ", ".join(people.values()) or f"{source.name}-{number + 1}"))
        gathering.take(
            messages if isinstance(messages, list) else [],
            partial(_message, people=people),
            key,
            document.lines_of(key, number),
        )
        yield from gathering.items(document.warnings)


def _people(about: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [person for person in objects(about.get("participant_data")) if person.get("fallback_name")]


def _id(held: Mapping[str, Any]) -> str:
    id = _part(held, "id") or held
    return str(id.get("gaia_id") or id.get("chat_id") or "")


def _message(message: Any, people: Mapping[str, str]) -> Utterance | str:
    if not isinstance(message, dict):
        raise BadMessage(f"expected an object, got {type(message).__name__}")
    if "hangout_event" in message:
        return CALL
    if "chat_message" not in message:
        return SYSTEM
    content = _part(_part(message, "chat_message"), "message_content")
    text = "".join(_words(segment) for segment in objects(content.get("segment")))
    if is_silent(text):
        return MEDIA if content.get("attachment") else EMPTY
    sender = _id(_part(message, "sender_id"))
    return Utterance(speaker=people.get(sender) or sender or "unknown", text=text.strip(), time=_time(message))


def _words(segment: Mapping[str, Any]) -> str:
    text = segment.get("text")
    return encodable(text) if isinstance(text, str) else "\n" if segment.get("type") == "LINE_BREAK" else ""


def _time(message: Mapping[str, Any]) -> str | None:
    try:
        return moment(int(message.get("timestamp") or "") / _MICROSECONDS)
    except (TypeError, ValueError, OverflowError):
        return None


def _part(held: Mapping[str, Any], key: str) -> dict[str, Any]:
    part = held.get(key)
    return part if isinstance(part, dict) else {}
