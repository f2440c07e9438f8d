"""DiscordChatExporter's JSON: one channel a file.

Joins, pins and the like, and attachments without a word, are left out and counted; with words, the attachments' names
are in `extra.media`. Speakers are called by their nickname where they have one.
"""

from collections.abc import Iterator
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import MEDIA, SYSTEM, BadMessage, Gathering, document, string
from dialog.formats.source import Source, Unreadable

_WRITTEN = frozenset({"Default", "Reply", "ChatInputCommand", "ContextMenuCommand", "ThreadStarterMessage", "0", "19"})


def read_discord(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a channel, called after it."""
    read = document(source)
    if isinstance(read, Unreadable):
        yield read
        return
    value, warnings = read
    messages = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(messages, list):
        yield Unreadable.at(0, "messages: expected an array, as DiscordChatExporter writes it")
        return
    channel = value.get("channel")
    name = channel.get("name") if isinstance(channel, dict) else None
    gathering = Gathering(name if isinstance(name, str) and name.strip() else f"{source.name}-1")
    gathering.take(messages, _message)
    yield from gathering.items(warnings)


def _message(message: Any) -> Utterance | str:
    text = string(message, "content", optional=True)
    if str(message.get("type", "Default")) not in _WRITTEN:
        return SYSTEM
    attachments = message.get("attachments")
    names = [string(a, "fileName", optional=True) for a in attachments] if isinstance(attachments, list) else []
    if not text.strip():
        return MEDIA
    author = message.get("author")
    if not isinstance(author, dict):
        raise BadMessage("author: expected an object")
    return Utterance(
        speaker=string(author, "nickname", optional=True) or string(author, "name"),
        text=text,
        time=string(message, "timestamp", optional=True) or None,
        extra={"media": names} if names else {},
    )
