"""Plain transcripts: `Name: text`, one utterance a line.

    Ann: I finally got the job!!
    Bo: No way,
        that is wonderful news!
    ---
    Cem: Another conversation.

An indented line goes on with the utterance above it; blank lines mean nothing; a line of three or more - = * or #
begins another conversation. Where nearly every name stands behind `1.`, `-` or `>`, that is no part of it. A date and
a time before the name, or in brackets behind it, are kept (`stamp`); where the first line is like
`Mira, [01.05.2024 10:20]`, `Mira — 05/01/2024 10:20 AM` or `Mira   0:03`, as Telegram, Discord and Slack are copied and
Teams and Otter write transcripts, the words stand under such lines; a title above the first of them is left out. Any
other line without a name is unreadable, and costs only itself; where most lines are like that the file is refused,
since it is no transcript.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from dialog.conversation import Conversation, Utterance
from dialog.formats.date_order import read_stamps
from dialog.formats.left_out import EMPTY, LeftOut, is_silent
from dialog.formats.source import Source, Unreadable
from dialog.formats.stamp import Found, find_stamp

_NAMED = re.compile(
    r"(?P<speaker>[^\s:：][^:：]{0,59}?)\s*(?::(?=\s|$)|(?<=[\w)\]]):(?=[^\W\d])|：)\s*(?P<text>.*)", re.DOTALL
)
_STAMP_BEHIND = re.compile(
    r"(?P<speaker>[^\s:：\[(][^:：\[(]{0,59}?),?\s{0,3}(?P<stamp>[\[(][^\[\]()]{3,40}[\])])\s{0,3}[:：](?P<text>.*)",
    re.DOTALL,
)
_HEADING = re.compile(r"(?P<speaker>[^\s:：\[(][^:：\[(\n]{0,59}?),?\s{1,3}(?P<stamp>\[[^\[\]]{3,40}\])\s*$")
_COPIED = re.compile(
    r"(?P<speaker>[^\s:：\[(][^:：\[(\n]{0,59}?)(?:\s[—–]\s(?:[^\W\d][^\d\n]{0,24}\s)?|\s{2,4}|\t)"
    r"(?P<stamp>[\d./\-]{0,12},?\s?\d{1,2}:\d{2}(?::\d{2})?(?:\s?[AaPp]\.?[Mm]\.?)?)\s*$"
)
"""`Ann — 05/01/2024 10:20 AM`, `Ann — Today at 10:20 AM` and `Ann  10:20 AM`, as Discord and Slack are copied; and
`Ann  0:03`, as Teams and Otter write."""
_LONGEST_TITLE = 8
_SOUGHT = 40
_BOLD = re.compile(r"(?P<mark>\*\*|__|\*)(?P<name>[^*_:：\n]{1,60}?)\s?(?:[:：](?P=mark)|(?P=mark)\s?[:：])[ \t]*")
"""`**Ann:** hi`, as Markdown has it."""
_LISTED = re.compile(r"(?:(?:>|[-*•–]|\d{1,6}[.)])\s+)+(?=[^\W_])")
"""What stands before a name in a list or a quotation."""
_REST_OF_A_STAMP = re.compile(
    r"[,;.)\]}]|(?:\d{4}|\d{1,2})\s?[./\-年년]\s?\d{1,2}\s?[./\-月월]\s?(?:\d{4}|\d{1,2})(?![\d./\-])"
    r"|\d{1,2}\s?[h:]\s?\d{2}(?!\d)\W|\d[^\n]*\b(?:19|20)\d\d\b"
)
"""How a name never begins: with what is left of a date or a time."""
_CUT = re.compile(r"([-=*#])\1{2,}\s*$")
_NO_TURN = "no name before the text; expected `Name: text`"


class Turn(NamedTuple):
    """One `Name: text` line."""

    speaker: str
    text: str
    found: Found | None


class _Open(NamedTuple):
    """A turn that may go on."""

    turn: Turn
    lines: list[str]


def read_plain(source: Source) -> Iterator[Conversation | Unreadable]:
    """One conversation a section, called after the file and its number."""
    sections: list[list[_Open]] = [[]]
    wrong: list[Unreadable] = []
    n_lines = n_wrong = 0
    title = title_of(line.text for line in islice(source.lines(), _SOUGHT))
    headed = False  # a copied chat: the name and the time on a line, the words under it
    for line in source.lines():
        if line.number <= title:
            continue
        if line.fault:
            wrong.append(Unreadable.at(line.number, line.fault))
        elif not line.text.strip():
            continue
        elif _CUT.match(line.text):
            if sections[-1]:
                sections.append([])
        else:
            n_lines += 1
            heading = heading_of(line.text) if n_lines == 1 or headed else None
            headed = headed or heading is not None
            if heading:
                sections[-1].append(_Open(heading, []))
            elif sections[-1] and (headed or line.text[0] in " \t"):
                sections[-1][-1].lines.append(line.text.strip())
            elif turn := turn_of(line.text):
                sections[-1].append(_Open(turn, [turn.text.rstrip()]))
            else:
                n_wrong += 1
                wrong.append(Unreadable.at(line.number, _NO_TURN, line.text))
    if 2 * n_wrong > n_lines:
        first = next(w for w in wrong if w.reason == _NO_TURN)
        reason = f"{n_wrong:,} of {n_lines:,} lines are no turns ({_NO_TURN}), beginning with line {first.line}"
        yield Unreadable.at(0, reason, first.text)
        return
    yield from wrong
    turns = [opened.turn for section in sections for opened in section]
    if turns and 5 * sum(_LISTED.match(turn.speaker) is not None for turn in turns) >= 4 * len(turns):
        sections = [[_unlisted(opened) for opened in section] for section in sections]
    times, told = times_of(turns)
    time = iter(times)
    warnings = (*source.take_warnings(), *told)
    for number, section in enumerate((s for s in sections if s), 1):
        yield _conversation(f"{source.name}-{number}", section, [next(time) for _ in section], warnings)


def title_of(lines: Iterable[str]) -> int:
    """How many lines stand above the first name and time of a transcript that has them on lines of their own: what it
    is called, when that was. 0 where it begins with one, or is no such transcript."""
    title = None
    above = turns = headings = 0
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        if heading_of(text):
            title = number - 1 if title is None else title
            headings += 1
        elif title is None:
            above += 1
            turns += turn_of(text) is not None
    return title or 0 if headings > 1 and not turns and above <= _LONGEST_TITLE else 0


def turn_of(text: str) -> Turn | None:
    """The parts of a `Name: text` line, or None where there is no name."""
    text = text.lstrip("\ufeff\u200e\u200f ")
    found = find_stamp(text)
    rest = found.rest.lstrip() if found else text
    named = _NAMED.match(_BOLD.sub(r"\g<name>: ", rest, count=1) if rest[:1] in ("*", "_") else rest)
    if named is None and found is None and (behind := _STAMP_BEHIND.match(text)):
        found = find_stamp(f"{behind['stamp']} ")
        named = behind if found else None
    if named is None or _REST_OF_A_STAMP.match(named["speaker"]):
        return None
    if found and found.stamp.hour is None and named["speaker"][0].isdigit():
        return None  # a date, and then a time in a form nobody knows
    return Turn(named["speaker"].strip(), named["text"].strip(" \t"), found)


def heading_of(text: str) -> Turn | None:
    """The name and the time of `Mira, [01.05.2024 10:20]`, which the words stand under; None for another line."""
    text = text.lstrip("\ufeff\u200e\u200f ")
    match = _HEADING.match(text) or _COPIED.match(text)
    found = find_stamp(f"[{match['stamp'].strip('[]')}] ") if match else None
    return Turn(match["speaker"].strip(), "", found) if match and found and found.stamp.hour is not None else None


def _unlisted(opened: _Open) -> _Open:
    speaker = _LISTED.sub("", opened.turn.speaker, count=1)
    return opened._replace(turn=opened.turn._replace(speaker=speaker))


def times_of(turns: list[Turn]) -> tuple[list[str | None], list[str]]:
    """Each turn's time: ISO where there is a date, as it was written where there is none. And what to warn of."""
    dated = [t.found.stamp for t in turns if t.found and t.found.stamp.numbers is not None]
    read, warnings = read_stamps(dated)
    iso = iter(read)
    times: list[str | None] = []
    for turn in turns:
        if turn.found is None:
            times.append(None)
        elif turn.found.stamp.numbers is None:
            times.append(turn.found.clock)
        else:
            times.append(next(iso))
    return times, warnings


def _conversation(id: str, section: list[_Open], times: list[str | None], warnings: tuple[str, ...]) -> Conversation:
    left_out = LeftOut()
    utterances = []
    for (turn, lines), time in zip(section, times, strict=True):
        text = "\n".join(lines).strip()
        if not is_silent(text):
            utterances.append(Utterance(speaker=turn.speaker, time=time, text=text))
        else:
            left_out.add(EMPTY)
    return Conversation(
        id=id,
        utterances=tuple(utterances),
        warnings=(*warnings, *left_out.warnings()),
        extra=left_out.extra(),
    )
