"""X and Twitter: direct messages and posts of the archive (`data/direct-messages.js`, `direct-messages-group.js`,
`tweets.js`), which are JSON behind `window.YTD.… =`.

The archive names nobody but its owner, and only when it is read whole (`account.js`): others are `user 123`. Reactions,
comings and goings, and pictures without words are left out and counted. Posts are one conversation of their author's.
"""

import html
import json
import re
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import BadMessage, Gathering, encodable, objects, string
from dialog.formats.json_document import Document, parse_document
from dialog.formats.left_out import EMPTY, MEDIA, SYSTEM, is_silent
from dialog.formats.source import Source, Unreadable

ASSIGNMENT = re.compile(r"\ufeff?\s*window\.YTD\.(?P<what>\w+)\.part\d+\s*=")
_KEPT = re.compile(r"direct_message\w*|tweets?|community_tweet|note_tweet")
_NOTHING = "neither direct messages nor posts; those of an archive are in direct-messages.js and tweets.js"


def read_twitter(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each chat of the archive, called after its number, and one for the posts."""
    if source.tree is None:
        text, fault = source.text()
        if fault:
            yield Unreadable.at(0, fault)
        yield from _read(text, {}, source.name)
        return
    me = _owner(source.member(source.tree.people or "") or "")
    for files in source.tree.chats.values():
        for file in files:
            yield from _read(source.member(file) or "", me, source.name)


def _owner(text: str) -> dict[str, str]:
    """The number of the archive's owner, and what that person is called."""
    account = ASSIGNMENT.sub("", text, count=1)
    try:
        held = [one["account"] for one in objects(json.loads(account)) if isinstance(one.get("account"), dict)]
    except ValueError:
        return {}
    return {str(a.get("accountId")): encodable(str(a.get("accountDisplayName") or a.get("username"))) for a in held}


def _read(text: str, me: dict[str, str], name: str) -> Iterator[Conversation | Unreadable]:
    match = ASSIGNMENT.match(text)
    if match and not _KEPT.fullmatch(match["what"]):
        yield Unreadable.at(0, _NOTHING)
        return
    # As many spaces as were cut off, so that lines keep their numbers.
    document = parse_document(text if match is None else " " * match.end() + text[match.end() :])
    if isinstance(document, Unreadable):
        yield document
        return
    yield from document.faults
    items = objects(document.value)
    chats = [one["dmConversation"] for one in items if isinstance(one.get("dmConversation"), dict)]
    for number, chat in enumerate(chats):
        gathering = Gathering(str(chat.get("conversationId") or f"{name}-{number + 1}"))
        messages = chat.get("messages")
        gathering.take(
            messages if isinstance(messages, list) else [],
            partial(_message, people=me),
            line_of=document.lines_of(number=number),
        )
        yield from gathering.items()
    if posts := [one.get("tweet", one.get("noteTweet")) for one in items if "tweet" in one or "noteTweet" in one]:
        yield from _posts(posts, next(iter(me.values()), "Me"), name, document)


def _message(message: Any, people: dict[str, str]) -> Utterance | str:
    created = message.get("messageCreate") if isinstance(message, dict) else None
    if not isinstance(created, dict):
        return SYSTEM
    text = _text(created, "text")
    if is_silent(text):
        return MEDIA if created.get("mediaUrls") else EMPTY
    sender = string(created, "senderId", optional=True)
    return Utterance(
        speaker=people.get(sender) or (f"user {sender}" if sender else "unknown"),
        text=text,
        time=string(created, "createdAt", optional=True) or None,
    )


def _posts(posts: Sequence[Any], author: str, name: str, document: Document) -> Iterator[Conversation | Unreadable]:
    gathering = Gathering(f"{name}-posts")
    gathering.take(posts, partial(_post, author=author), "posts", document.lines_of(""))
    yield from gathering.items()


def _post(post: Any, author: str) -> Utterance | str:
    if not isinstance(post, dict):
        raise BadMessage(f"expected an object, got {type(post).__name__}")
    note = post.get("core")
    text = _text(note, "text") if isinstance(note, dict) else _text(post, "full_text") or _text(post, "text")
    if text.startswith("RT @"):
        return "repost"
    created = string(post, "created_at", optional=True) or string(post, "createdAt", optional=True)
    return Utterance(speaker=author, text=text, time=_time(created))


def _text(held: dict[str, Any], key: str) -> str:
    return html.unescape(string(held, key, optional=True))


def _time(created: str) -> str | None:
    """ISO time of `Wed May 01 10:20:11 +0000 2024`."""
    try:
        return parsedate_to_datetime(created).isoformat(timespec="seconds")
    except (ValueError, TypeError, IndexError):
        return created or None
