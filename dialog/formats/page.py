"""Exports as web pages: the pages of each chat, and what one would see of a piece of one."""

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from lxml import etree
from lxml.html import HtmlElement, HTMLParser

from dialog.conversation import Caveat
from dialog.formats.html_text import BLOCKS, UNSEEN
from dialog.formats.source import Source, Unreadable

BROKEN_OFF = Caveat("broken-off", "the page breaks off; what stands before that was read")

_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*<(?:!doctype html|html|head|body)", re.IGNORECASE)
_BREAK = "\x1e"  # where a block begins or ends; nobody writes it
_BREAKS = re.compile(rf"[\s{_BREAK}]*{_BREAK}[\s{_BREAK}]*")
_KEPT = frozenset(("pre", "textarea"))
_NO_WORDS = "\x00"  # ends a page for the parser


class Page(NamedTuple):
    """A web page, the file it is from where there are several, and what to know of it."""

    root: HtmlElement
    place: str
    warnings: tuple[str, ...]

    def first(self, name: str) -> HtmlElement | None:
        """The first element of a class."""
        return next(iter(self.root.find_class(name)), None)


def is_page(head: bytes) -> bool:
    """Whether these bytes begin a web page."""
    if head[1:2] == b"\0" or head[3:4] == b"\0":
        head = head.replace(b"\0", b"")  # two bytes a letter
    return _BEGINNING.match(head) is not None


def has_pages(source: Source) -> bool:
    """Whether a log is a web page, or an export of many."""
    if source.tree is None:
        return is_page(source.head(1024))
    return all(name.endswith(".html") for names in source.tree.chats.values() for name in names)


def chats_of(source: Source) -> Iterator[tuple[str, list[Page | Unreadable]]]:
    """What each chat of an export is called by its files, and its pages in order."""
    if source.tree is None:
        text, fault = source.text()
        yield "", [_page(text, "", fault, source.take_warnings())]
        return
    for chat, names in source.tree.chats.items():
        yield chat, [_page(source.member(name) or "", name, None, ()) for name in names]


def _page(text: str, place: str, fault: str | None, warnings: tuple[str, ...]) -> Page | Unreadable:
    parser = HTMLParser(encoding="utf-8", huge_tree=True, no_network=True)
    data = text.replace(_NO_WORDS, "").encode("utf-8", "replace")
    root = etree.fromstring(data, parser) if data.strip() else None
    if root is None:
        return Unreadable.at(0, f"{place}: {fault or 'nothing in it'}".removeprefix(": "))
    whole = "</html>" in text[-200:].lower() and not fault
    return Page(root, place, warnings if whole else (*warnings, BROKEN_OFF))


def within(element: HtmlElement, name: str) -> HtmlElement | None:
    """The first child of a class."""
    return next((child for child in element if name in classes(child)), None)


def classes(element: HtmlElement) -> Collection[str]:
    """The classes of an element."""
    return (element.get("class") or "").split()


def shown(element: HtmlElement | None, *, without: Collection[str] = (), kept: Collection[str] = ()) -> str:
    """The text one would see: blocks and <br> on lines of their own, pictures by the words that stand for them (emoji).

    `without` are classes and tags to leave out, `kept` are classes in which line ends are line ends."""
    if element is None:
        return ""
    parts: list[str] = []
    unseen = verbatim = 0
    for event, node in etree.iterwalk(element, events=("start", "end", "comment", "pi")):
        plain = event in ("comment", "pi")
        tag = "" if plain else str(node.tag).lower()
        names = () if plain else (tag, *classes(node))
        if event == "start":
            unseen += bool(unseen or tag in UNSEEN or any(name in without for name in names))
            verbatim += bool(verbatim or tag in _KEPT or any(name in kept for name in names))
            if not unseen:
                parts += ["\n" if tag == "br" else _BREAK if tag in BLOCKS else "", _words(node.text, verbatim)]
                parts.append((node.get("alt") or "") if tag == "img" else "")
            continue
        if event == "end":
            if not unseen:
                parts.append(_BREAK if tag in BLOCKS and tag != "br" else "")
            unseen, verbatim = max(0, unseen - 1), max(0, verbatim - 1)
        if node is not element and not unseen:
            parts.append(_words(node.tail, verbatim))
    text = _BREAKS.sub("\n", "".join(parts).replace("\u00a0", " "))
    return "\n".join(line.strip() for line in text.split("\n")).strip()


def _words(text: str | None, verbatim: int) -> str:
    return "" if not text else text if verbatim else re.sub(r"[ \t\r\n\f\v]+", " ", text)
