"""Signal: its own export in plain text (`main.jsonl`), and what signal-cli receives, both a JSON object a line.

Signal's export tells of people (`recipient`), chats (`chat`) and messages (`chatItem`) by number, as its public
Backup.proto has them. signal-cli's lines are envelopes (`signal-cli -o json receive`, or its JSON-RPC): a message to
this account, or one that another device of it has sent. What nobody wrote is counted by its kind: reactions, calls,
notices, receipts. A message that was edited says what it says now; signal-cli has both, the later one with `edited`.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import BadMessage, Gathering, encodable
from dialog.formats.jsonl import load
from dialog.formats.left_out import CALL, CONTACT, DELETED, EMPTY, HIDDEN, MEDIA, STICKER, SYSTEM, is_silent
from dialog.formats.source import Source, Unreadable

ME = "Me"
_NAMES = (
    ("nickname", ("given", "family")),
    ("", ("systemGivenName", "systemFamilyName")),
    ("", ("profileGivenName", "profileFamilyName")),
)
_KINDS = {
    "contactMessage": CONTACT,
    "stickerMessage": STICKER,
    "remoteDeletedMessage": DELETED,
    "adminDeletedMessage": DELETED,
    "viewOnceMessage": HIDDEN,
    "paymentNotification": "payment",
    "giftBadge": "gift",
}
_CALLS = ("individualCall", "groupCall")
_WORDLESS = {
    "reaction": "reaction",
    "remoteDelete": DELETED,
    "viewOnce": HIDDEN,
    "sticker": STICKER,
    "attachments": MEDIA,
    "contacts": CONTACT,
    "pollCreate": "poll",
    "payment": "payment",
}
_SIGNS = {"typingMessage": "typing sign", "receiptMessage": "receipt", "callMessage": CALL, "storyMessage": "story"}


def read_signal(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each chat, called after the person or the group."""
    people: dict[str, str] = {}
    chats: dict[str, str] = {}
    found: dict[str, Gathering] = {}
    for line in source.lines():
        if line.fault:
            yield Unreadable.at(line.number, line.fault)
            continue
        if not line.text.strip():
            continue
        try:
            frame = load(line.text)
            if not isinstance(frame, dict):
                raise BadMessage(f"expected an object, got {type(frame).__name__}")
            _take(frame, people, chats, found, source.name)
        except ValueError as error:
            yield Unreadable.at(line.number, str(error), line.text)
    warnings = source.take_warnings()
    for gathering in found.values():
        yield from gathering.items(warnings)


def _take(
    frame: dict[str, Any], people: dict[str, str], chats: dict[str, str], found: dict[str, Gathering], name: str
) -> None:
    envelope = _part(frame, "params").get("envelope", frame.get("envelope"))
    if isinstance(envelope, dict):
        _envelope(envelope, people, found, name)
    elif isinstance(person := frame.get("recipient"), dict):
        people[str(person.get("id"))] = _name(person)
    elif isinstance(chat := frame.get("chat"), dict):
        chats[str(chat.get("id"))] = people.get(str(chat.get("recipientId")), "")
    elif isinstance(item := frame.get("chatItem"), dict):
        key = str(item.get("chatId"))
        _gathering(found, key, chats.get(key) or f"{name}-{key}").add(_item(item, people))


def _item(item: dict[str, Any], people: Mapping[str, str]) -> Utterance | str:
    """A message of Signal's own export."""
    if "updateMessage" in item:
        return CALL if any(kind in _part(item, "updateMessage") for kind in _CALLS) else SYSTEM
    who = people.get(str(item.get("authorId"))) or f"person {item.get('authorId')}"
    text = _part(_part(item, "standardMessage"), "text").get("body")
    if not isinstance(text, str) and "poll" in item:
        text = _part(item, "poll").get("question")
    if not isinstance(text, str) and isinstance(reply := item.get("directStoryReplyMessage"), dict):
        text = _part(_part(reply, "textReply"), "text").get("body")
    if isinstance(text, str) and not is_silent(text):
        return Utterance(speaker=who, text=encodable(text).strip(), time=_time(item.get("dateSent")))
    if _part(item, "standardMessage").get("attachments"):
        return MEDIA
    return next((what for kind, what in _KINDS.items() if kind in item), EMPTY)


def _envelope(envelope: dict[str, Any], people: dict[str, str], found: dict[str, Gathering], name: str) -> None:
    """What signal-cli has received: a message of somebody's, or one sent from another device of this account."""
    sender = _address(envelope, "source")
    if named := envelope.get("sourceName"):
        people[sender] = encodable(str(named)).strip()
    sent = _part(_part(envelope, "syncMessage"), "sentMessage")
    message = sent or _part(envelope, "dataMessage")
    edited = _part(sent or envelope, "editMessage")
    message = _part(edited, "dataMessage") or message
    group = _part(message, "groupInfo") or _part(message, "groupV2")
    other = _address(sent, "destination") if sent else sender
    title = group.get("groupName") or group.get("name")
    key = str(group.get("groupId") or group.get("id") or other)
    called = str(title) if title else (f"group {key[:8]}" if group else people.get(key) or key)
    gathering = _gathering(found, key, called or name)
    if not message:
        gathering.add(next((what for sign, what in _SIGNS.items() if sign in envelope), SYSTEM))
        return
    text = message.get("message")
    time = _time(message.get("timestamp") or envelope.get("timestamp"))
    if isinstance(text, str) and not is_silent(text):
        who = ME if sent else people.get(sender) or sender
        extra = {"edited": True} if edited else {}
        gathering.add(Utterance(speaker=who, text=encodable(text).strip(), time=time, extra=extra))
        return
    gathering.add(next((what for part, what in _WORDLESS.items() if message.get(part)), EMPTY))


def _gathering(found: dict[str, Gathering], key: str, called: str) -> Gathering:
    if key not in found:
        found[key] = Gathering(called)
    return found[key]


def _name(person: dict[str, Any]) -> str:
    """What a person or a group is called, best first."""
    if "self" in person:
        return ME
    group = _part(_part(_part(person, "group"), "snapshot"), "title").get("title")
    if isinstance(group, str) and group.strip():
        return encodable(group).strip()
    contact = _part(person, "contact")
    for place, keys in _NAMES:
        held = _part(contact, place) if place else contact
        said = " ".join(str(held[key]).strip() for key in keys if held.get(key))
        if said.strip():
            return encodable(said).strip()
    username = contact.get("username")
    number = contact.get("e164")
    if username or number:
        return str(username or f"+{str(number).lstrip('+')}")
    return "Release Notes" if "releaseNotes" in person else ""


def _address(held: dict[str, Any], what: str) -> str:
    found = (held.get(key) for key in (f"{what}Number", what, f"{what}Uuid"))
    return next((str(value) for value in found if value), "")


def _part(held: Any, key: str) -> dict[str, Any]:
    part = held.get(key) if isinstance(held, dict) else None
    return part if isinstance(part, dict) else {}


def _time(milliseconds: Any) -> str | None:
    """ISO time in UTC, to the second; a number of milliseconds may be written as a string."""
    try:
        return datetime.fromtimestamp(int(milliseconds) // 1000, UTC).isoformat(timespec="seconds")
    except (TypeError, ValueError, OverflowError, OSError):
        return None
