"""DiscordChatExporter's JSON: one channel a file.

A message's words are its content, what it forwards, and, where it has no content, the title and description of what is
embedded in it, and a poll's question. Joins, pins and the like, and files without a word, are left out and counted;
with words, the files' names are in `extra.media`. Speakers are called by their nickname where they have one.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import BadMessage, Gathering, encodable, name_of, objects, string
from dialog.formats.json_document import opened
from dialog.formats.left_out import CALL, EMPTY, STICKER, SYSTEM, is_silent, kind_of_file
from dialog.formats.source import Source, Unreadable
from dialog.formats.words import words

_SYSTEM = frozenset(
    words(
        "RecipientAdd RecipientRemove ChannelNameChange ChannelIconChange ChannelPinnedMessage GuildMemberJoin "
        "ThreadCreated 1 2 4 5 6 7 8 9 10 11 12 14 15 16 17 18 22 24 25 26 27 28 29 30 31 32 36 37 38 39 44 46"
    )
)
"""What Discord writes itself, by the exporter's name or Discord's number; everything else is somebody's."""


def read_discord(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a channel, called after it."""
    document = yield from opened(source)
    if document is None:
        return
    value = document.value
    messages = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(messages, list):
        yield Unreadable.at(0, "messages: expected an array, as DiscordChatExporter writes it")
        return
    channel = value.get("channel")
    gathering = Gathering(name_of(channel.get("name") if isinstance(channel, dict) else None, f"{source.name}-1"))
    gathering.take(messages, _message, line_of=document.lines_of())
    yield from gathering.items(document.warnings)


def _message(message: Any) -> Utterance | str:
    text = string(message, "content", optional=True)
    kind = str(message.get("type", "Default"))
    if kind in _SYSTEM:
        return SYSTEM
    if kind in ("Call", "3"):
        return CALL
    author = message.get("author")
    files = [string(a, "fileName", optional=True) for a in objects(message.get("attachments"))]
    extra: dict[str, Any] = {"media": files} if files else {}
    forwarded = message.get("forwardedMessage")
    if isinstance(forwarded, dict) and (passed_on := _words(forwarded, bot=True)):
        text = f"{text}\n{passed_on}" if not is_silent(text) else passed_on
        extra["forwarded"] = True
    text = (
        text if extra.get("forwarded") else _words(message, bot=isinstance(author, dict) and bool(author.get("isBot")))
    )
    if is_silent(text):
        return _kind(message, files)
    if not isinstance(author, dict):
        raise BadMessage("author: expected an object")
    return Utterance(
        speaker=string(author, "nickname", optional=True) or string(author, "name"),
        text=text,
        time=string(message, "timestamp", optional=True) or None,
        extra=extra,
    )


def _words(message: dict[str, Any], *, bot: bool) -> str:
    """The content; the embeds' words where there is none, or where a bot wrote both: a person's show a link."""
    content = string(message, "content", optional=True)
    parts = [] if is_silent(content) else [content]
    if bot or not parts:
        parts += [part for embed in objects(message.get("embeds")) for part in _of_embed(embed)]
    poll = message.get("poll")
    if not parts and isinstance(poll, dict):
        question = poll.get("question")
        parts = [
            q for q in (question, question.get("text") if isinstance(question, dict) else None) if isinstance(q, str)
        ]
    return "\n".join(parts)


def _of_embed(embed: dict[str, Any]) -> list[str]:
    fields = [f"{f['name']}: {f['value']}" for f in objects(embed.get("fields")) if "name" in f and "value" in f]
    found = (embed.get("title"), embed.get("description"), *fields)
    return [encodable(part).strip() for part in found if isinstance(part, str) and not is_silent(part)]


def _kind(message: dict[str, Any], files: Sequence[str]) -> str:
    if message.get("stickers"):
        return STICKER
    return kind_of_file(files[0]) if files else EMPTY
