"""Element's export of a room as web pages, its default: `messages.html`, `messages2.html` and so on.

Who goes on is not named again, so a message without a name is the last speaker's. A message has the time of day; the
date stands in its title, or else above it, where a day begins.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lxml.html import HtmlElement

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import Gathering, name_of
from dialog.formats.date_order import read_stamps
from dialog.formats.left_out import DELETED, DOCUMENT, EMPTY, PICTURE, SOUND, STICKER, SYSTEM, VIDEO, is_silent
from dialog.formats.page import Page, chats_of, classes, shown
from dialog.formats.source import Source, Unreadable
from dialog.formats.stamp import Stamp, find_stamp

MARK = "mx_Export_EventWrapper"
"""The class of every event, in no other page."""
_DAY = "mx_DateSeparator"
_ANSWERED = "mx_ReplyChain_wrapper"
_KINDS = {
    "mx_MImageBody": PICTURE,
    "mx_MVideoBody": VIDEO,
    "mx_MAudioBody": SOUND,
    "mx_MVoiceMessageBody": SOUND,
    "mx_MFileBody": DOCUMENT,
    "mx_MStickerBody": STICKER,
    "mx_RedactedBody": DELETED,
    "mx_TextualEvent": SYSTEM,
}


def read_element_page(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a room, called after it."""
    for number, (chat, pages) in enumerate(chats_of(source), 1):
        gathering = Gathering(chat or f"{source.name}-{number}")
        warnings: tuple[str, ...] = ()
        found: list[tuple[Utterance | str, Stamp | None]] = []
        speaker, day = "unknown", ""
        for page in pages:
            if isinstance(page, Unreadable):
                yield page
                continue
            gathering.id = name_of(_room(page), gathering.id)
            warnings += page.warnings
            for element in page.root.iter("*"):
                names = classes(element)
                if _DAY in names:
                    day = shown(element)
                elif MARK in names:
                    speaker = _first(element, "mx_DisambiguatedProfile_displayName", "mx_SenderProfile") or speaker
                    found.append((_message(element, speaker), _stamp(element, day)))
        times, told = read_stamps([stamp for _, stamp in found if stamp])
        known = iter(times)
        for said, stamp in found:
            time = next(known) if stamp else None
            gathering.add(said if isinstance(said, str) else replace(said, time=time))
        yield from gathering.items((*dict.fromkeys(warnings), *told))


def _room(page: Page) -> str:
    named = (page.first(name) for name in ("mx_LegacyRoomHeader_nametext", "mx_RoomHeader_nametext"))
    return next((text for text in map(shown, named) if text), "")


def _first(element: HtmlElement, *names: str) -> str:
    """What stands in the first element of one of these classes that is no part of a message answered to."""
    inside = (one for name in names for one in element.find_class(name))
    return next((shown(one) for one in inside if not _is_answered(one)), "")


def _is_answered(element: HtmlElement) -> bool:
    return any(_ANSWERED in classes(above) for above in element.iterancestors())


def _message(event: HtmlElement, speaker: str) -> Utterance | str:
    bodies = [one for one in event.find_class("mx_EventTile_body") if not _is_answered(one)]
    text = "\n".join(shown(body) for body in bodies)
    kind = next((kind for name, kind in _KINDS.items() if event.find_class(name)), "")
    if is_silent(text) or kind in (SYSTEM, DELETED):
        return kind or EMPTY
    extra: dict[str, Any] = {"media": kind} if kind else {}
    if event.find_class("mx_MEmoteBody"):
        extra["action"] = True
        text = text.removeprefix("*").strip().removeprefix(speaker).strip()
    return Utterance(speaker=speaker, text=text, extra=extra)


def _stamp(event: HtmlElement, day: str) -> Stamp | None:
    for clock in event.find_class("mx_MessageTimestamp"):
        written = (clock.get("title") or "", f"{day} {shown(clock)}")
        found = next((f for text in written if (f := find_stamp(f"[{text}] ")) and f.whole), None)
        return found.stamp if found else None
    return None
