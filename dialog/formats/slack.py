"""Slack's export: the zip as it comes (a folder a channel, a file a day, `users.json`), or one such file.

Each channel is a conversation. Mentions become names, links their labels; joins, topics and the like, and files without
a word, are left out and counted. Times are UTC.
"""

import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import MEDIA, SYSTEM, BadMessage, Gathering, document, string
from dialog.formats.jsonl import load
from dialog.formats.source import MAX_LINE, Source, Unreadable

_WRITTEN = frozenset({"", "bot_message", "file_share", "me_message", "thread_broadcast"})
_LINK = re.compile(r"<([^<>|]{1,2000})(?:\|([^<>]{0,2000}))?>")


def read_slack(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each channel, called after it; of one day's file, called after the file."""
    if source.folders is None:
        read = document(source)
        if isinstance(read, Unreadable):
            yield read
            return
        value, warnings = read
        yield from _channel(f"{source.name}-1", [("", value)], {}, warnings)
        return
    try:
        with zipfile.ZipFile(source.binary()) as archive:
            users = _users(_load(archive, "users.json"))
            for channel, days in source.folders.items():
                yield from _channel(channel, [(day, _load(archive, day)) for day in sorted(days)], users, ())
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError) as error:
        yield Unreadable.at(0, f"a damaged zip archive ({error})")


def _channel(
    id: str, days: list[tuple[str, Any]], users: dict[str, str], warnings: tuple[str, ...]
) -> Iterator[Conversation | Unreadable]:
    gathering = Gathering(id)
    for day, messages in days:
        place = f"{day} " if day else ""
        if not isinstance(messages, list):
            gathering.refuse(day or "file", BadMessage("expected an array of messages"))
            continue
        gathering.take(messages, lambda message: _message(message, users), place)
    yield from gathering.items(warnings)


def _message(message: Any, users: dict[str, str]) -> Utterance | str:
    text = string(message, "text", optional=True)
    if message.get("type", "message") != "message" or string(message, "subtype", optional=True) not in _WRITTEN:
        return SYSTEM
    if not text.strip():
        return MEDIA
    thread = message.get("thread_ts")
    return Utterance(
        speaker=_speaker(message, users),
        text=unescape(_LINK.sub(lambda match: _shown(match, users), text)),
        time=_time(message.get("ts")),
        extra={"thread_ts": thread} if isinstance(thread, str) else {},
    )


def _speaker(message: dict[str, Any], users: dict[str, str]) -> str:
    profile = message.get("user_profile")
    for key in ("display_name", "real_name", "name"):
        if isinstance(profile, dict) and isinstance(profile.get(key), str) and profile[key].strip():
            return str(profile[key]).strip()
    user = string(message, "user", optional=True)
    return users.get(user) or user or string(message, "username", optional=True) or "unknown"


def _shown(match: re.Match[str], users: dict[str, str]) -> str:
    target, label = match[1], match[2]
    if target.startswith("@"):
        return f"@{label or users.get(target[1:], target[1:])}"
    if target.startswith("#"):
        return f"#{label or target[1:]}"
    if target.startswith("!"):
        return label or f"@{target[1:].split('^')[0]}"
    return label or target


def _time(ts: Any) -> str | None:
    try:
        return datetime.fromtimestamp(float(ts), UTC).isoformat(timespec="seconds")
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _load(archive: zipfile.ZipFile, name: str) -> Any:
    """A file's JSON value, or None where there is none."""
    try:
        if archive.getinfo(name).file_size > MAX_LINE:
            return None
        return load(archive.read(name).decode("utf-8", "replace"))
    except (KeyError, ValueError):
        return None


def _users(value: Any) -> dict[str, str]:
    """Ids to the names people see."""
    names = {}
    for user in value if isinstance(value, list) else []:
        if isinstance(user, dict) and isinstance(user.get("id"), str):
            given = user.get("profile")
            profile = given if isinstance(given, dict) else {}
            known = (profile.get("display_name"), profile.get("real_name"), user.get("real_name"), user.get("name"))
            names[user["id"]] = next((n.strip() for n in known if isinstance(n, str) and n.strip()), user["id"])
    return names
