"""Signal as a web page, as signal-export writes it: a `msg` for each message, on pages within one file."""

from collections.abc import Iterator

from lxml.html import HtmlElement

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import Gathering, name_of
from dialog.formats.left_out import EMPTY, MEDIA, is_silent
from dialog.formats.page import chats_of, shown
from dialog.formats.source import Source, Unreadable

_FILES = ("img", "video", "audio", "a")


def read_signal_page(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a page, called after its title."""
    for number, (chat, pages) in enumerate(chats_of(source), 1):
        for page in pages:
            if isinstance(page, Unreadable):
                yield page
                continue
            title = " ".join((page.root.findtext(".//title") or "").split())
            gathering = Gathering(name_of(title, chat or f"{source.name}-{number}"))
            for message in page.root.find_class("msg"):
                gathering.add(_message(message))
            yield from gathering.items(page.warnings)


def _message(message: HtmlElement) -> Utterance | str:
    def part(name: str) -> str:
        return shown(next(iter(message.find_class(name)), None))

    text = part("body")
    if is_silent(text):
        return MEDIA if any(next(message.iter(tag), None) is not None for tag in _FILES) else EMPTY
    time = f"{part('date')} {part('time')}".strip().replace(" ", "T", 1)
    return Utterance(speaker=part("sender") or "unknown", text=text, time=time or None)
