"""One message of a WhatsApp export, after its date: who says what, or what kind of thing it is that nobody said."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from dialog.formats.left_out import EMPTY, MEDIA, POLL, SYSTEM, is_silent
from dialog.formats.stamp import without_marks
from dialog.formats.whatsapp_media import attachment_of, media_kind
from dialog.formats.whatsapp_notices import ACTION, EDITED, NOTICES, OWN_ACTION
from dialog.formats.whatsapp_polls import read_poll

_MARK = "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff"
_NAMED = re.compile(
    rf"(?P<speaker>[^\n]{{1,100}}?)\s?[:：](?:\s(?P<mark>[{_MARK}]*)|$|(?=[\n{_MARK}]))(?P<text>.*)", re.DOTALL
)
_TIGHT = re.compile(
    rf"(?P<speaker>[^\n:：]{{1,60}}?)\s?(?:(?<!\d):|:(?!\d)|：)(?!//)\s?(?P<mark>[{_MARK}]*)(?P<text>.*)", re.DOTALL
)
_DID = re.compile(r"\* (?P<speaker>\S{1,40}) (?P<text>\S.*)", re.DOTALL)
"""What somebody does, as Element writes it."""
_ANSWERED = re.compile(r"<[^<>\n\"]{1,80} \"[^\"\n]{0,40}(?:\.\.\.)?\"> |\n\s*(?:>[^\n]*\n)+\s*")
"""What a message answers, as Element and signal-export write it before the words."""
_REACTIONS = re.compile(r"\n?\(- (?P<all>[^\n:]{1,60}: [^\n]{1,200}) -\)\s*$")
"""Behind a message, as signal-export writes them."""
_LINKED = re.compile(r"(?:\s*!?\[[^\]\n]{0,200}\]\((?:<[^>\n]{1,300}>|\.?/?media/[^)\n]{1,300})\))+\s*")
"""Files beside signal-export's text."""
_FIRST_COLON = re.compile(r"[^\n:：]{1,100}[:：](?P<gap>\s|$)?")


class Said(NamedTuple):
    """What somebody said, and what else is known of it."""

    speaker: str
    text: str
    extra: dict[str, Any]


def has_gap(rests: Sequence[str]) -> bool:
    """Whether this export has a space after the colon behind a name; nearly all have."""
    colons = [match for rest in rests[:2000] if (match := _FIRST_COLON.match(rest))]
    return 2 * sum(match["gap"] is not None for match in colons) >= len(colons)


def read_message(rest: str, *, ios: bool, gap: bool = True) -> Said | str:
    """Speaker, text and extra of a message; or the kind of thing it is, in the singular."""
    if did := _DID.match(rest):
        return Said(did["speaker"], did["text"], {"action": True})
    named = (_NAMED.match(rest) or _TIGHT.match(rest)) if gap else (_TIGHT.match(rest) or _NAMED.match(rest))
    if named is None or ACTION.match(rest) or _in_quotes(named["speaker"]):
        return SYSTEM
    for kind, notice in NOTICES.items():
        if notice.match(rest):
            return kind
    speaker = " ".join(without_marks(named["speaker"]).split()).removeprefix("~").strip()
    if not speaker:
        return SYSTEM
    marked = "\u200e" in (named["mark"] or "") or named["text"].startswith("\u200e")
    return _content(speaker, named["text"], ios=ios, marked=marked)


def _content(speaker: str, text: str, *, ios: bool, marked: bool) -> Said | str:
    extra: dict[str, Any] = {}
    if edited := EDITED.search(text):
        text, extra["edited"] = text[: edited.start()], True
    if answered := _ANSWERED.match(text):
        text = text[answered.end() :]
    text = _REACTIONS.sub("", text)
    bare = without_marks(text).strip()
    if _LINKED.fullmatch(bare):
        return MEDIA
    if is_silent(bare):
        return EMPTY
    if kind := media_kind(bare):
        return kind
    if poll := read_poll(bare):
        return (
            POLL
            if not poll.question
            else Said(speaker, poll.question, {**extra, "media": "poll", "options": list(poll.options)})
        )
    if attached := attachment_of(text):
        extra["media"] = attached.file
        return Said(speaker, attached.caption, extra) if without_marks(attached.caption) else attached.kind
    for kind, notice in NOTICES.items():
        if notice.match(text):
            return kind
    own = OWN_ACTION.match(bare)
    if own and (own["who"] or "").strip().casefold() in ("", "you", speaker.casefold()):
        return SYSTEM
    if ios and marked:
        # iOS puts a left-to-right mark before what it wrote itself, in every language.
        return SYSTEM
    return Said(speaker, text, extra)


def _in_quotes(speaker: str) -> bool:
    """A colon inside quotation marks belongs to a notice: Ann changed the subject to "Plan: lunch"."""
    return speaker.count('"') % 2 == 1 or any(o in speaker and c not in speaker for o, c in ("“”", "„“", "«»"))
