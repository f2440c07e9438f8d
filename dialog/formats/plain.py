"""Plain transcripts: `Name: text`, one utterance a line.

    Ann: I finally got the job!!
    Bo: No way,
        that is wonderful news!
    ---
    Cem: Another conversation.

A line without a name that stands directly under an utterance goes on with it, and so does an indented one; blank lines
mean nothing else; a line of three or more - = * or # begins another conversation, and a heading of Markdown is left
out. Where nearly every name stands behind `1.`, `-` or `>`, that is no part of it. A date and a time before the name,
in brackets behind it, or on the line above it are kept (`stamp`). The words stand under the names where the first line
is like `Mira, [01.05.2024 10:20]`, `Mira — 05/01/2024 10:20 AM` or `Mira   0:03`, as Telegram, Discord and Slack are
copied and Teams and Otter write transcripts, and where lines are like `2024-05-01 10:20:11 Mira`, as QQ and WeChat
write and Teams is copied; a title above the first is left out. Any other line without a name is unreadable, and costs
only itself. Where most lines have no name, and the names do not come again either, the file is refused: it is no
transcript.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import SORTED, oldest_first
from dialog.formats.date_order import read_stamps
from dialog.formats.left_out import EMPTY, MEDIA, LeftOut, is_silent
from dialog.formats.source import Line, Source, Unreadable
from dialog.formats.stamp import Found, Stamp, find_stamp

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
_HEADING_LINE = "heading"
_FOOT = re.compile(
    r"(?:Transcribed by https?://\S+|Meeting ended after \d\d:\d\d:\d\d[^\w\n]*|Exported [\d,.]+ message\(s\))\s*$"
)
"""What Otter, Meet and DiscordChatExporter write at the end."""
_BESIDE = re.compile(r"\{(?P<kind>Attachment|Reaction|Sticker|Embed|Invite)s?\}\s*$")
"""What DiscordChatExporter writes above the files, reactions and links of a message, up to an empty line."""
_YEARLESS = re.compile(r"\[(?P<clock>\d{1,2}[/.]\d{1,2}\.? \d{1,2}:\d{2}(?:\s?[AP]M)?)\]\s*(?=\S)")
"""`[01/05 10:20] Ann: hello`, as Teams is copied."""
_PLACED = re.compile(r"\[(?:图片|表情|动画表情|语音|视频|文件|圖片|貼圖|語音|影片|檔案|Photo|Sticker|Voice|Video)\]")
"""What QQ and WeChat write in the place of media."""
_NO_NAME = re.compile(r"[:：]|[.!?。！？…]\s*$|\[|https?$")
_LONGEST_NAME = 40
_MANY = 4  # turns by which names are seen to come again
_SOUGHT = 40
_BOLD = re.compile(
    r"(?P<mark>\*\*|__|\*)(?P<name>[^*_:：\n]{1,60}?)\s?"
    r"(?:[:：](?P=mark)|(?P=mark)(?P<stamp>\s?[\[(][^\[\]()]{3,40}[\])])?\s?[:：])[ \t]*"
)
"""`**Ann:** hi` and `**Ann** (10:20): hi`, as Markdown has it."""
_TITLE = re.compile(r"#{1,6}\s")
_LISTED = re.compile(r"(?:(?:>|[-*•–]|\d{1,6}[.)])\s+)+(?=[^\W_])")
"""What stands before a name in a list or a quotation."""
_REST_OF_A_STAMP = re.compile(
    r"[,;.)\]}]|(?:\d{4}|\d{1,2})\s?[./\-年년]\s?\d{1,2}\s?[./\-月월]\s?(?:\d{4}|\d{1,2})(?![\d./\-])"
    r"|\d{1,2}\s?[h:]\s?\d{2}(?!\d)\W|\d[^\n]*\b(?:19|20)\d\d\b"
)
"""How a name never begins: with what is left of a date or a time."""
_SPOILT = re.compile(r"[^\n]{0,60}?\d[^\n]{0,40}?\S:\s")
"""A turn whose date or time nobody knows: it must not go to whoever spoke before."""
_CUT = re.compile(r"([-=*#])\1{2,}\s*$|>>> [^\n]{1,100}:\s*$")  # the latter between TikTok's chats
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
    nameless: list[Line] = []
    n_lines = 0
    aside: list[str] = []  # kinds of what is left out, counted in the next conversation
    under = False  # whether the line before was of an utterance
    some = [line.text for line in islice(source.lines(), _SOUGHT)]
    head = stamped_name_of if is_stamped(some) else heading_of
    title = title_of(some, head)
    above: Found | None = None  # a date and a time that stand alone
    beside = False  # whether the lines are what stands beside a message
    headed = False  # a copied chat: the name and the time on a line, the words under it
    for line in source.lines():
        if line.number <= title or (_TITLE.match(line.text) and not headed) or _FOOT.match(line.text):
            aside += [_HEADING_LINE] if line.text.strip() else []
            under = False
            continue
        if line.fault:
            wrong.append(Unreadable.at(line.number, line.fault))
        elif not line.text.strip():
            under = beside = False
        elif headed and (match := _BESIDE.match(line.text)):
            beside = True
            aside.append(match["kind"].lower())
        elif beside and not head(line.text):
            continue
        elif _CUT.match(line.text):
            under = False
            if sections[-1]:
                sections.append([])
        else:
            n_lines += 1
            beside = False
            heading = head(line.text) if n_lines == 1 or headed else None
            headed = headed or heading is not None
            if heading:
                sections[-1].append(_Open(heading, []))
            elif sections[-1] and (headed or line.text[0] in " \t"):
                sections[-1][-1].lines.append(line.text.strip())
            elif turn := turn_of(line.text):
                sections[-1].append(_Open(turn._replace(found=turn.found or above), [turn.text.rstrip()]))
                above = None
            elif (found := find_stamp(f"[{line.text.strip()}] ")) and found.whole:
                n_lines -= 1
                under, above = False, found
                continue
            else:
                if not under or not is_silent("".join(sections[-1][-1].lines[:1])):
                    nameless.append(line)  # where a name stands alone, its words are below it
                if under and not _SPOILT.match(line.text):
                    sections[-1][-1].lines.append(line.text.strip())
                else:
                    wrong.append(Unreadable.at(line.number, _NO_TURN, line.text))
            under = bool(sections[-1]) and not (wrong and wrong[-1].line == line.number)
    speakers = [opened.turn.speaker for section in sections for opened in section]
    if not is_transcript(speakers, n_lines - len(nameless), n_lines):
        first = nameless[0]
        reason = f"{len(nameless):,} of {n_lines:,} lines are no turns ({_NO_TURN}), beginning with line {first.number}"
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
        yield _conversation(f"{source.name}-{number}", section, [next(time) for _ in section], warnings, aside)
        aside = []


def is_transcript(speakers: Sequence[str], n_turns: int, n_lines: int) -> bool:
    """Whether most lines have a name, or the names come again and again, as people's do and the colons of prose not."""
    return 2 * n_turns >= n_lines or (len(speakers) >= _MANY and 2 * len(set(speakers)) <= len(speakers))


def title_of(lines: Iterable[str], head: Callable[[str], Turn | None] | None = None) -> int:
    """How many lines stand above the first name and time of a transcript that has them on lines of their own: what it
    is called, when that was. 0 where it begins with one, or is no such transcript. `head` tells such lines."""
    head = head or heading_of
    title = None
    above = turns = headings = 0
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        if head(text):
            title = number - 1 if title is None else title
            headings += 1
        elif title is None:
            above += 1
            turns += turn_of(text) is not None
    plain = not turns or head is not heading_of
    return title or 0 if headings > 1 and plain and above <= _LONGEST_TITLE else 0


def turn_of(text: str) -> Turn | None:
    """The parts of a `Name: text` line, or None where there is no name."""
    text = text.lstrip("\ufeff\u200e\u200f ")
    found = find_stamp(text) or _yearless(text)
    rest = found.rest.lstrip() if found else text
    rest = _BOLD.sub(_plainly, rest, count=1) if rest[:1] in ("*", "_") else rest
    named = _NAMED.match(rest)
    if named is None and found is None and (behind := _STAMP_BEHIND.match(rest)):
        found = find_stamp(f"{behind['stamp']} ")
        named = behind if found else None
    if named is None or _REST_OF_A_STAMP.match(named["speaker"]):
        return None
    if found and found.stamp.hour is None and named["speaker"][0].isdigit():
        return None  # a date, and then a time in a form nobody knows
    return Turn(named["speaker"].strip(), named["text"].strip(" \t"), found)


def _yearless(text: str) -> Found | None:
    match = _YEARLESS.match(text)
    stamp = Stamp(None, (0, 0, 0), "", 0, 0, 0, "")
    return Found(stamp, text[match.end() :], "bracket", match["clock"]) if match else None


def heading_of(text: str) -> Turn | None:
    """The name and the time of `Mira, [01.05.2024 10:20]`, which the words stand under; None for another line."""
    text = text.lstrip("\ufeff\u200e\u200f ")
    match = _HEADING.match(text) or _COPIED.match(text)
    found = find_stamp(f"[{match['stamp'].strip('[]')}] ") if match else None
    return Turn(match["speaker"].strip(), "", found) if match and found and found.stamp.hour is not None else None


def stamped_name_of(text: str) -> Turn | None:
    """The name and the time of `2024-05-01 10:20:11 Mira`; None for another line."""
    found = find_stamp(text)
    name = (found.rest if found else "").strip(" \u200e\u200f")
    if not found or found.stamp.hour is None or not 0 < len(name) <= _LONGEST_NAME or _NO_NAME.search(name):
        return None
    return Turn(name, "", found) if any(c.isalpha() for c in name) and len(name.split()) <= _MANY else None


def is_stamped(lines: Iterable[str]) -> bool:
    """Whether names stand alone behind a date and a time, each above what was said."""
    given = [line for line in lines if line.strip()]
    names = [i for i, line in enumerate(given) if stamped_name_of(line)]
    followed = sum(i + 1 < len(given) and i + 1 not in names for i in names)
    if len(names) < 2 or followed < len(names) - 1 or names[0] > _LONGEST_TITLE:
        return False
    # Where messages have a name and a colon, what stands alone is a notice: `9:41 pm - Ann left`.
    return not any(found.whole and turn_of(found.rest) for line in given if (found := find_stamp(line)))


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


def _plainly(bold: re.Match[str]) -> str:
    return f"{bold['name']}{bold['stamp'] or ''}: "


def _conversation(
    id: str, section: list[_Open], times: list[str | None], warnings: tuple[str, ...], aside: Sequence[str]
) -> Conversation:
    left_out = LeftOut()
    for kind in aside:
        left_out.add(kind)
    utterances = []
    for (turn, lines), time in zip(section, times, strict=True):
        text = "\n".join(lines).strip()
        if _PLACED.fullmatch(text):
            left_out.add(MEDIA)
        elif not is_silent(text):
            utterances.append(Utterance(speaker=turn.speaker, time=time, text=text))
        else:
            left_out.add(EMPTY)
    said, turned = oldest_first(utterances)
    return Conversation(
        id=id,
        utterances=tuple(said),
        warnings=(*warnings, *((SORTED,) if turned else ()), *left_out.warnings()),
        extra=left_out.extra(),
    )
