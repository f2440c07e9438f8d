"""IRC logs as the common clients write them: `[10:20] <mira> hi`, `2024-05-01 10:20:30⇥mira⇥hi`, `* mira waves`.

Who does something with `/me` says so: `extra.action` is true. Joins, parts, modes and the like are left out and
counted.
"""

import re
from collections.abc import Iterator

from dialog.conversation import Conversation, Utterance
from dialog.formats.date_order import read_stamps
from dialog.formats.left_out import EMPTY, SYSTEM, LeftOut, is_silent
from dialog.formats.source import Source, Unreadable
from dialog.formats.stamp import Stamp, find_stamp

_NICK = r"[^\s<>:*]{1,40}"
_SPEECH = re.compile(rf"<[ @+%&~!]?(?P<nick>{_NICK})>\s?(?P<text>.*)")
_ACTION = re.compile(rf"\*\s{{1,3}}(?P<nick>{_NICK})\s(?P<text>\S.*)")
_TABBED = re.compile(r"(?P<stamp>\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2})\t(?P<nick>[^\t]{1,41})\t(?P<text>.*)")
_NOTICE = re.compile(r"(?:\*\*\*|-!-|={2,3}|-{2,3}|-->|<--|<-|->|\*\s)(?:\s|$)|--- |\s*$")
_DEEDS = re.compile(
    r"(?:(?:has )?(?:joined|left|quit)\b|(?:sets|changes) (?:mode|topic)|is now known as|was kicked|Now talking)",
    re.IGNORECASE,
)


def is_irc(line: str) -> bool:
    """Whether a line is speech as IRC clients write it."""
    found = find_stamp(line)
    return _SPEECH.match((found.rest if found else line).lstrip()) is not None or _TABBED.match(line) is not None


def read_irc(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a log, called after the file."""
    left_out = LeftOut()
    said: list[tuple[str, str, Stamp | None, str, bool]] = []
    for line in source.lines():
        if line.fault:
            yield Unreadable.at(line.number, line.fault)
            continue
        if not line.text.strip():
            continue
        tabbed = _TABBED.match(line.text)
        found = find_stamp(f"[{tabbed['stamp']}] " if tabbed else line.text)
        rest = (found.rest if found else line.text).lstrip()
        action = None if tabbed else _ACTION.match(rest)
        speech = tabbed or _SPEECH.match(rest)
        if tabbed and tabbed["nick"].strip() in ("*", "", "--", "-->", "<--", "=!="):
            who, _, did = tabbed["text"].partition(" ")
            if tabbed["nick"].strip() != "*" or not did:
                left_out.add(SYSTEM)
                continue
            said.append((who, did, found.stamp if found else None, found.clock if found else "", True))
        elif speech:
            nick = speech["nick"].strip().lstrip("@+%&~!")
            said.append((nick, speech["text"], found.stamp if found else None, found.clock if found else "", False))
        elif action and not _DEEDS.match(action["text"]):
            said.append(
                (action["nick"], action["text"], found.stamp if found else None, found.clock if found else "", True)
            )
        elif action or _NOTICE.match(rest) or (found and not found.rest.strip()):
            left_out.add(SYSTEM)
        else:
            yield Unreadable.at(line.number, "expected `<nick> text`, as IRC clients write it", line.text)
    times, warnings = read_stamps([stamp for _, _, stamp, _, _ in said if stamp and stamp.numbers])
    read = iter(times)
    utterances = []
    for nick, text, stamp, clock, did in said:
        time = next(read) if stamp and stamp.numbers else clock or None
        if is_silent(text):
            left_out.add(EMPTY)
            continue
        utterances.append(Utterance(speaker=nick, text=text.strip(), time=time, extra={"action": True} if did else {}))
    if said or left_out:
        yield Conversation(
            id=f"{source.name}-1",
            utterances=tuple(utterances),
            warnings=(*source.take_warnings(), *warnings, *left_out.warnings()),
            extra=left_out.extra(),
        )
