"""Snapchat's My Data as web pages, its default: a page for each chat (`subpage_bo.html`), or tables on one page in
exports of before 2023.

A chat's page has cards, newest first: who (a heading), what kind, the words, when. Styles of the pages change, so a
message is told by its order alone: a name opens it, and the time closes it.
"""

import re
from collections.abc import Iterator

from lxml.html import HtmlElement

from dialog.conversation import Conversation
from dialog.formats.chat_json import Gathering, name_of
from dialog.formats.page import Page, chats_of, shown
from dialog.formats.snapchat import ME, of_kind
from dialog.formats.source import Source, Unreadable

_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(?: UTC)?")
_KIND = re.compile(r"[A-Z]{3,}")
_TITLE = re.compile(r"^\s*Chat History (?:with )?", re.IGNORECASE)


def read_snapchat_page(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each chat, called after it."""
    for number, (chat, pages) in enumerate(chats_of(source), 1):
        for page in pages:
            if isinstance(page, Unreadable):
                yield page
                continue
            found: dict[str, Gathering] = {}
            default = name_of(_title(page), chat or f"{source.name}-{number}")
            for row in page.root.iter("tr"):
                _take_row(row, default, found)
            _take_cards(page, found.setdefault(default, Gathering(default)))
            for gathering in found.values():
                yield from gathering.items(page.warnings)


def _title(page: Page) -> str:
    heading = next(iter(page.root.iter("h1")), None)
    return _TITLE.sub("", shown(heading))


def _take_cards(page: Page, gathering: Gathering) -> None:
    """Every message between a name and a time."""
    speaker, kind, words = "", "", list[str]()
    for element in page.root.iter("h4", "h5", "h6", "p", "span"):
        text = shown(element)
        if element.tag == "h4":
            speaker, kind, words = text, "", []
        elif not speaker or not text:
            continue
        elif _TIME.fullmatch(text):
            gathering.add(of_kind(speaker, kind, "\n".join(words), text))
            speaker = ""
        elif element.tag == "p":
            words.append(text)
        elif _KIND.fullmatch(text):
            kind = text


def _take_row(row: HtmlElement, default: str, found: dict[str, Gathering]) -> None:
    """A row of an old page's tables: who or to whom, the kind, the time, and the words."""
    cells = [shown(cell) for cell in row.iter("td")]
    at = next((i for i, cell in enumerate(cells) if _TIME.fullmatch(cell)), 0)
    if at < 1:
        return
    kind = next((cell for cell in cells[1:] if _KIND.fullmatch(cell)), "")
    words = [cell for cell in cells[1:] if cell not in (kind, cells[at])]
    speaker = ME if _is_sent(row) else cells[0]
    gathering = found.setdefault(default, Gathering(default))
    gathering.add(of_kind(speaker, kind, "\n".join(words), cells[at]))


def _is_sent(row: HtmlElement) -> bool:
    """Whether the table's first column says to whom, and not from whom."""
    table = next(row.iterancestors("table"), None)
    heading = None if table is None else next(table.iter("th"), None)
    return shown(heading).casefold() == "to"
