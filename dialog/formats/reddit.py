"""Reddit: a thread as its own interface answers (`….json` behind its address), or a listing of posts and comments.

A thread is a conversation: the post, then every comment with its answers under it, put in the order of their times.
What was deleted or removed is left out and counted, and so are comments that were not loaded.
"""

from collections.abc import Iterator
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import Gathering, moment, name_of, objects, string
from dialog.formats.html_text import as_text
from dialog.formats.json_document import opened
from dialog.formats.left_out import DELETED, EMPTY, is_silent
from dialog.formats.source import Source, Unreadable

_GONE = frozenset(("[deleted]", "[removed]", "[unavailable]"))
_MORE = "comment that was not loaded"


def read_reddit(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a thread, called after its title; of a listing one for each post."""
    document = yield from opened(source)
    if document is None:
        return
    threads: dict[str, Gathering] = {}
    for thing in _things(document.value):
        data = thing["data"]
        root = name_of(data.get("name") if thing.get("kind") == "t3" else data.get("link_id"), "")
        gathering = threads.setdefault(root, Gathering(name_of(data.get("title"), root or f"{source.name}-1")))
        _take(thing, gathering)
    for gathering in threads.values():
        yield from gathering.items(document.warnings)


def _things(value: Any) -> Iterator[dict[str, Any]]:
    """Posts, comments and lists of what was not loaded, the answers behind each comment."""
    if isinstance(value, list):
        for one in value:
            yield from _things(one)
    elif isinstance(value, dict) and isinstance(data := value.get("data"), dict):
        if value.get("kind") in ("t1", "t3", "more"):
            yield value
            yield from _things(data.get("replies"))
        else:
            yield from _things(data.get("children"))


def _take(thing: dict[str, Any], gathering: Gathering) -> None:
    if thing["kind"] == "more":
        for _ in range(len(objects(thing["data"].get("children"))) or int(thing["data"].get("count") or 0)):
            gathering.add(_MORE)
        return
    gathering.take([thing["data"]], _said, str(thing["data"].get("name") or "comment"))


def _said(data: Any) -> Utterance | str:
    parts = [string(data, key, optional=True).strip() for key in ("title", "selftext", "body")]
    if parts[1] in _GONE or parts[2] in _GONE:
        return DELETED
    text = as_text("\n".join(part for part in parts if part))
    if is_silent(text):
        return EMPTY
    author = string(data, "author", optional=True)
    return Utterance(speaker=author or "unknown", text=text, time=moment(data.get("created_utc")))
