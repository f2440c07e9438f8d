"""Facebook's and Instagram's export as web pages, their default: `message_1.html` and so on, for one chat or for all.

Messages stand newest first and are turned round. Classes of the pages are made by machine; the ones read here are those
of 2018 to now. Dates are written in the account's language and read where their form is known.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import Gathering, name_of
from dialog.formats.date_order import read_stamps
from dialog.formats.left_out import EMPTY, PICTURE, SOUND, SYSTEM, VIDEO, is_silent
from dialog.formats.messenger import is_notice
from dialog.formats.page import Page, chats_of, classes, shown
from dialog.formats.source import Source, Unreadable
from dialog.formats.stamp import Stamp, find_stamp

_NAME, _WORDS, _DATE = ("_a6-h", "_2lek"), ("_a6-p", "_2let"), ("_a6-o", "_2lem")
"""The parts of a message, by a class of today's pages and by one of those before 2022."""
_MEDIA = {"img": PICTURE, "video": VIDEO, "audio": SOUND}
_REACTIONS = ("ul", "_a6-q", "_tqp")


class _Box(NamedTuple):
    """A message as it stands there."""

    speaker: str
    text: str
    media: str
    stamp: Stamp | None


def read_messenger_page(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each chat, called after its title."""
    for number, (chat, pages) in enumerate(chats_of(source), 1):
        gathering = Gathering(chat or f"{source.name}-{number}")
        warnings: tuple[str, ...] = ()
        boxes: list[_Box] = []
        for page in pages:
            if isinstance(page, Unreadable):
                yield page
                continue
            gathering.id = name_of(_title(page), gathering.id)
            warnings += page.warnings
            boxes += _boxes(page)
        boxes.reverse()
        times, told = read_stamps([box.stamp for box in boxes if box.stamp])
        known = iter(times)
        for box in boxes:
            gathering.add(_message(box, next(known) if box.stamp else None))
        yield from gathering.items((*dict.fromkeys(warnings), *told))


def _title(page: Page) -> str:
    heading = next(iter(page.root.iter("h1")), None)
    if heading is not None:
        return shown(heading)
    return " ".join((page.root.findtext(".//title") or "").split())


def _boxes(page: Page) -> Iterator[_Box]:
    for date in (one for name in _DATE for one in page.root.find_class(name)):
        box = date.getparent()
        words, name = (next((o for n in part for o in box if n in classes(o)), None) for part in (_WORDS, _NAME))
        if words is None:
            continue
        found = find_stamp(f"[{shown(date)}] ")
        yield _Box(
            speaker=shown(name) or "unknown",
            text=shown(words, without=_REACTIONS),
            media=next((kind for tag, kind in _MEDIA.items() if next(words.iter(tag), None) is not None), ""),
            stamp=found.stamp if found and found.whole else None,
        )


def _message(box: _Box, time: str | None) -> Utterance | str:
    if is_notice(box.text, box.speaker):
        return box.media or SYSTEM
    if is_silent(box.text):
        return box.media or EMPTY
    extra: dict[str, Any] = {"media": box.media} if box.media else {}
    return Utterance(speaker=box.speaker, text=box.text, time=time, extra=extra)
