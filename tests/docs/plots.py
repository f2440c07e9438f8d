"""Drawings in docs/measured: what grows with a sequence's length, from the runs kept beside them. Plain SVG."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from tests.docs.benches import RUNS, run_of

Curve = Sequence[tuple[float, float]]
NAMED = {
    "softmax": "#1b6ca8",
    "landmark": "#c0392b",
    "rat": "#b9770e",
    "routing": "#117a65",
    "gla": "#7d3c98",
    "titans": "#d35400",
    "lstm": "#566573",
    "min_rnn": "#229954",
}
"""Mixers with a colour and a name in a drawing; the others are grey, so that they are seen and not told apart."""
WIDTH, HEIGHT = 440.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 84.0, 34.0, 34.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """Curves over tokens, both axes in powers."""

    title: str
    curves: Mapping[str, Curve]
    unit: Callable[[float], str]


def growth() -> str:
    """Forward, forward and backward, a step, each to its own at 256 tokens; and the bytes kept."""
    rows = [row for row in run_of("mixers")["rows"] if "T" in row]
    panels = [
        Panel(title=title, curves=_curves(rows, "T", key, relative=relative), unit=unit)
        for title, key, relative, unit in (
            ("forward, times that of 256 tokens", "forward_seconds", True, _times),
            ("forward and backward, times that of 256 tokens", "seconds", True, _times),
            ("kept for the backward pass", "kept_bytes", False, _bytes),
            ("one step, times that after 256 tokens", "step_seconds", True, _times),
        )
    ]
    return _drawing(panels, "What mixers cost by the number of tokens")


def decoding() -> str:
    """State and pace far into a text."""
    rows = [row for row in run_of("mixers")["rows"] if "position" in row]
    panels = [
        Panel(title="state", curves=_curves(rows, "position", "state_bytes", relative=False), unit=_bytes),
        Panel(
            title="tokens a second, of those at 1,024",
            curves=_curves(rows, "position", "tokens_per_second", relative=True),
            unit=_times,
        ),
    ]
    return _drawing(panels, "Decoding far into a text")


DRAWINGS: dict[Path, Callable[[], str]] = {
    RUNS.parent / "mixers-growth.svg": growth,
    RUNS.parent / "mixers-decoding.svg": decoding,
}
"""By file: what stands in it."""


def _curves(rows: Sequence[Mapping[str, Any]], x: str, y: str, *, relative: bool) -> dict[str, Curve]:
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row.get(y):
            found.setdefault(row["mixer"], []).append((row[x], row[y]))
    curves = {}
    for name, points in found.items():
        points.sort()
        first = points[0][1] if relative else 1.0
        if len(points) > 1:
            curves[name] = [(at, value / first) for at, value in points]
    return curves


def _drawing(panels: Sequence[Panel], title: str) -> str:
    columns = 2
    n_rows = -(-len(panels) // columns)
    width, height = columns * WIDTH, n_rows * HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="sans-serif" font-size="11" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    for i, panel in enumerate(panels):
        parts.append(f'<g transform="translate({i % columns * WIDTH:.0f} {i // columns * HEIGHT:.0f})">')
        parts += [*_panel(panel), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel) -> list[str]:
    every = [point for curve in panel.curves.values() for point in curve]
    (x0, x1), (y0, y1) = (_ends([math.log2(point[i]) for point in every]) for i in (0, 1))

    def x(value: float) -> float:
        return LEFT + (math.log2(value) - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (math.log2(value) - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT:.0f}" y="20" font-weight="bold" fill="#222222">{escape(panel.title)}</text>']
    for at in sorted({point[0] for point in every}):
        parts.append(f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#eeeeee"/>')
        parts.append(
            f'<text x="{x(at):.1f}" y="{HEIGHT - 16:.0f}" text-anchor="middle" fill="#555555">{at:,.0f}</text>'
        )
    step = max(1, round((y1 - y0) / 6))
    for power in range(math.ceil(y0), math.floor(y1) + 1, step):
        height = y(2.0**power)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}" stroke="#eeeeee"/>')
        said = escape(panel.unit(2.0**power))
        parts.append(f'<text x="{LEFT - 6:.0f}" y="{height + 4:.1f}" text-anchor="end" fill="#555555">{said}</text>')
    for name in sorted(panel.curves, key=lambda name: name in NAMED):  # the grey ones lie below
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in panel.curves[name])
        colour, thick = NAMED.get(name, "#d5d8dc"), 2 if name in NAMED else 1
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{thick}"/>')
    return parts + _names(panel, x, y)


def _names(panel: Panel, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    """Beside the ends of the curves, pushed apart where they would lie on each other."""
    ends = sorted((y(curve[-1][1]), name) for name, curve in panel.curves.items() if name in NAMED)
    placed: list[tuple[float, str]] = []
    for height, name in ends:
        placed.append((max(height, placed[-1][0] + 12 if placed else TOP), name))
    over = max(0.0, placed[-1][0] - (HEIGHT - BOTTOM)) if placed else 0.0
    return [
        f'<text x="{WIDTH - RIGHT + 6:.0f}" y="{height - over + 4:.1f}" fill="{NAMED[name]}">{name}</text>'
        for height, name in placed
    ]


def _ends(logs: Sequence[float]) -> tuple[float, float]:
    low, high = min(logs), max(logs)
    return low, high if high > low else low + 1


def _times(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"1/{1 / value:,.0f}"


def _bytes(value: float) -> str:
    for size, unit in ((2**30, "GB"), (2**20, "MB"), (2**10, "kB")):
        if value >= size:
            return f"{value / size:,.0f} {unit}"
    return f"{value:,.0f} B"
