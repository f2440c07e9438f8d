"""Date and time at the beginning of a line, however a program, a phone or a person writes them.

    31/12/2020, 21:41 - Ann: …        [12/31/20, 9:41:05 PM] Ann: …        3.05.21 г., 10:20 - Mira: …
    [21:41, 1/5/2024] Mira: …         2024-05-01 10:00:00 Mira: …          (12:30) Bo: …

Invisible marks may stand anywhere, digits may be of any script. Between the parts only words of closed lists are
allowed, so that a name is never taken for a part of the time; a stamp with other words in it is found too, but is of
the style `loose`, which holds only where a file has nothing better. What the numbers mean is told from all the stamps
of a file together (`date_order`).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple

from dialog.formats.stamp_words import BETWEEN, CLOCK_TAIL, MARKER, MONTHS, YEAR_TAIL, key_of

Style = Literal["bracket", "dash", "colon", "bare", "loose"]

_SEEN = 160  # characters of a line in which a stamp must end
_DIGIT = re.compile(r"\d")
_LIKE = str.maketrans("：／，．［］（）【】–—‐‑−，،٫\u2009", ":/,.[]()[]-----,,. ")
_NUMBERS = re.compile(
    r"(?P<a>\d{4}|\d{1,2})\s{0,2}(?P<sep>[./\-]|年|년)\s{0,2}(?P<b>\d{1,2})\s{0,2}(?:[./\-]|月|월)\s{0,2}"
    rf"(?P<c>\d{{4}}|\d{{1,2}})(?!\d)(?:\s?[日일]|\.(?!\d)|{YEAR_TAIL})?"
)
_NAMES = "|".join(sorted(map(re.escape, MONTHS), key=len, reverse=True))
_DAY_FIRST = re.compile(
    rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th|[.º°])?[\s\-](?:de\s|of\s)?(?P<month>{_NAMES})\.?,?[\s\-](?:del?\s)?"
    rf"(?P<year>\d{{4}}|\d{{2}})(?!\d){YEAR_TAIL}?",
    re.IGNORECASE,
)
_MONTH_FIRST = re.compile(
    rf"(?P<month>{_NAMES})\.?\s(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s(?P<year>\d{{4}})(?!\d)", re.IGNORECASE
)
_YEAR_FIRST = re.compile(rf"(?P<year>\d{{4}})\.?,?\s(?P<month>{_NAMES})\.?\s(?P<day>\d{{1,2}})(?!\d)\.?", re.IGNORECASE)
_CLOCK = re.compile(r"\d\s?[:.h時时시点點]", re.IGNORECASE)
_TIME = re.compile(
    rf"(?:(?P<before>{MARKER})\s?)?(?P<hour>\d{{1,2}})(?:\s?(?P<between>[:.])\s?|\s?(?:h|時|时|시|点|點)\s?)"
    r"(?P<minute>\d{2}(?!\d)|\d(?=\s?[分분]))(?:(?:[:.]|\s?[分분]\s?)(?P<second>\d{2})(?!\d)(?:\s?[秒초])?"
    rf"(?:[.,](?P<fraction>\d{{1,9}}))?)?(?:\s?[分분])?{CLOCK_TAIL}?(?:\s?(?P<after>{MARKER})(?![^\W\d_]))?"
    r"(?P<zone>\s?(?:Z|UTC|GMT|[+\-]\d{2}:?\d{2})(?![^\W_]))?",
    re.IGNORECASE,
)
_COMMA = re.compile(r"\s?,\s?")
_GAP = re.compile(rf"\s{{0,3}}[,;]?\s{{0,3}}{BETWEEN}?\s{{0,2}}", re.IGNORECASE)
_BRACKET = re.compile(r"\[(?P<inner>[^\[\]]{3,80})\]|\((?P<round>[^()]{3,80})\)")
_AFTER_BRACKET = re.compile(r"\s{0,2}(?:-\s|:\s|\s)?\s{0,2}")
_ENDS: tuple[tuple[Style, re.Pattern[str]], ...] = (
    ("dash", re.compile(r"\s[-~|](?:\s|$)")),
    ("colon", re.compile(r":\s")),
    ("bare", re.compile(r"\s{1,3}(?=\S)")),
)
_LOOSE = re.compile(
    r"(?:[^\W\d_]{1,12}[.,]{0,2}\s)?(?P<date>[^\W_].{4,40}?)[^\d:\[\]]{0,24}?(?P<time>\d{1,2}\s?[:.h]\s?\d{2}.{0,30}?)"
    r"(?P<end>\s-(?:\s|$))"
)
_SHORT_WORD = re.compile(r"[^\W\d_.]{1,3}\.?\s-\s?")  # a sign for morning or evening that nobody knows, not a name
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|[.\s'’׳״]){0,14}")
_ANOTHER_NAME = re.compile(r"\s{0,2}:\s[^:]{1,40}:\s")
_NAME_ALONE = re.compile(r"\s{0,2}:")

_DATES = (_NUMBERS, _DAY_FIRST, _MONTH_FIRST, _YEAR_FIRST)


class Stamp(NamedTuple):
    """Date and time as they stand in the file: three numbers with their lengths, and what says morning or evening.

    A month that was named has the separator `name` and its numbers as year, month, day.
    """

    numbers: tuple[int, int, int] | None
    digits: tuple[int, int, int]
    separator: str
    hour: int | None
    minute: int
    second: int
    marker: str
    zone: str = ""
    """What says how far the time is from UTC, as it stands there."""


class Found(NamedTuple):
    """A stamp, what follows it on the line, how it is set off, and how its time of day was written."""

    stamp: Stamp
    rest: str
    style: Style
    clock: str

    @property
    def whole(self) -> bool:
        """Whether it has a date and a time of day."""
        return self.stamp.numbers is not None and self.stamp.hour is not None


class _Date(NamedTuple):
    numbers: tuple[int, int, int]
    digits: tuple[int, int, int]
    separator: str
    start: int
    end: int


def find_stamp(text: str) -> Found | None:
    """The stamp at the beginning of a line; None where there is none."""
    if not _DIGIT.search(text, 0, 24):
        return None
    seen, places = _visible(text)
    start = len(seen) - len(seen.lstrip())
    found = _bracketed(seen, start) or _open(seen, start)
    if found is None or found[2] == "bare":
        loose = _loose(seen, start)
        if loose and (found is None or found[0].hour is None or _SHORT_WORD.fullmatch(seen, found[1], loose[1])):
            found = loose
    if found is None:
        return None
    stamp, end, style, clock = found
    return Found(stamp, text[places[end] :] if end < len(places) else text[_SEEN:], style, clock)


def house_styles(found: Iterable[Found]) -> set[Style]:
    """The styles of a file: stamps set off by nothing, or with strange words, count only where they are the rule."""
    counts = Counter(f.style for f in found)
    firm = sum(counts[s] for s in ("bracket", "dash", "colon"))
    styles: set[Style] = {"bracket", "dash", "colon"}
    if counts["loose"] > firm:
        styles.add("loose")
    if counts["bare"] > firm:
        styles.add("bare")
    return styles


def without_marks(text: str) -> str:
    """The text without characters that show nothing: direction marks, joiners' kin, byte order marks."""
    return text if text.isascii() else "".join(c for c in text if unicodedata.category(c) != "Cf")


def _visible(text: str) -> tuple[str, range | list[int]]:
    """The line's beginning as one sees it, in plain signs, and where each character of it stands."""
    head = text[:_SEEN]
    if head.isascii():
        return head.replace("\t", " "), range(len(head))
    places = [i for i, c in enumerate(head) if unicodedata.category(c) != "Cf"]
    return "".join(" " if head[i].isspace() else head[i] for i in places).translate(_LIKE), places


def _bracketed(seen: str, start: int) -> tuple[Stamp, int, Style, str] | None:
    bracket = _BRACKET.match(seen, start)
    if bracket is None or (inner := _inside(bracket["inner"] or bracket["round"])) is None:
        return None
    stamp, clock = inner
    end = bracket.end()
    again = _BRACKET.match(seen, end) or _BRACKET.match(seen, end + 1)
    if (
        again
        and stamp.hour is None
        and (more := _inside(again["inner"] or again["round"]))
        and more[0].hour is not None
    ):
        stamp = more[0]._replace(numbers=stamp.numbers, digits=stamp.digits, separator=stamp.separator)
        clock, end = more[1], again.end()
    after = _AFTER_BRACKET.match(seen, end)
    return stamp, after.end() if after else end, "bracket", clock


def _inside(inner: str) -> tuple[Stamp, str] | None:
    """What stands between brackets: a date, a time or both, in any order, with any words but no other numbers."""
    first = (match.start() for pattern in _DATES if (match := pattern.search(inner)))
    date = next((found for at in first if (found := _date(inner, at))), None)
    rest = inner if date is None else f"{inner[: date.start]}\n{inner[date.end :]}"
    time = _TIME.search(rest) if _CLOCK.search(rest) else None
    if date is None and (time is None or time.start() > 1 or time.end() < len(rest.rstrip()) - 1):
        return None
    if any(c.isdigit() for c in (rest if time is None else rest[: time.start()] + rest[time.end() :])):
        return None
    if time is None:
        # Words beside a date are only a weekday's: `[see 1/2/2020]` is no stamp.
        return (_stamp(date, None, ""), "") if len(rest.split()) < 2 else None
    unknown = "" if time["after"] or time["before"] else _strange(rest[time.end() :])
    return _stamp(date, time, unknown), _clock(time)


def _open(seen: str, start: int) -> tuple[Stamp, int, Style, str] | None:
    """A stamp without brackets: date and time, or one of them."""
    date = _date(seen, start)
    if date:
        gap = _GAP.match(seen, date.end)
        time = _TIME.match(seen, gap.end()) if gap and gap.end() > date.end else None
    else:
        time = _TIME.match(seen, start)
        if time is not None and time["between"] != ":":
            return None  # 10.20 at the beginning of a line is a number
        if time is not None and (gap := _COMMA.match(seen, time.end())):
            date = _date(seen, gap.end())
    if date is None and time is None:
        return None
    end = max(date.end if date else 0, time.end() if time else 0)
    marker = None
    if time is not None and time["after"] and time.end() == end and _is_name(seen, end, time["after"]):
        end, marker = len(seen[: time.start("after")].rstrip()), ""
    for style, pattern in _ENDS:
        if match := pattern.match(seen, end):
            return _stamp(date, time, "", marker), match.end(), style, _clock(time, marker)
    return None


def _is_name(seen: str, end: int, word: str) -> bool:
    """`10:00:00 Em: hi` is somebody called Em; `9:41:05 PM: Em: hi` is the evening."""
    evening = key_of(word) in ("am", "pm") and _ANOTHER_NAME.match(seen, end)
    return bool(_NAME_ALONE.match(seen, end)) and not evening


def _loose(seen: str, start: int) -> tuple[Stamp, int, Style, str] | None:
    """Date, strange words, time, strange words, and a dash."""
    match = _LOOSE.match(seen, start)
    if match is None:
        return None
    date = _date(seen, match.start("date")) or _date(seen, start)
    if date is None or date.end > match.start("time"):
        return None
    time = _TIME.search(seen, date.end, match.start("end"))
    between = "" if time is None else seen[date.end : time.start()] + seen[time.end() : match.start("end")]
    if time is None or len(between) > 30 or any(c.isdigit() or c in ":[]" for c in between):
        return None
    unknown = "" if time["after"] or time["before"] else _strange(seen[time.end() : match.start("end")])
    return _stamp(date, time, unknown), match.end(), "loose", _clock(time)


def _date(text: str, at: int) -> _Date | None:
    if match := _NUMBERS.match(text, at):
        if at and text[at - 1].isdigit():
            return None
        a, b, c = match["a"], match["b"], match["c"]
        return _Date((int(a), int(b), int(c)), (len(a), len(b), len(c)), match["sep"].strip(), at, match.end())
    if match := next((m for pattern in _DATES[1:] if (m := pattern.match(text, at))), None):
        if at and text[at - 1].isalnum():
            return None
        year = int(match["year"]) + (2000 if len(match["year"]) == 2 else 0)
        return _Date((year, MONTHS[match["month"].lower()], int(match["day"])), (4, 2, 2), "name", at, match.end())
    return None


def _strange(text: str) -> str:
    word = _WORD.search(text)
    return word[0].strip() if word else ""


def _clock(time: re.Match[str] | None, marker: str | None = None) -> str:
    """The time of day as it was written."""
    if time is None:
        return ""
    return (time[0] if marker is None else time[0][: time.start("after") - time.start()]).strip()


def _stamp(date: _Date | None, time: re.Match[str] | None, unknown: str, marker: str | None = None) -> Stamp:
    if marker is None:
        marker = "" if time is None else time["before"] or time["after"] or unknown
    return Stamp(
        numbers=date.numbers if date else None,
        digits=date.digits if date else (0, 0, 0),
        separator=date.separator if date else "",
        hour=int(time["hour"]) if time else None,
        minute=int(time["minute"]) if time else 0,
        second=int(time["second"] or 0) if time else 0,
        marker=marker,
        zone=(time["zone"] or "").strip() if time else "",
    )
