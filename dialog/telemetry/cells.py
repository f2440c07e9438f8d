"""What stands in a cell of a table of measurements: a number, an instant, or whether something failed."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from dialog.telemetry.series import Floats

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", "?", "inf", "+inf", "-inf"})
"""Words for a value nobody has. An infinity is no measurement either."""
YES = frozenset({"1", "1.0", "true", "yes", "y", "t", "failed", "failure", "fail", "dead", "broken", "defect", "event"})
NO = frozenset({"0", "0.0", "false", "no", "n", "f", "ok", "alive", "censored", "running", "healthy", "good", "normal"})
SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
"""Units of time that can be turned into one another. Others (`cycle`) only count."""

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
# Thousands are told apart only where a decimal sign follows: `1.234` alone is a number a little above one.
_GROUPS_THEN_COMMA = re.compile(r"[+-]?\d{1,3}(?:[.'’\s]\d{3})+,\d+")
_GROUPS_THEN_POINT = re.compile(r"[+-]?\d{1,3}(?:[,'’\s]\d{3})+\.\d+")
_NO_DIGIT = re.compile(r"[^\d+-]")
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(.*)")
_SLASHED = re.compile(r"\d{1,2}/\d{1,2}/\d{4}")
_PLACES = re.compile(r"(\d{2}:\d{2}:\d{2})[.,](\d+)")


def as_number(cell: Any, *, comma: bool = False) -> float | None:
    """The number; NaN where there is none; None for a text. comma: `3,14` is a number.

    `1.234,5` and `1,234.5` are one, and so it is with spaces or apostrophes between the thousands.
    """
    if cell is None:
        return math.nan
    if isinstance(cell, bool | int | float | np.number):
        value = float(cell)
        return value if math.isfinite(value) else math.nan
    text = str(cell).strip()
    if text.casefold() in MISSING:
        return math.nan
    if comma and _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    elif (comma and _GROUPS_THEN_COMMA.fullmatch(text)) or _GROUPS_THEN_POINT.fullmatch(text):
        whole, fraction = text[: (at := max(text.rfind(","), text.rfind(".")))], text[at + 1 :]
        text = f"{_NO_DIGIT.sub('', whole)}.{fraction}"
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else math.nan


def numbers(cells: Sequence[Any], *, comma: bool = False) -> tuple[Floats, int]:
    """(n,) of a column, NaN where there is no number, and how many cells held a text instead."""
    try:
        values = np.array(cells, dtype=np.float64)
    except (ValueError, TypeError):
        read = [as_number(cell, comma=comma) for cell in cells]
        return np.array([math.nan if x is None else x for x in read]), sum(x is None for x in read)
    return np.where(np.isfinite(values), values, math.nan), 0


def as_instant(cell: Any) -> float:
    """Seconds since 1970 of a date with or without a time; NaN for what is none. Without a zone it is UTC.

    ISO 8601 and `31.12.2025 23:59`. Raises ValueError for `01/02/2025`, of which nobody knows which is the month.
    """
    if cell is None:
        return math.nan
    if isinstance(cell, date):
        return _seconds(cell if isinstance(cell, datetime) else datetime(cell.year, cell.month, cell.day))
    text = str(cell).strip()
    if _SLASHED.match(text):
        raise ValueError(f"time {text!r}: the day or the month first? Expected 2025-12-31 23:59 or 31.12.2025 23:59")
    if dotted := _DAY_FIRST.fullmatch(text):
        day, month, year, rest = dotted.groups()
        text = f"{year}-{int(month):02}-{int(day):02}{rest}"
    text = _PLACES.sub(lambda m: f"{m[1]}.{m[2][:6]:0<6}", text)
    try:
        return _seconds(datetime.fromisoformat(text))
    except ValueError:
        return math.nan


def _seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def flag(cell: Any) -> float:
    """1 for a word that says it failed, 0 for one that says it did not, NaN for any other."""
    if cell is None:
        return 0.0
    if isinstance(cell, bool | np.bool_):
        return float(cell)
    word = str(cell).strip().casefold()
    return 1.0 if word in YES else 0.0 if word in NO or word in MISSING else math.nan
