"""Which column of somebody's table means what, and which way the table lies.

Four shapes: `long`, a row a sample; `tidy`, a row a measurement (unit, time, channel, value); `units`, a column a unit;
`times`, a row a unit and a column an instant.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from dialog.formats.words import words
from dialog.telemetry.cells import as_instant, as_number, flag

Shape = Literal["long", "tidy", "units", "times"]
SHAPES: tuple[Shape, ...] = ("long", "tidy", "units", "times")

ROLES = {
    "unit": words(
        "unit unit_id unitid unit_nr unit_number device device_id deviceid machine machine_id machineid asset asset_id "
        "serial serial_number serialnumber sn laser laser_id engine engine_id sensor_id host instance id name anlage "
        "geraet gerät maschine"
    ),
    "time": words(
        "time timestamp datetime date_time date ts t time_s time_sec seconds time_min minutes time_h hours hour "
        "operating_hours runtime_h time_d days day age age_h cycle cycles time_cycles time_in_cycles step zeit datum "
        "zeitstempel stunden betriebsstunden"
    ),
    "channel": words("channel variable metric parameter signal tag measurement measure kanal messgröße"),
    "value": words("value reading val wert"),
    "failed": words("failed failure fail event is_failure has_failed broken dead status ausfall"),
    "failure_time": words(
        "failure_time failed_at time_of_failure time_to_failure ttf end_of_life eol lifetime failure_at ausfallzeit"
    ),
    "remaining": words("remaining rul remaining_life remaining_useful_life time_left restlebensdauer"),
    "lot": words("lot lot_id batch batch_id wafer wafer_id group series charge los"),
}
"""What the columns may be called, best first; case, spaces and punctuation do not matter."""

_UNITS_OF_TIME = {
    "s": words("s sec secs second seconds sekunde sekunden"),
    "min": words("min mins minute minutes minuten"),
    "h": words("h hr hrs hour hours std stunde stunden operating_hours betriebsstunden"),
    "d": words("d day days tag tage"),
    "cycle": words("cycle cycles"),
}
UNTOLD = "ticks"
"""The unit of times whose unit nobody told."""
_STEM = re.compile(r"(.*?)\d+\W*")


class UnreadableTable(ValueError):
    """A table that cannot be read as measurements; the message says what was expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How a table is to be read. Columns by their index."""

    names: tuple[str, ...]
    shape: Shape
    roles: Mapping[str, int]
    channels: tuple[tuple[str, int], ...]
    """Of `long`: the measured columns. Of `units` and `times`: the columns of the units or instants."""
    dated: bool
    """Times are instants and not numbers."""
    time_unit: str
    comma: bool
    notes: tuple[str, ...] = ()


def layout_of(
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    columns: Mapping[str, str] | None = None,
    channels: Sequence[str] | None = None,
    shape: str | None = None,
    time_unit: str | None = None,
    comma: bool = False,
) -> Layout:
    """The layout by the header and the first rows. What is given is obeyed, the rest is told from the table.

    columns: a role to a column's name. channels: the only ones to read. Raises UnreadableTable.
    """
    if shape is not None and shape not in SHAPES:
        raise UnreadableTable(f"shape {shape!r}: expected one of {', '.join(SHAPES)}")
    if not rows:
        raise UnreadableTable("no rows below the header")
    roles = _roles(names, rows, columns or {})
    notes: list[str] = []
    found = shape or _shape(names, rows, roles, comma)
    free = [i for i in range(len(names)) if i not in roles.values()]
    if found == "tidy":
        if "channel" not in roles or "value" not in roles:
            raise UnreadableTable(f"a tidy table has columns for the channel and the value; {_there(names)}")
        measured = tuple(("", i) for i in free[:0])
    elif found == "times":
        measured = tuple((names[i], i) for i in free if not math.isnan(_instant_in(names[i])[0]))
        if not measured:
            raise UnreadableTable(f"no column is called by an instant, such as 0, 24, 48; {_there(names)}")
        if "unit" not in roles:
            first = next((i for i in free if (names[i], i) not in measured), None)
            if first is None:
                raise UnreadableTable(f"no column for the unit; {_there(names)}; say which with unit=NAME")
            roles["unit"] = first
    else:
        # A channel called like a part (`value`, `event`) is a channel unless it is needed for what it is called.
        for role in ("channel", "value"):
            roles.pop(role, None)
        free = [i for i in range(len(names)) if i not in roles.values()]
        measured, texts = _measured(names, rows, free, channels, comma)
        if texts:
            notes.append(f"left out, since their cells are no numbers: {', '.join(texts)[:200]}")
        if not measured:
            raise UnreadableTable(f"no column holds measurements; {_there(names)}")
        if not roles and any(as_number(name, comma=comma) is not None for name, _ in measured):
            raise UnreadableTable(
                f"the first line holds numbers ({_there(names).removeprefix('there are ')}) where names of columns are "
                "expected; add a line such as unit,time_h,current"
            )
        if (
            found == "long"
            and "unit" not in roles
            and (named := _naming(names, rows, texts, roles.get("time"), comma)) is not None
        ):
            roles["unit"] = named
            notes = [f"units were told apart by the column {names[named]}"]
            if texts := [name for name in texts if name != names[named]]:
                notes.append(f"left out, since their cells are no numbers: {', '.join(texts)[:200]}")
        elif found == "long" and "unit" not in roles:
            notes.append("no column for the unit; every row was taken to be of one and the same")
    if "time" not in roles and found in ("long", "units"):
        notes.append("no column for the time; rows were counted")
    dated, unit = _time(names, rows, roles, found, measured, time_unit, comma)
    if unit == UNTOLD and "time" in roles and (since := _since_1970([row[roles["time"]] for row in rows], comma)):
        unit = since
        notes.append(f"the times were taken to be {_SINCE[since]} since 1970")
    if unit == UNTOLD:
        notes.append("nobody told the unit of the times; say it with a column such as time_h, or a time unit")
    return Layout(
        names=tuple(names),
        shape=found,
        roles=roles,
        channels=measured,
        dated=dated,
        time_unit=unit,
        comma=comma,
        notes=tuple(notes),
    )


def _roles(names: Sequence[str], rows: Sequence[Sequence[Any]], chosen: Mapping[str, str]) -> dict[str, int]:
    plain = [_plain(name) for name in names]
    roles: dict[str, int] = {}
    for role, column in chosen.items():
        if role not in ROLES:
            raise UnreadableTable(f"columns are for {', '.join(ROLES)}; there is none for {role!r}")
        if _plain(column) not in plain:
            raise UnreadableTable(f"no column {column!r}; {_there(names)}")
        roles[role] = list(names).index(column) if column in names else plain.index(_plain(column))
    for role, synonyms in ROLES.items():
        if role in roles:
            continue
        for word in synonyms:
            i = plain.index(word) if word in plain else -1
            if role == "time" and i < 0:  # `time [h]`, `t (s)`
                i = next((k for k, p in enumerate(plain) if p.startswith(f"{word}_") and _unit_of(p)), -1)
            if i < 0 or i in roles.values():
                continue
            if role == "failed" and any(math.isnan(flag(row[i])) for row in rows):
                continue  # a column `status` or `event` of other words
            roles[role] = i
            break
    return roles


def _shape(names: Sequence[str], rows: Sequence[Sequence[Any]], roles: Mapping[str, int], comma: bool) -> Shape:
    if "channel" in roles and "value" in roles:
        return "tidy"
    free = [i for i in range(len(names)) if i not in roles.values()]
    if "time" not in roles and sum(not math.isnan(_instant_in(names[i])[0]) for i in free) >= max(3, len(free) - 1):
        return "times"
    if "unit" not in roles and len(free) >= 2:
        stems = [_STEM.fullmatch(names[i].strip()) for i in free]
        if all(stems) and len({m[1].casefold() for m in stems if m}) == 1:
            return "units"
    return "long"


def _measured(
    names: Sequence[str], rows: Sequence[Sequence[Any]], free: Sequence[int], wanted: Sequence[str] | None, comma: bool
) -> tuple[tuple[tuple[str, int], ...], list[str]]:
    if wanted is not None:
        plain = {_plain(names[i]): i for i in free}
        missing = [name for name in wanted if _plain(name) not in plain]
        if missing:
            raise UnreadableTable(f"no column for the channel {', '.join(missing)}; {_there(names)}")
        return tuple((name, plain[_plain(name)]) for name in wanted), []
    measured, texts = [], []
    for i in free:
        cells = [as_number(row[i], comma=comma) for row in rows]
        told = [x for x in cells if x is None or not math.isnan(x)]
        if told and 2 * sum(x is not None for x in told) >= len(told):
            measured.append((names[i], i))
        else:
            texts.append(names[i])
    return tuple(measured), texts


def _naming(
    names: Sequence[str], rows: Sequence[Sequence[Any]], texts: Sequence[str], time: int | None, comma: bool
) -> int | None:
    """The column of words that names units, where nobody says which: time goes on within each of its words, and goes
    back from one to another."""
    if time is None:
        return None
    try:
        cells = [row[time] for row in rows]
        clock = [x if (x := as_number(cell, comma=comma)) is not None else as_instant(cell) for cell in cells]
    except ValueError:
        return None
    if all(a < b for a, b in pairwise(clock)):
        return None
    for i in (list(names).index(name) for name in texts):
        last: dict[str, float] = {}
        for row, now in zip(rows, clock, strict=True):
            word = "" if row[i] is None else str(row[i]).strip()
            if not word or not now > last.get(word, -math.inf):
                break
            last[word] = now
        else:
            return i
    return None


def _time(
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    roles: Mapping[str, int],
    shape: Shape,
    measured: Sequence[tuple[str, int]],
    given: str | None,
    comma: bool,
) -> tuple[bool, str]:
    """Whether times are instants, and in which unit they count."""
    if shape == "times":
        dated = all(_instant_in(name)[1] for name, _ in measured)
        return dated, given or ("h" if dated else UNTOLD)
    if "time" not in roles:
        return False, given or "cycle"
    i = roles["time"]
    cells = [row[i] for row in rows]
    if sum(as_number(cell, comma=comma) is not None for cell in cells) * 2 >= len(cells):
        return False, given or _unit_of(_plain(names[i])) or UNTOLD
    try:
        instants = [as_instant(cell) for cell in cells]
    except ValueError as error:
        raise UnreadableTable(str(error)) from None
    if sum(not math.isnan(t) for t in instants) * 2 < len(cells):
        raise UnreadableTable(
            f"the time column {names[i]!r} holds {str(cells[0])[:40]!r}; expected numbers or dates such as "
            "2025-12-31 23:59"
        )
    return True, given or "h"


_SINCE = {"s": "seconds", "ms": "milliseconds"}
_FROM, _TO = 946_684_800.0, 4_102_444_800.0  # the years 2000 and 2100, in seconds


def _since_1970(cells: Sequence[Any], comma: bool) -> str | None:
    """The unit of numbers that are all moments of this century, as clocks of computers count; else None."""
    times = [x for x in (as_number(cell, comma=comma) for cell in cells) if x is not None and not math.isnan(x)]
    for unit, each in (("s", 1.0), ("ms", 1e3)):
        if times and _FROM * each <= min(times) and max(times) <= _TO * each:
            return unit
    return None


def _instant_in(name: str) -> tuple[float, bool]:
    """The instant a column is called by, NaN for none; and whether it is a date."""
    number = as_number(name)
    if number is not None:
        return number, False
    try:
        return as_instant(name), True
    except ValueError:
        return math.nan, True


def _unit_of(plain: str) -> str | None:
    """The unit of time in a column's name: `time_h`, `operating hours`."""
    for unit, synonyms in _UNITS_OF_TIME.items():
        if plain in synonyms or plain.rpartition("_")[2] in synonyms:
            return unit
    return None


def _plain(name: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in name.casefold()).split())


def _there(names: Sequence[str]) -> str:
    return f"there are {', '.join(n for n in names if n)[:200] or 'none'}"
