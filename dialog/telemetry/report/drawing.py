"""A channel of a unit as a drawing: its curve, the forecast and its band, alarms, limit, failure. SVG user units."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dialog.telemetry.advice import figure
from dialog.telemetry.fleet_watch import UnitNow
from models.maintenance.model import Limit

WIDTH, HEIGHT = 720.0, 150.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 8.0, 8.0, 22.0
_MOST = 3  # channels drawn of a unit


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """One channel of one unit. Paths are what stands in an SVG's `d`; empty where there is nothing to draw."""

    channel: str
    curve: str
    dots: tuple[tuple[float, float], ...]
    """Samples with no neighbour to draw a line to."""
    band: str
    median: str
    alarms: tuple[tuple[float, float], ...]
    """x and width of each stretch with an alarm."""
    now: float
    limit: float | None
    failure: float | None
    y_ticks: tuple[tuple[float, str], ...]
    x_ticks: tuple[tuple[float, str], ...]
    said: str
    """The same in words, for who does not see it."""
    width: float = WIDTH
    height: float = HEIGHT
    left: float = _LEFT
    top: float = _TOP
    bottom: float = HEIGHT - _BOTTOM


def drawings(unit: UnitNow, channels: tuple[str, ...], limit: Limit | None) -> list[Drawing]:
    """The limit's channel first, then those of which a forecast leaves what was measured the furthest."""
    if not len(unit.times):
        return []
    order = sorted(range(len(channels)), key=lambda i: -_unrest(unit, i))
    if limit is not None and limit.channel in channels:
        order.remove(channels.index(limit.channel))
        order.insert(0, channels.index(limit.channel))
    return [_drawing(unit, i, channels[i], limit) for i in order[:_MOST]]


def _unrest(unit: UnitNow, channel: int) -> float:
    values = unit.values[:, channel]
    known = values[np.isfinite(values)]
    if unit.outlook is None or len(known) < 2:
        return 0.0
    away = abs(float(unit.outlook.forecast[-1, channel, 1]) - float(known[0])) / (float(known.std()) or 1.0)
    return away if math.isfinite(away) else 0.0


def _drawing(unit: UnitNow, channel: int, name: str, limit: Limit | None) -> Drawing:
    times, values = unit.times, unit.values[:, channel]
    known = np.isfinite(values)
    outlook = unit.outlook
    ahead = np.zeros(0) if outlook is None or unit.failure is not None else outlook.forecast_times
    quantiles = outlook.forecast[:, channel] if outlook is not None and len(ahead) else np.zeros((0, 3))
    x0, x1 = float(times[0]), float(max([times[-1], *ahead]))
    x1 = x1 if x1 > x0 else x0 + 1.0
    low, high = (float(values[known].min()), float(values[known].max())) if known.any() else (0.0, 1.0)
    room = (high - low) or abs(high) or 1.0
    if len(quantiles) and np.isfinite(quantiles).all():
        # A band that opens wide must not flatten the curve.
        low, high = max(low - 2 * room, min(low, quantiles.min())), min(high + 2 * room, max(high, quantiles.max()))
    level = None
    if limit is not None and limit.channel == name and known.any():
        level = limit.value * (float(np.median(values[known][:10])) if limit.relative else 1.0)
        if low - 2 * room <= level <= high + 2 * room:
            low, high = min(low, level), max(high, level)
    margin = 0.06 * ((high - low) or abs(high) or 1.0)
    low, high = low - margin, high + margin

    def x(t: float) -> float:
        return round(_LEFT + (t - x0) / (x1 - x0) * (WIDTH - _LEFT - _RIGHT), 1)

    def y(v: float) -> float:
        share = min(1.05, max(-0.05, (v - low) / (high - low)))
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - _TOP), 1)

    points = [(x(t), y(v)) for t, v in zip(times[known], values[known], strict=True)]
    gap = 8 * float(np.median(np.diff(times))) if len(times) > 2 else math.inf
    pieces = np.split(np.arange(len(points)), np.flatnonzero(np.diff(times[known]) > gap) + 1) if points else []
    band = median = ""
    if len(quantiles) and points and np.isfinite(quantiles).all():
        here = points[-1]
        ends = [x(t) for t in ahead]
        band = _path([here, *zip(ends, map(y, quantiles[:, 2]), strict=True)]) + "".join(
            f"L{a} {y(b)}" for a, b in zip(reversed(ends), reversed(quantiles[:, 0]), strict=True)
        )
        median = _path([here, *zip(ends, map(y, quantiles[:, 1]), strict=True)])
    last = float(values[known][-1]) if known.any() else math.nan
    coming = f", forecast {figure(float(quantiles[-1, 1]))} at {figure(float(ahead[-1]))}" if len(quantiles) else ""
    return Drawing(
        channel=name,
        curve="".join(_path([points[i] for i in piece]) for piece in pieces if len(piece) > 1),
        dots=tuple(points[piece[0]] for piece in pieces if len(piece) == 1),
        band=band and band + "z",
        median=median,
        alarms=_stretches(unit, x),
        now=x(float(times[-1])),
        limit=y(level) if level is not None and low <= level <= high else None,
        failure=x(unit.failure) if unit.failure is not None and unit.failure <= x1 else None,
        y_ticks=tuple((y(v), _tick(v, high - low)) for v in np.linspace(low + margin, high - margin, 3)),
        x_ticks=tuple((x(t), _tick(t, x1 - x0)) for t in np.linspace(x0, x1, 5)),
        said=f"{name}: last {figure(last)}{coming}",
    )


def _path(points: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{a} {b}" for a, b in points)


def _stretches(unit: UnitNow, place: Callable[[float], float]) -> tuple[tuple[float, float], ...]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], unit.alarms, [False]]).astype(np.int8)))
    found = []
    for start, end in edges.reshape(-1, 2):
        a, b = place(float(unit.times[start])), place(float(unit.times[end - 1]))
        found.append((a, round(max(2.0, b - a), 1)))
    return tuple(found)


def _tick(value: float, span: float) -> str:
    """As many places as tell neighbours apart."""
    places = max(0, 1 - math.floor(math.log10(span))) if span > 0 else 2
    return f"{value + 0.0:,.{min(places, 6)}f}"
