"""Which of three numbers is the day: told from all dates of an export together.

An export writes every date in one order, its phone's. A number over 12 is no month, one over 31 is a year, and time
does not run backwards: an order is chosen by how many dates it makes possible, then by how seldom it makes time step
back. Where both leave more than one, a warning says so, and the order is taken that makes the chat much shorter (days,
not months), or else the usual one for the separator.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from dialog.conversation import Caveat
from dialog.formats.stamp import Stamp
from dialog.formats.stamp_words import AM, PM, key_of

ORDERS = ("dmy", "mdy", "ymd")
_MUCH_SHORTER = 5
_EARLIEST = datetime(2009, 1, 1)  # WhatsApp's first year; and no export is from the future
_SHOWN = {"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day"}


def read_stamps(stamps: Sequence[Stamp]) -> tuple[list[str | None], list[str]]:
    """ISO times, to the second, in the order given, with their offset from UTC where one stands there; None for a date
    there is not. And what to warn of."""
    if not stamps:
        return [], []
    clocks, unknown = _clocks(stamps)
    order, ambiguous = choose_order(stamps, clocks)
    times = [_time(stamp, clock, order) for stamp, clock in zip(stamps, clocks, strict=True)]
    warnings: list[str] = []
    if ambiguous:
        others = " or ".join(_SHOWN[o] for o in ambiguous)
        told = f"the dates do not tell their order; read as {_SHOWN[order]}, could be {others}"
        warnings.append(Caveat("date-order", told))
    if unknown:
        told = f"times with {unknown!r} were read as they stand: morning or evening is not known"
        warnings.append(Caveat("half-day", told))
    if missing := sum(time is None for time in times):
        told = f"{missing} date(s) do not exist when read as {_SHOWN[order]}; their messages have no time"
        warnings.append(Caveat("no-such-date", told))
    return [None if t is None else _iso(t, stamp) for t, stamp in zip(times, stamps, strict=True)], warnings


def _iso(time: datetime, stamp: Stamp) -> str:
    return time.date().isoformat() if stamp.hour is None else time.isoformat(timespec="seconds") + _offset(stamp.zone)


def _offset(zone: str) -> str:
    """`+0200` as `+02:00`, Z and UTC as `+00:00`; nothing where there is none, or none that can be."""
    if zone[:1] not in ("+", "-"):
        return "+00:00" if zone else ""
    hours, minutes = zone[1:3], zone[-2:]
    return f"{zone[0]}{hours}:{minutes}" if int(hours) < 24 and int(minutes) < 60 else ""


def choose_order(stamps: Sequence[Stamp], clocks: Sequence[tuple[int, int, int] | None]) -> tuple[str, list[str]]:
    """The order of the dates, and the other orders that would do as well."""
    times = {o: [_time(s, clock, o) for s, clock in zip(stamps, clocks, strict=True)] for o in ORDERS}
    latest = datetime.now() + timedelta(days=2)
    likely = {o: [t for t in times[o] if t is not None and _EARLIEST <= t <= latest] for o in ORDERS}
    if not any(likely.values()):  # a phone whose clock was never set
        likely = {o: [t for t in times[o] if t is not None] for o in ORDERS}
    scores = {o: (len(likely[o]), -sum(later < earlier for earlier, later in pairwise(likely[o]))) for o in ORDERS}
    best = max(scores.values())
    fitting = [order for order in ORDERS if scores[order] == best]
    if not best[0]:
        return "dmy", []
    usual = _usual(stamps)
    order = next(o for o in usual if o in fitting)
    spans = {o: max(likely[o]) - min(likely[o]) for o in fitting}
    shortest = min(fitting, key=lambda o: spans[o])
    if len({t.date() for t in likely[order]}) > 2 and spans[shortest] * _MUCH_SHORTER < spans[order]:
        order = shortest
    # A two-digit year that could be a day is no real doubt: hardly any phone writes years first without the century.
    rivals = [o for o in fitting if o != order and (o != "ymd" or usual[0] == "ymd")]
    return order, [o for o in rivals if times[o] != times[order]]


def _usual(stamps: Sequence[Stamp]) -> tuple[str, ...]:
    """Orders by how usual they are: a slash with capital AM or PM is American; most others begin with the day."""
    first = stamps[0]
    if first.separator in ("年", "년", "name"):
        return ("ymd", "dmy", "mdy")
    american = first.separator == "/" and any(s.marker in ("AM", "PM") for s in stamps[:100])
    return ("mdy", "dmy", "ymd") if american else ("dmy", "mdy", "ymd")


def _time(stamp: Stamp, clock: tuple[int, int, int] | None, order: str) -> datetime | None:
    """The moment, if the order fits the digits and the date exists. Years of two digits are of this century."""
    at = order.index("y")
    lengths = stamp.digits
    if (
        clock is None
        or stamp.numbers is None
        or lengths[at] not in (2, 4)
        or any(lengths[i] > 2 for i in range(3) if i != at)
    ):
        return None
    year = stamp.numbers[at] + (2000 if lengths[at] == 2 else 0)
    if 2500 < year < 2700:
        year -= 543  # counted from the Buddha's death, as in Thailand
    month, day = stamp.numbers[order.index("m")], stamp.numbers[order.index("d")]
    try:
        return datetime(year, month, day, *clock)
    except ValueError:
        return None


def _clocks(stamps: Sequence[Stamp]) -> tuple[list[tuple[int, int, int] | None], str]:
    """Hours of the day from 0 to 23, minutes, seconds; and a marker nobody knows, if there is one."""
    clocks: list[tuple[int, int, int] | None] = []
    unknown = ""
    for stamp in stamps:
        marker = key_of(stamp.marker)
        hour = stamp.hour or 0
        if marker and hour <= 12:
            if marker in PM:
                hour = hour % 12 + 12
            elif marker in AM:
                hour %= 12
            else:
                unknown = unknown or stamp.marker
        fits = hour < 24 and stamp.minute < 60 and stamp.second < 60
        clocks.append((hour, stamp.minute, stamp.second) if fits else None)
    return clocks, unknown
