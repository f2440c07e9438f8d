"""WhatsApp's "Export chat", from Android and iOS, in any language and any date order.

    31/12/2020, 21:41 - Ann: Happy new year!            Android
    [12/31/20, 9:41:05 PM] Ann: Happy new year!         iOS

A line that begins with a date is a message; other lines go on with the message above. The order of day, month and year
is told from the whole file (`whatsapp_dates`). What nobody wrote is left out and counted in a warning: system lines (no
name, or one of the known notices), and media without a caption. A caption stays, with the file's name in `extra.media`.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.source import Source, Unreadable
from dialog.formats.whatsapp_dates import Stamp, read_stamps
from dialog.formats.whatsapp_notices import ACTION, ATTACHED_WORDS, EDITED, MEDIA, NOTICE

_MARK = "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff"
_GAP = rf"[\s{_MARK}]{{0,4}}"  # bounded, or a line of spaces would take for ever
_HEADER = re.compile(
    rf"{_GAP}(?P<open>\[)?{_GAP}"
    rf"(?P<a>\d{{1,4}})(?P<sep>[./\-]|年|년)\s?(?P<b>\d{{1,2}})(?:[./\-]|月|월)\s?(?P<c>\d{{1,4}})[.日일]?{_GAP}"
    rf"(?:[,،]|at|um|klo|kl\.?|às|a las|à|alle)?{_GAP}"
    rf"(?P<before>[^\W\d_]{{1,4}})?{_GAP}"
    rf"(?P<hour>\d{{1,2}})[:.](?P<minute>\d{{2}})(?:[:.](?P<second>\d{{2}}))?{_GAP}"
    rf"(?P<after>[^\W\d_](?:[^\W\d_]|[.\s״׳'{_MARK}]){{0,14}}?)?{_GAP}"
    rf"(?(open)\] ?|(?:\s[-–—](?:\s|$)|:\s))(?P<rest>.*)",
    re.DOTALL,
)
_NAMED = re.compile(rf"(?P<speaker>[^\n]{{1,100}}?)\s?:(?: (?P<mark>[{_MARK}]*)|$|(?=\n))(?P<text>.*)", re.DOTALL)
_SPEAKER_MARKS = re.compile(rf"[{_MARK}]")
_IOS_FILE = re.compile(rf"[{_MARK}]*<[^<>:\n]{{2,30}}: ?(?P<file>[^<>:\n]{{1,200}}\.\w{{2,5}})>")
_ANDROID_FILE = re.compile(
    rf"[{_MARK}]*(?:(?P<file>[^<>:\n]{{1,200}}\.\w{{2,5}}) \((?:{ATTACHED_WORDS})\)|"
    r"(?P<made>(?:IMG|VID|AUD|PTT|STK|DOC)-\d{8}-WA\d{4,}\.\w{2,5}) \([^()\n]{2,40}\))(?:\n|$)"
)


SYSTEM = "system line(s)"
MEDIA_ALONE = "media message(s)"


def header_of(text: str) -> re.Match[str] | None:
    """The parts of a line that begins a message: a, b, c (the date's numbers), the time's, the rest; or None."""
    return _HEADER.match(text) if text[:12].strip() and any(c.isdigit() for c in text[:12]) else None


def read_whatsapp(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of an export, with ISO times (no zone: the export names none)."""
    messages: list[tuple[int, Stamp, list[str]]] = []
    for line in source.lines():
        if line.fault:
            yield Unreadable.at(line.number, line.fault)
        elif header := header_of(line.text):
            messages.append((line.number, Stamp.of(header), [header["rest"]]))
        elif messages:
            messages[-1][2].append(line.text)
        elif line.text.strip():
            yield Unreadable.at(
                line.number, "no date at the beginning, and no message above it to go on with", line.text
            )
    warnings = list(source.take_warnings())
    times, told = read_stamps([stamp for _, stamp, _ in messages])
    warnings += told
    left_out: Counter[str] = Counter()
    utterances = []
    for (_, stamp, lines), time in zip(messages, times, strict=True):
        utterance = _utterance("\n".join(lines).rstrip(), ios=stamp.ios)
        if isinstance(utterance, str):
            left_out[utterance] += 1
        else:
            speaker, text, extra = utterance
            utterances.append(Utterance(speaker=speaker, text=text, time=time, extra=extra))
    if left_out:
        counts = " and ".join(f"{n} {kind}" for kind, n in sorted(left_out.items()))
        warnings.append(f"left out: {counts}")
    if messages:
        yield Conversation(id=f"{source.name}-1", utterances=tuple(utterances), warnings=tuple(warnings))


def _utterance(rest: str, *, ios: bool) -> tuple[str, str, dict[str, Any]] | str:
    """Speaker, text and extra of a message; or what kind of thing it is that nobody wrote."""
    named = _NAMED.match(rest)
    if named is None or NOTICE.match(rest) or ACTION.match(rest) or _in_quotes(named["speaker"]):
        return SYSTEM
    speaker = " ".join(_SPEAKER_MARKS.sub("", named["speaker"]).split()).removeprefix("~").strip()
    text = named["text"]
    extra: dict[str, Any] = {}
    if not speaker:
        return SYSTEM
    if edited := EDITED.search(text):
        text, extra["edited"] = text[: edited.start()], True
    if MEDIA.fullmatch(_SPEAKER_MARKS.sub("", text).strip()):
        return MEDIA_ALONE
    if attached := _IOS_FILE.search(text) or _ANDROID_FILE.match(text):
        extra["media"] = attached.groupdict().get("made") or attached["file"]
        text = (text[: attached.start()] + text[attached.end() :]).strip()
        return (speaker, text, extra) if _SPEAKER_MARKS.sub("", text) else MEDIA_ALONE
    if NOTICE.match(text) or (ios and "\u200e" in (named["mark"] or "")):
        # iOS puts a left-to-right mark before what it wrote itself, in every language.
        return SYSTEM
    return speaker, text, extra


def _in_quotes(speaker: str) -> bool:
    """A colon inside quotation marks belongs to a notice: Ann changed the subject to "Plan: lunch"."""
    return speaker.count('"') % 2 == 1 or any(o in speaker and c not in speaker for o, c in ("“”", "„“", "«»"))
