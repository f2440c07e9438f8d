"""Text messages of Android phones, as SMS Backup & Restore writes them in XML: all chats in one file.

Pictures and other parts of an MMS are left out, and counted where no words come with them; so are drafts. Files are
read piece by piece: the pictures in them make them large.
"""

import re
from collections.abc import Iterator

from lxml import etree

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import Gathering, moment
from dialog.formats.left_out import EMPTY, MEDIA, PICTURE, SOUND, VIDEO, is_silent
from dialog.formats.source import Source, Unreadable

ME = "me"
"""Who has the phone; the export does not say the name."""
DRAFT = "draft"

_RECEIVED, _DRAFTED = "1", "3"
_FROM = "137"
_HALVES = re.compile(r"&#(5[56]\d{3});&#(5[67]\d{3});")
"""Emoji, which the program writes as two halves that no XML may hold."""
_KINDS = {"image": PICTURE, "video": VIDEO, "audio": SOUND}


def read_sms(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each contact or group, in the order of their first messages."""
    chats: dict[str, Gathering] = {}
    parser = etree.XMLPullParser(
        ("end",), tag=("sms", "mms"), recover=True, huge_tree=True, resolve_entities=False, encoding="utf-8"
    )
    for line in source.lines():
        if line.fault:
            yield Unreadable.at(line.number, line.fault)
            continue
        parser.feed((_HALVES.sub(_whole, line.text) + "\n").encode("utf-8", "replace"))
        for _, element in parser.read_events():
            if isinstance(element, etree._Element):
                _take(element, chats, source.name)
                _forget(element)
    warnings = source.take_warnings()
    for gathering in chats.values():
        yield from gathering.items(warnings)


def _forget(element: etree._Element) -> None:
    """Gives back the memory of a message that was read, and of those before it."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _whole(halves: re.Match[str]) -> str:
    pair = chr(int(halves[1])) + chr(int(halves[2]))
    return pair.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _take(element: etree._Element, chats: dict[str, Gathering], default: str) -> None:
    address = element.get("address") or ""
    contact = element.get("contact_name") or ""
    other = contact if contact not in ("", "(Unknown)", "null") else address.replace("~", ", ")
    chat = chats.setdefault(address or other, Gathering(other or f"{default}-{len(chats) + 1}"))
    chat.add(_message(element, other or "unknown", group="~" in address))


def _message(element: etree._Element, other: str, *, group: bool) -> Utterance | str:
    box = element.get("type" if element.tag == "sms" else "msg_box")
    if box == _DRAFTED:
        return DRAFT
    if element.tag == "sms":
        text, kind = element.get("body") or "", EMPTY
    else:
        parts = list(element.iter("part"))
        words = [part.get("text") or "" for part in parts if part.get("ct") == "text/plain"]
        text = "\n".join(word for word in words if word != "null")
        kinds = [(part.get("ct") or "").partition("/")[0] for part in parts]
        kind = next((_KINDS[one] for one in kinds if one in _KINDS), MEDIA if kinds else EMPTY)
    if is_silent(text):
        return kind
    sender = next((a.get("address") for a in element.iter("addr") if a.get("type") == _FROM), None) if group else None
    at = element.get("date") or ""
    return Utterance(
        speaker=(sender or other) if box == _RECEIVED else ME,
        text=text,
        time=moment(int(at) / 1000) if at.isdecimal() and len(at) < 16 else None,
    )
