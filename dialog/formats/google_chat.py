"""Google Chat: Takeout's `messages.json`, one for each chat and space.

Times are written out in the account's language and read where their form is known; where it is not, they stay as they
are written.
"""

import json
from collections.abc import Iterator
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import BadMessage, Gathering, name_of, objects, string
from dialog.formats.date_order import read_stamps
from dialog.formats.json_document import Document, open_document, parse_document
from dialog.formats.left_out import DELETED, EMPTY, MEDIA, is_silent
from dialog.formats.source import Source, Unreadable
from dialog.formats.stamp import find_stamp

ABOUT = "group_info.json"
"""Beside a chat's messages: what it is called, and who is in it."""


def read_google_chat(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each chat, called after it, or the people in it."""
    if source.tree is None:
        document = open_document(source)
        yield from _read(document, f"{source.name}-1")
        return
    for number, (chat, files) in enumerate(source.tree.chats.items(), 1):
        name = f"{source.name}-{number}"
        for file in files:
            text = source.member(file)
            if file.endswith(ABOUT):
                name = _called(text or "", name_of(chat, name))
            elif text is None:
                yield Unreadable.at(0, f"{file}: cannot be read")
            else:
                yield from _read(parse_document(text), name)


def _called(text: str, default: str) -> str:
    try:
        about = json.loads(text)
    except ValueError:
        return default
    people = [str(person["name"]) for person in objects(about.get("members")) if person.get("name")]
    return name_of(about.get("name"), ", ".join(people) or default)


def _read(document: Document | Unreadable, name: str) -> Iterator[Conversation | Unreadable]:
    if isinstance(document, Unreadable):
        yield document
        return
    yield from document.faults
    messages = document.messages("messages")
    if messages is None:
        yield Unreadable.at(0, "expected messages, as Google Takeout writes them for Chat")
        return
    gathering = Gathering(name)
    gathering.take(messages.items, _message, messages.place, messages.line_of)
    yield from gathering.items(document.warnings)


def _message(message: Any) -> Utterance | str:
    text = string(message, "text", optional=True)
    creator = message.get("creator")
    if message.get("message_state") == "DELETED" or message.get("deletion_metadata"):
        return DELETED
    if not isinstance(creator, dict):
        raise BadMessage("creator: expected an object")
    if is_silent(text):
        return MEDIA if message.get("attached_files") or message.get("annotations") else EMPTY
    return Utterance(
        speaker=string(creator, "name", optional=True) or string(creator, "email", optional=True) or "unknown",
        text=text,
        time=_time(string(message, "created_date", optional=True)),
    )


def _time(written: str) -> str | None:
    """ISO time of `Wednesday, May 1, 2024 at 10:20:11 AM UTC`: a month by name leaves no order in doubt."""
    found = find_stamp(f"[{written}] ")
    read = read_stamps([found.stamp])[0] if found and found.whole else [None]
    return read[0] or written or None
