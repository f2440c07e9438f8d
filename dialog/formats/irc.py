"""IRC logs as the common clients write them: `[10:20] <mira> hi`, `2024-05-01 10:20:30⇥mira⇥hi`, `* mira waves`.

The date stands in every line, or in those that say when a log or a day begins (irssi, HexChat, mIRC). Who does
something with `/me` says so: `extra.action` is true. Joins, parts, modes and the like are left out and counted.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dialog.conversation import Conversation, Utterance
from dialog.formats.date_order import read_stamps
from dialog.formats.left_out import EMPTY, SYSTEM, LeftOut, is_silent
from dialog.formats.source import Source, Unreadable
from dialog.formats.stamp import Found, find_stamp

_NICK = r"[^\s<>:*]{1,40}"
_SPEECH = re.compile(rf"<[ @+%&~!]?(?P<nick>{_NICK})>\s?(?P<text>.*)")
_ACTION = re.compile(rf"\*\s{{1,3}}(?P<nick>{_NICK})\s(?P<text>\S.*)")
_TABBED = re.compile(r"(?P<stamp>\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2})\t(?P<nick>[^\t]{1,41})\t(?P<text>.*)")
_NOBODY = ("", "--", "-->", "<--", "=!=")
_NOTICE = re.compile(r"(?:\*\*\*|-!-|={2,3}|-{2,3}|-->|<--|<-|->|\*\s)(?:\s|$)|--- |-[^\s-][^\s]*- |\s*$")
_SESSION = re.compile(
    r"(?:--- (?:Log (?:opened|closed)|Day changed)|\*{4} (?:BEGIN|ENDING) LOGGING AT|"
    r"Session (?:Start|Close|Ident|Time):)(?P<date>.*)"
)
"""Says when a log, a day or a session begins, or ends."""
_DAY = re.compile(r"\b(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2})(?: [\d:]{5,8})? (?P<year>\d{4})")
_YEARLESS = re.compile(r"(?P<month>[A-Z][a-z]{2}) (?P<day>\d{2}) (?P<rest>\d{2}:\d{2}:\d{2}[ \t].*)")
"""HexChat's: `May 01 10:20:30 <mira>⇥hi`."""
_DEEDS = re.compile(
    r"(?:(?:has )?(?:joined|left|quit)\b|(?:sets|changes) (?:mode|topic)|is now known as|was kicked|(?:Now )?talking)",
    re.IGNORECASE,
)


class _Said(NamedTuple):
    """What somebody said, or did."""

    nick: str
    text: str
    found: Found | None
    did: bool = False


def is_irc(lines: Sequence[str]) -> bool:
    """Whether lines are a log of IRC's: some are speech as its clients write it, and nearly all speech or notices."""
    rests = [_parts(line, "")[1] for line in lines]
    spoken = sum(bool(_SPEECH.match(rest) or _TABBED.match(line)) for rest, line in zip(rests, lines, strict=True))
    told = sum(bool(_NOTICE.match(rest) or _SESSION.match(rest) or _ACTION.match(rest)) for rest in rests)
    mostly = spoken > 0 and told > 0 and 5 * (spoken + told) >= 4 * len(lines)
    return mostly or 5 * spoken >= 2 * len(lines) > 0


def read_irc(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a log, called after the file."""
    left_out = LeftOut()
    said: list[_Said] = []
    day = ""
    for line in source.lines():
        if line.fault:
            yield Unreadable.at(line.number, line.fault)
        elif session := _SESSION.match(line.text):
            date = _DAY.search(session["date"])
            day = "{month} {day}, {year}".format(**date.groupdict()) if date else day
            left_out.add(SYSTEM)
        elif line.text.strip():
            one = _said(line.text, day)
            if one is None:
                yield Unreadable.at(line.number, "expected `<nick> text`, as IRC clients write it", line.text)
            elif isinstance(one, str):
                left_out.add(one)
            else:
                said.append(one)
    dated = [one.found.stamp for one in said if one.found and one.found.stamp.numbers]
    times, warnings = read_stamps(dated)
    read = iter(times)
    utterances = []
    for nick, text, found, did in said:
        time = next(read) if found and found.stamp.numbers else (found.clock if found else None)
        if is_silent(text):
            left_out.add(EMPTY)
        else:
            extra = {"action": True} if did else {}
            utterances.append(Utterance(speaker=nick, text=text.strip(), time=time or None, extra=extra))
    if said or left_out:
        yield Conversation(
            id=f"{source.name}-1",
            utterances=tuple(utterances),
            warnings=(*source.take_warnings(), *warnings, *left_out.warnings()),
            extra=left_out.extra(),
        )


def _parts(text: str, day: str) -> tuple[Found | None, str]:
    """The time of a line, on a day that was told before if there is none in it, and what stands behind it."""
    if tabbed := _TABBED.match(text):
        return find_stamp(f"[{tabbed['stamp']}] "), text
    yearless = _YEARLESS.match(text)
    if yearless:
        day = f"{yearless['month']} {yearless['day']}, {day[-4:]}" if day else ""
        text = yearless["rest"]
    found = find_stamp(text)
    rest = (found.rest if found else text).lstrip()
    if found and day and found.stamp.numbers is None:
        found = find_stamp(f"[{day} {found.clock}] ") or found
    return found, rest


def _said(text: str, day: str) -> _Said | str | None:
    """What a line is: something said or done, something left out, or none of it."""
    found, rest = _parts(text, day)
    if tabbed := _TABBED.match(text):
        nick = tabbed["nick"].strip()
        who, _, did = tabbed["text"].partition(" ")
        if nick in _NOBODY or (nick == "*" and not did):
            return SYSTEM
        return _Said(who, did, found, did=True) if nick == "*" else _Said(_named(nick), tabbed["text"], found)
    if speech := _SPEECH.match(rest):
        return _Said(_named(speech["nick"]), speech["text"], found)
    action = _ACTION.match(rest)
    if action and not _DEEDS.match(action["text"]) and action["nick"] != "Now":
        return _Said(action["nick"], action["text"], found, did=True)
    return SYSTEM if action or _NOTICE.match(rest) or (found and not rest) else None


def _named(nick: str) -> str:
    """A nick without the sign of what it may do."""
    return nick.strip().lstrip("@+%&~!")
