"""DiscordChatExporter's web pages, its default: one channel a file.

What counts as somebody's words is what counts in its JSON (`discord.py`). A message's number tells when it was written,
to the millisecond and whatever the page's language; pages of old versions without numbers have no times.
"""

import re
from collections.abc import Iterator
from typing import Any

from lxml.html import HtmlElement

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import Gathering, moment, name_of
from dialog.formats.left_out import EMPTY, STICKER, SYSTEM, is_silent, kind_of_file
from dialog.formats.page import Page, chats_of, classes, shown
from dialog.formats.source import Source, Unreadable

_AUTHORS = ("chatlog__author", "chatlog__author-name")
_BOTS = ("chatlog__author-tag", "chatlog__bot-tag")
_KEPT = ("chatlog__markdown-preserve", "preserve-whitespace")
_EDITED = ("chatlog__edited-timestamp",)
_FILES = ("chatlog__attachment", "chatlog__attachment-container")
_EMBEDDED = (
    "chatlog__embed-title",
    "chatlog__embed-description",
    "chatlog__embed-field-name",
    "chatlog__embed-field-value",
)
_EPOCH = 1_420_070_400_000  # milliseconds: Discord's numbers count from 2015
_NAMED = re.compile(r"[^\s:/\\]+\.[A-Za-z0-9]{2,5}\b")


def read_discord_page(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a channel, called after it."""
    for number, (chat, pages) in enumerate(chats_of(source), 1):
        for page in pages:
            if isinstance(page, Unreadable):
                yield page
                continue
            gathering = Gathering(name_of(_channel(page), chat or f"{source.name}-{number}"))
            for group in page.root.find_class("chatlog__message-group"):
                _take(group, gathering)
            yield from gathering.items(page.warnings)


def _channel(page: Page) -> str:
    """`general` of `Friends / general`."""
    entries = [shown(entry) for entry in page.root.find_class("preamble__entry")]
    return entries[1].rpartition(" / ")[2] if len(entries) > 1 else ""


def _take(group: HtmlElement, gathering: Gathering) -> None:
    """The messages of one author that follow one another, with the name above the first of them."""
    author = next((shown(one) for name in _AUTHORS for one in group.find_class(name)), "unknown")
    bot = any(group.find_class(tag) for tag in _BOTS)
    for element in group.iter("*"):
        names = classes(element)
        if "chatlog__message-container" in names or ("chatlog__message" in names and element.get("data-message-id")):
            gathering.add(_message(element, author, bot=bot))


def _message(element: HtmlElement, author: str, *, bot: bool) -> Utterance | str:
    if any(str(one.get("class")).startswith("chatlog__system-notification") for one in element.iter("*")):
        return SYSTEM
    parts = [shown(one, without=_EDITED, kept=_KEPT) for one in element.find_class("chatlog__content")]
    if bot or all(is_silent(part) for part in parts):
        parts += [shown(one, kept=_KEPT) for name in _EMBEDDED for one in element.find_class(name)]
    text = "\n".join(part for part in parts if not is_silent(part))
    files = [_file(one) for name in _FILES for one in element.find_class(name)]
    if is_silent(text):
        stickers = element.find_class("chatlog__sticker")
        return STICKER if stickers else kind_of_file(files[0]) if files else EMPTY
    extra: dict[str, Any] = {"media": files} if files else {}
    return Utterance(speaker=author or "unknown", text=text, time=_time(element), extra=extra)


def _file(attachment: HtmlElement) -> str:
    """The name of an attached file, out of the title of a picture or the words of a link."""
    inside = list(attachment.iter("*"))
    links = ((one.get("href") or one.get("src") or "").partition("?")[0].rpartition("/")[2] for one in inside)
    seen = (*(one.get("title") or "" for one in inside), shown(attachment), *links)
    return next((match[0] for words in seen if (match := _NAMED.search(words))), "file")


def _time(element: HtmlElement) -> str | None:
    number = element.get("data-message-id") or str(element.get("id") or "").rpartition("-")[2]
    whole = number.isdecimal() and 15 <= len(number) <= 20
    return moment(((int(number) >> 22) + _EPOCH) / 1000) if whole else None
