"""Telegram Desktop's export as web pages, its default: `messages.html`, `messages2.html` and so on, for one chat or for
all.

What is left out and counted is what the JSON export leaves out (`telegram.py`). Who goes on is not named again, so a
message without a name is the last speaker's.
"""

import re
from collections.abc import Iterator
from typing import Any

from lxml.html import HtmlElement

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import Gathering, name_of
from dialog.formats.left_out import (
    CALL,
    CONTACT,
    DOCUMENT,
    EMPTY,
    GIF,
    LOCATION,
    MEDIA,
    PICTURE,
    SOUND,
    STICKER,
    SYSTEM,
    VIDEO,
    is_silent,
)
from dialog.formats.page import chats_of, classes, shown, within
from dialog.formats.source import Source, Unreadable

_KINDS = {
    "sticker_wrap": STICKER,
    "animated_wrap": GIF,
    "photo_wrap": PICTURE,
    "video_file_wrap": VIDEO,
    "media_photo": PICTURE,
    "media_video": VIDEO,
    "media_voice_message": "voice message",
    "media_audio_file": SOUND,
    "media_file": DOCUMENT,
    "media_location": LOCATION,
    "media_live_location": LOCATION,
    "media_venue": LOCATION,
    "media_contact": CONTACT,
    "media_call": CALL,
    "media_poll": "poll",
    "media_game": "game",
    "media_invoice": "invoice",
}
"""Classes of what stands in a message, to what it is counted as."""
_TITLED = {"Sticker": STICKER, "Animation": GIF, "Video message": "video message", "Voice message": "voice message"}
"""What is not in the export looks alike and is told by its title."""
_TIME = re.compile(r"(\d{2})\.(\d{2})\.(\d{4}) (\d{2}:\d{2}:\d{2})(?: UTC([+-]\d{2}:\d{2}))?")


def read_telegram_page(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each chat, called after it."""
    for number, (chat, pages) in enumerate(chats_of(source), 1):
        gathering = Gathering(chat or f"{source.name}-{number}")
        warnings: tuple[str, ...] = ()
        speaker = "unknown"
        for page in pages:
            if isinstance(page, Unreadable):
                yield page
                continue
            header = page.first("page_header")
            title = next(iter(header.find_class("text")), None) if header is not None else None
            gathering.id = name_of(shown(title), gathering.id)
            warnings += page.warnings
            for message in page.root.find_class("message"):
                body = within(message, "body")
                if body is None or "service" in classes(message):
                    if not str(message.get("id", "")).startswith("message-"):  # a day begins: no line of anybody's
                        gathering.add(SYSTEM)
                    continue
                speaker = shown(within(body, "from_name"), without=("details",)) or speaker
                gathering.add(_message(body, speaker))
        yield from gathering.items(tuple(dict.fromkeys(warnings)))


def _message(body: HtmlElement, speaker: str) -> Utterance | str:
    forwarded = within(body, "forwarded")
    inner = body if forwarded is None else forwarded
    text = "\n".join(part for part in (shown(within(one, "text")) for one in dict.fromkeys((body, inner))) if part)
    kind, media = _kind(inner)
    extra: dict[str, Any] = {"media": media} if media else {}
    if is_silent(text) and kind == "poll":
        text = shown(next(iter(inner.find_class("question")), None))
        extra["options"] = [shown(answer).removeprefix("- ") for answer in inner.find_class("answer")]
    if is_silent(text):
        return kind or EMPTY
    return Utterance(speaker=speaker, text=text, time=_time(within(body, "date")), extra=extra)


def _kind(body: HtmlElement) -> tuple[str, str]:
    """What is counted of a message without words, and the class it is told by; nothing where there is no media."""
    wrap = within(body, "media_wrap")
    if wrap is None:
        return "", ""
    for element in wrap.iter("*"):
        if media := next((name for name in classes(element) if name in _KINDS), ""):
            title = shown(next(iter(element.find_class("title")), None))
            return _TITLED.get(title, _KINDS[media]), media
    return MEDIA, "media"


def _time(date: HtmlElement | None) -> str | None:
    match = _TIME.match(date.get("title") or "") if date is not None else None
    if match is None:
        return None
    day, month, year, clock, offset = match.groups()
    return f"{year}-{month}-{day}T{clock}{offset or ''}"
