"""Exports of many files, as a zip or a folder: which files belong to which chat, told from their names alone."""

import posixpath
import re
from collections.abc import Iterable
from typing import NamedTuple

from dialog.formats.words import words

_INDEX = frozenset(
    words("channels.json groups.json dms.json mpims.json users.json org_users.json integration_logs.json")
)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\.json")
_META = re.compile(
    r"(?:^|/)(?:inbox|archived_threads|filtered_threads|message_requests|e2ee_cutover)/(?P<chat>[^/]+)/"
    r"message_(?P<number>\d+)\.(?P<kind>json|html)$"
)
_TELEGRAM = re.compile(r"(?:(?:^|.*/)(?P<chat>[^/]+)/)?messages(?P<number>\d*)\.html$")
_ELEMENT = re.compile(r"(?:^|.*/)(?P<chat>matrix-[^/]+)/messages(?P<number>\d*)\.html$")
_SNAPCHAT = re.compile(r"(?:^|/)chat_history/(?P<chat>(?P<number>)subpage_[^/]+)\.html$")
_GOOGLE = re.compile(r"(?:^|/)Groups/(?P<chat>[^/]+)/(?:messages|group_info)\.json$")
_TWITTER = re.compile(r"(?:^|/)(?:direct-messages(?:-group)?|tweets?)(?:-part\d+)?\.js$")
_WHOLE = ("conversations.json", "result.json", "_chat.txt", "chat_history.json", "messages.json")
"""Files that hold everything of an export by themselves: of ChatGPT and Claude, of Telegram, of WhatsApp on iOS, of
Snapchat, of Skype."""


class Tree(NamedTuple):
    """The format of an export, the files of each chat, and the file that names the people, if there is one."""

    format: str
    chats: dict[str, list[str]]
    people: str | None


def find_tree(names: Iterable[str]) -> Tree | None:
    """The chats of an export of many files; None where the names are those of none."""
    names = sorted(names)
    for kind in ("json", "html"):  # where both are there, they say the same
        if chats := _numbered(m for name in names if (m := _META.search(name)) and m["kind"] == kind):
            return Tree("messenger", chats, None)
    if posted := [name for name in names if _TWITTER.search(name)]:
        account = next((name for name in names if name.endswith("data/account.js")), None)
        return Tree("twitter", {"": posted}, account)
    if found := [match for name in names if (match := _GOOGLE.search(name))]:
        # What a chat is called stands beside its messages, and is read before them.
        spaces = {match["chat"]: [m.string for m in found if m["chat"] == match["chat"]] for match in found}
        return Tree("googlechat", spaces, None)
    if whole_log(names) is not None:
        return _slack(names)
    for program, pattern in (("element", _ELEMENT), ("snapchat", _SNAPCHAT)):
        if chats := _numbered(m for name in names if (m := pattern.search(name))):
            return Tree(program, chats, None)
    if chats := _numbered(m for name in names if (m := _TELEGRAM.fullmatch(name))):
        return Tree("telegram", chats, None)
    return _slack(names)


def _numbered(found: Iterable[re.Match[str]]) -> dict[str, list[str]]:
    """The files of each chat, by their numbers; the first may bear none."""
    chats: dict[str, list[tuple[int, str]]] = {}
    for match in found:
        chats.setdefault(match["chat"] or "", []).append((int(match["number"] or 1), match.string))
    return {chat: [name for _, name in sorted(files)] for chat, files in chats.items()}


def whole_log(names: Iterable[str]) -> str | None:
    """The one file that holds all of an export, among its other files; None where there is none, or more."""
    found = [name for name in names if posixpath.basename(name) in _WHOLE]
    return found[0] if len(found) == 1 else None


def _slack(names: list[str]) -> Tree | None:
    """A folder a channel, a file a day, perhaps all in a folder of their own, with lists of people and channels."""
    index = [name for name in names if posixpath.basename(name) in _INDEX]
    days = [name for name in names if _DAY.fullmatch(posixpath.basename(name)) and "/" in name]
    logs = [name for name in names if name.endswith(".json") and name not in index]
    if not days or (not index and len(days) < len(logs)):
        return None
    root = min((posixpath.dirname(name) for name in index), key=len, default=None)
    if root is None:
        root = posixpath.commonpath([posixpath.dirname(posixpath.dirname(day)) for day in days])
    within = f"{root}/" if root else ""
    chats: dict[str, list[str]] = {}
    for name in logs if index else days:
        channel, _, _ = name.removeprefix(within).rpartition("/")
        if channel and name.startswith(within):
            chats.setdefault(channel, []).append(name)
    people = next(
        (n for base in ("users.json", "org_users.json") for n in index if posixpath.basename(n) == base), None
    )
    return Tree("slack", chats, people) if chats else None
