"""iMessage as a web page, as imessage-exporter writes it: a bubble for each part of a message.

Tapbacks, announcements and files without words are left out and counted, as in its text (`imessage.py`). Answers stand
twice, under what they answer and in their own place; they are read once.
"""

from collections.abc import Iterator
from typing import Any

from lxml.html import HtmlElement

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import Gathering
from dialog.formats.date_order import read_stamps
from dialog.formats.left_out import DOCUMENT, EMPTY, PICTURE, SOUND, SYSTEM, VIDEO, is_silent
from dialog.formats.page import chats_of, classes, shown
from dialog.formats.source import Source, Unreadable
from dialog.formats.stamp import Stamp, find_stamp

_MEDIA = {"img": PICTURE, "video": VIDEO, "audio": SOUND}
_ASIDE = ("tapbacks", "reactions", "replies", "reply", "expressive", "announcement")


def read_imessage_page(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a page, called after the file."""
    for number, (chat, pages) in enumerate(chats_of(source), 1):
        for page in pages:
            if isinstance(page, Unreadable):
                yield page
                continue
            gathering = Gathering(chat or f"{source.name}-{number}")
            outer = [one for one in page.root.find_class("message") if not _is_answer(one)]
            stamps = [_stamp(message) for message in outer]
            times, told = read_stamps([stamp for stamp in stamps if stamp])
            known = iter(times)
            for message, stamp in zip(outer, stamps, strict=True):
                gathering.add(_message(message, next(known) if stamp else None))
            for element in page.root.iter("*"):
                if "announcement" in classes(element):
                    gathering.add(SYSTEM)
                elif "tapback" in classes(element) and element.tag == "div":
                    gathering.add("reaction")
            yield from gathering.items((*page.warnings, *told))


def _is_answer(message: HtmlElement) -> bool:
    return any("replies" in classes(above) for above in message.iterancestors())


def _message(message: HtmlElement, time: str | None) -> Utterance | str:
    parts = [shown(part, without=_ASIDE) for part in message.find_class("message_part") if not _within(part, message)]
    text = "\n".join(part for part in parts if not is_silent(part))
    media = next((kind for tag, kind in _MEDIA.items() if next(message.iter(tag), None) is not None), "")
    if is_silent(text):
        return media or (DOCUMENT if message.find_class("attachment") else EMPTY)
    speaker = next((shown(one) for one in message.find_class("sender")), "") or "unknown"
    extra: dict[str, Any] = {"media": media} if media else {}
    return Utterance(speaker=speaker, text=text, time=time, extra=extra)


def _within(part: HtmlElement, message: HtmlElement) -> bool:
    """Whether a part is of an answer that stands in the message."""
    for above in part.iterancestors():
        if above is message:
            return False
        if "replies" in classes(above):
            return True
    return False


def _stamp(message: HtmlElement) -> Stamp | None:
    written = next((shown(one) for one in message.find_class("timestamp")), "")
    found = find_stamp(f"[{written.partition('(')[0].strip()}] ")
    return found.stamp if found and found.whole else None
