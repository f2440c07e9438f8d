"""Anybody's table of measurements as a fleet: csv or parquet, any of four shapes (`layout`).

Rows are read in blocks and kept as numbers, 8 bytes a value; more than MAX_VALUES are refused. What cannot be used is
left out and counted by unit and reason; the other units are unharmed.
"""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dialog.formats.source import Source
from dialog.telemetry.cells import SECONDS, as_instant, flag, numbers
from dialog.telemetry.layout import Layout, UnreadableTable, layout_of
from dialog.telemetry.rows import Row, rows_of
from dialog.telemetry.series import Fleet, Floats, Series

MAX_VALUES = 50_000_000
"""Numbers of a table that is read whole: 400 MB."""
_BLOCK = 65_536
_SAMPLE = 200
_UNSORTED = 0.05  # of a unit's rows: with more than these before their time the table is in no order

NO_UNIT, NO_TIME, NOT_AFTER = "no unit", "no time, or none that can be read", "time not after the one before"
AFTER_FAILURE, UNEVEN, TEXT = "after the failure", "more cells than the header, or fewer", "text instead of a number"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A table as a fleet, and what had to be said about it."""

    fleet: Fleet
    layout: Layout
    notes: tuple[str, ...]
    left_out: Mapping[str, Mapping[str, int]]
    """Unit, then reason, then rows (of a text instead of a number: cells). The unit "" is rows without one."""
    began: Mapping[str, datetime] = field(default_factory=dict)
    """Of a table with dates: the instant from which each unit's times count, its first sample."""
    rows: int = 0


@dataclass(slots=True)
class _Unit:
    """What has come of one unit."""

    times: "array[float]" = field(default_factory=lambda: array("d"))
    values: "array[float]" = field(default_factory=lambda: array("d"))  # row by row
    failed: "array[float]" = field(default_factory=lambda: array("d"))
    failure: float | None = None
    remaining: float | None = None
    lot: str = ""


def read_fleet(
    table: Source | str | Path | BinaryIO,
    *,
    columns: Mapping[str, str] | None = None,
    channels: Sequence[str] | None = None,
    shape: str | None = None,
    time_unit: str | None = None,
) -> Reading:
    """The fleet in a table; see `layout_of` for what may be told. Raises UnreadableTable where nothing can be read."""
    source = table if isinstance(table, Source) else Source.open(table)
    try:
        return _read(source, columns, channels, shape, time_unit)
    finally:
        if source is not table:
            source.close()


def _read(
    source: Source,
    columns: Mapping[str, str] | None,
    channels: Sequence[str] | None,
    shape: str | None,
    time_unit: str | None,
) -> Reading:
    names, rows, comma = rows_of(source)
    first = list(islice(rows, _SAMPLE))
    fit = [row for row in first if len(row) == len(names)]
    if not fit and first:
        raise UnreadableTable(f"the rows have {len(first[0])} cells and the header {len(names)}")
    layout = layout_of(names, fit, columns=columns, channels=channels, shape=shape, time_unit=time_unit, comma=comma)
    return gather(layout, chain(first, rows), channels)


def gather(
    layout: Layout,
    rows: Iterable[Row],
    channels: Sequence[str] | None = None,
    began: Mapping[str, datetime] | None = None,
    n_before: int = 0,
) -> Reading:
    """The fleet of these rows. Of a table that grows: where a unit's times count from, and the rows before these."""
    names: dict[str, int] = {}
    if layout.shape == "tidy":
        names = {name: i for i, name in enumerate(channels or ())}
    elif layout.shape == "long":
        names = {name: i for i, (name, _) in enumerate(layout.channels)}
    units: dict[str, _Unit] = {}
    left_out: dict[str, Counter[str]] = {}
    n_rows = kept = 0
    iterator = iter(rows)
    while block := list(islice(iterator, _BLOCK)):
        n_rows += len(block)
        fit = [row for row in block if len(row) == len(layout.names)]
        if len(fit) < len(block):
            left_out.setdefault("", Counter())[UNEVEN] += len(block) - len(fit)
        kept += len(fit) * max(1, len(layout.channels))
        if kept > MAX_VALUES:
            raise UnreadableTable(f"more than {MAX_VALUES:,} numbers; divide the table by units")
        if fit:
            _take(layout, fit, n_before + n_rows - len(block), names, units, left_out, closed=channels is not None)
    if layout.shape in ("units", "times"):
        names = {channels[0] if channels else "value": 0}
    notes = list(layout.notes)
    origins: dict[str, datetime] = {}
    series = []
    for name, unit in units.items():
        one = _finish(layout, name, unit, len(names), left_out, notes, began, origins)
        if one is not None:
            series.append(one)
    if not series and began is None:
        why = ", ".join(dict.fromkeys(reason for found in left_out.values() for reason in found))
        raise UnreadableTable(f"no row could be used: {why or 'there are none'}")
    return Reading(
        fleet=Fleet(tuple(names), tuple(series), layout.time_unit),
        layout=layout,
        notes=tuple(notes),
        left_out={unit: dict(found) for unit, found in left_out.items()},
        began=origins,
        rows=n_rows,
    )


def _take(
    layout: Layout,
    rows: list[Row],
    start: int,
    names: dict[str, int],
    units: dict[str, _Unit],
    left_out: dict[str, Counter[str]],
    *,
    closed: bool,
) -> None:
    """A block of rows to the units they are of. start: rows before them. names grow by the channels of a tidy table,
    unless they are closed."""
    cells = list(zip(*rows, strict=True))
    roles = layout.roles

    def column(role: str) -> Sequence[Any] | None:
        return cells[roles[role]] if role in roles else None

    if layout.shape == "times":
        _take_times(layout, rows, units, left_out)
        return
    told = column("time")
    times = np.arange(start, start + len(rows), dtype=np.float64) if told is None else _times(layout, told)
    if layout.shape == "units":
        for name, i in layout.channels:
            values, texts = numbers(cells[i], comma=layout.comma)
            known = ~np.isnan(times) & ~np.isnan(values)
            unit = units.setdefault(name, _Unit())
            unit.times.extend(times[known])
            unit.values.extend(values[known])
            unit.failed.extend(np.zeros(int(known.sum())))
            _count(left_out, name, TEXT, texts)
            _count(left_out, name, NO_TIME, int(np.isnan(times).sum()))
        return
    ids = ["1"] * len(rows) if "unit" not in roles else [_text(cell) for cell in cells[roles["unit"]]]
    failed = np.zeros(len(rows)) if (told := column("failed")) is None else np.array([flag(c) for c in told])
    if layout.shape == "tidy":
        for name in (_text(cell) for cell in cells[roles["channel"]]):
            if not closed and name and name not in names:
                names[name] = len(names)
        which = np.array([names.get(_text(cell), -1) for cell in cells[roles["channel"]]])
        amounts, _ = numbers(cells[roles["value"]], comma=layout.comma)
        known = which >= 0
        # One row of the table is one channel of a sample, kept as (which, value) until all have come.
        values = np.column_stack([which.astype(np.float64), amounts])
        text_cells = np.zeros(len(rows), dtype=np.int64)
    else:
        read = [numbers(cells[i], comma=layout.comma) for _, i in layout.channels]
        values = np.column_stack([column for column, _ in read])
        text_cells = np.zeros(len(rows), dtype=np.int64)
        for (_, i), (_, texts) in zip(layout.channels, read, strict=True):
            if texts:
                text_cells += [numbers([cell], comma=layout.comma)[1] for cell in cells[i]]
        known = np.ones(len(rows), dtype=bool)
    places: dict[str, list[int]] = {}
    for i, name in enumerate(ids):
        places.setdefault(name, []).append(i)
    for name, found in places.items():
        if not name:
            _count(left_out, "", NO_UNIT, len(found))
            continue
        at = np.array(found)
        good = at[~np.isnan(times[at]) & known[at]]
        unit = units.setdefault(name, _Unit())
        unit.times.extend(times[good])
        unit.values.extend(values[good].ravel())
        unit.failed.extend(np.nan_to_num(failed[good]))
        _count(left_out, name, NO_TIME, int(np.isnan(times[at]).sum()))
        _count(left_out, name, TEXT, int(text_cells[at].sum()))
        if (lots := column("lot")) is not None and not unit.lot:
            unit.lot = _text(lots[found[0]])
        if unit.failure is None and (ends := column("failure_time")) is not None:
            instants = _times(layout, [ends[i] for i in found])
            unit.failure = next((float(t) for t in instants if not math.isnan(t)), None)
        if (left := column("remaining")) is not None and len(good):
            last = numbers([left[good[-1]]], comma=layout.comma)[0][0]
            unit.remaining = None if math.isnan(last) else float(last)


def _take_times(layout: Layout, rows: list[Row], units: dict[str, _Unit], left_out: dict[str, Counter[str]]) -> None:
    """Rows that are units, with an instant a column."""
    instants = _times(layout, [name for name, _ in layout.channels])
    for row in rows:
        name = _text(row[layout.roles["unit"]])
        if not name:
            _count(left_out, "", NO_UNIT, 1)
            continue
        values, texts = numbers([row[i] for _, i in layout.channels], comma=layout.comma)
        known = ~np.isnan(values)
        unit = units.setdefault(name, _Unit())
        unit.times.extend(instants[known])
        unit.values.extend(values[known])
        unit.failed.extend(np.zeros(int(known.sum())))
        if "lot" in layout.roles:
            unit.lot = _text(row[layout.roles["lot"]])
        if "failure_time" in layout.roles:
            end = float(_times(layout, [row[layout.roles["failure_time"]]])[0])
            unit.failure = None if math.isnan(end) else end
        if "failed" in layout.roles and known.any() and flag(row[layout.roles["failed"]]) == 1.0:
            unit.failed[-1] = 1.0
        _count(left_out, name, TEXT, texts)


def _finish(
    layout: Layout,
    name: str,
    unit: _Unit,
    n_channels: int,
    left_out: dict[str, Counter[str]],
    notes: list[str],
    began: Mapping[str, datetime] | None,
    origins: dict[str, datetime],
) -> Series | None:
    """The unit in the order of time; None where nothing of it could be used."""
    times = np.array(unit.times)
    if not len(times):
        return None
    width = {"tidy": 2, "long": n_channels}.get(layout.shape, 1)
    values = np.array(unit.values).reshape(len(times), width)
    failed = np.array(unit.failed) > 0
    if layout.shape == "tidy":
        times, values, failed = _pivot(times, values, failed, n_channels)
    backwards = int((np.diff(times) <= 0).sum())
    if layout.shape != "tidy" and backwards > max(3, _UNSORTED * len(times)):
        order = np.argsort(times, kind="stable")
        times, values, failed = times[order], values[order], failed[order]
        notes.append(f"unit {name}: its rows were in no order of time, and were put in it")
    later = np.concatenate([[True], times[1:] > np.maximum.accumulate(times)[:-1]])
    _count(left_out, name, NOT_AFTER, int((~later).sum()))
    times, values, failed = times[later], values[later], failed[later]
    scale = SECONDS.get(layout.time_unit, 1.0) if layout.dated else 1.0
    origin = 0.0
    if layout.dated:
        known = (began or {}).get(name)
        origin = float(times[0]) if known is None else known.timestamp()
        origins[name] = datetime.fromtimestamp(origin, UTC)
        times = (times - origin) / scale
        times = times[np.concatenate([[True], np.diff(times) > 0])] if len(times) else times
    failure = _failure(unit, times, failed, origin, scale)
    if failure is not None:
        before = times <= failure
        _count(left_out, name, AFTER_FAILURE, int((~before).sum()))
        times, values = times[before], values[before]
        if not len(times):
            return None
    return Series(name, times, values[: len(times)], failure, unit.lot)


def _failure(unit: _Unit, times: Floats, failed: np.ndarray[Any, Any], origin: float, scale: float) -> float | None:
    """When it failed: as told, or at the first row that says so; where every row does, at the last."""
    if unit.failure is not None:
        return (unit.failure - origin) / scale
    if unit.remaining is not None:
        return float(times[-1]) + max(0.0, unit.remaining)
    if not failed.any():
        return None
    return float(times[-1] if failed.all() else times[int(failed.argmax())])


def _pivot(
    times: Floats, pairs: Floats, failed: np.ndarray[Any, Any], n_channels: int
) -> tuple[Floats, Floats, np.ndarray[Any, Any]]:
    """Samples of all channels, in order of time, from measurements (channel, value). The last word on one holds."""
    instants, place = np.unique(times, return_inverse=True)
    values = np.full((len(instants), n_channels), np.nan)
    there = ~np.isnan(pairs[:, 1])
    values[place[there], pairs[there, 0].astype(int)] = pairs[there, 1]
    over = np.zeros(len(instants), dtype=bool)
    over[place[failed]] = True
    return instants, values, over


def _times(layout: Layout, cells: Sequence[Any]) -> Floats:
    """(n,) in the table's unit, or seconds since 1970 of a table with dates; NaN for what is none."""
    if not layout.dated:
        return numbers(cells, comma=layout.comma)[0]
    found = []
    for cell in cells:
        try:
            found.append(as_instant(cell))
        except ValueError:
            found.append(math.nan)
    return np.array(found)


def _text(cell: Any) -> str:
    """What a unit, lot or channel is called; a whole number written as a float loses its point."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return "" if math.isnan(cell) else str(int(cell)) if cell.is_integer() else str(cell)
    return str(cell).strip()


def _count(left_out: dict[str, Counter[str]], unit: str, reason: str, n: int) -> None:
    if n:
        left_out.setdefault(unit, Counter())[reason] += n
