"""Tables of what helps in which task, and of what papers claim, from the runs kept in docs/measured/bench."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from tests.docs.benches import made_by, run_of
from tests.docs.tables import table

Row = dict[str, Any]
SCORES = {
    "recall, %": ("recall", "score", 1),
    "forecast, error of a step, %": ("forecast", "score", 2),
    "forecast, time it holds": ("forecast", "valid_time", 2),
    "kuramoto, error of a step, %": ("kuramoto", "score", 2),
    "kuramoto, time it holds": ("kuramoto", "valid_time", 1),
    "kuramoto, spectrum off, %": ("kuramoto", "spectrum", 1),
    "emotion, weighted F1": ("emotion", "score", 1),
}
"""A column's head: task, score, decimals. Those of tasks that have been run are shown."""
Pair = tuple[Callable[[Row], bool], Callable[[Row], bool]]
PARTS: dict[str, Pair] = {
    "attention, beside none": (lambda r: r["attention"], lambda r: not r["attention"]),
    "gates at the joints, beside sums": (lambda r: r["gate"], lambda r: not r["gate"]),
    "an elman cell, beside none": (lambda r: r["cell"] == "elman", lambda r: r["cell"] is None),
    "a gru, beside none": (lambda r: r["cell"] == "gru", lambda r: r["cell"] is None),
    "a gru, beside an elman cell": (lambda r: r["cell"] == "gru", lambda r: r["cell"] == "elman"),
}
"""What is compared: designs with the part, and the same designs without it."""


def review() -> str:
    """A row a design: means over seeds, with their standard deviation where there are several."""
    rows: list[Row] = run_of("review")["rows"]
    designs = dict.fromkeys(row["design"] for row in rows if "design" in row)
    head = _asked(rows)
    cells = [[name, *_scores(head, [row for row in rows if row.get("design") == name])] for name in designs]
    for name in dict.fromkeys(row["baseline"] for row in rows if "baseline" in row):
        cells.append([f"*{name}*", *_scores(head, [row for row in rows if row.get("baseline") == name])])
    return table(["design", *head], cells) + "\n\n" + made_by(["review"])


def review_parts() -> str:
    """A row a part: the mean difference it makes over the grid and the seeds, with its standard error."""
    rows = [row for row in run_of("review")["rows"] if "design" in row and not row["apart"] and row["cell"] != "rhn"]
    head = _asked(rows)
    cells = [[name, *(_difference(rows, which, SCORES[h]) for h in head)] for name, which in PARTS.items()]
    return table(["part", *head], cells)


def claims() -> str:
    """A row a claim: what was measured, and whether it holds."""
    cells = []
    for row in run_of("claims")["rows"]:
        figures = "; ".join(f"{name} {_figure(value)}" for name, value in row["figures"].items())
        cells.append([row["paper"], row["says"], figures, "yes" if row["holds"] else "no"])
    return table(["paper", "says", "measured", "holds"], cells) + "\n\n" + made_by(["claims"])


def _figure(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2g}"


def _asked(rows: Sequence[Row]) -> list[str]:
    """The heads of columns of which there is something to tell."""
    there = {row["task"] for row in rows}
    return [head for head, (task, _, _) in SCORES.items() if task in there]


def _scores(head: Sequence[str], rows: Sequence[Row]) -> list[str]:
    said = []
    for task, score, decimals in (SCORES[h] for h in head):
        values = [row[score] for row in rows if row["task"] == task and score in row]
        spread = f" ± {statistics.stdev(values):.{decimals}f}" if len(values) > 1 else ""
        said.append(f"{statistics.mean(values):.{decimals}f}{spread}" if values else "")
    return said


def _difference(rows: Sequence[Row], which: Pair, column: tuple[str, str, int]) -> str:
    """Of pairs that are alike in all but the part, seed for seed."""
    (has, lacks), (task, score, decimals) = which, column
    asked = [row for row in rows if row["task"] == task]
    pairs = [
        (one[score], other[score])
        for one in asked
        if has(one)
        for other in asked
        if lacks(other) and _alike(one, other)
    ]
    if len(pairs) < 2:
        return ""
    found = [ours - theirs for ours, theirs in pairs]
    error = statistics.stdev(found) / len(found) ** 0.5
    return f"{statistics.mean(found):+.{decimals}f} ± {error:.{decimals}f}"


def _alike(one: Row, other: Row) -> bool:
    """In the seed, and in two of the three parts."""
    same = [one[part] == other[part] for part in ("cell", "attention", "gate")]
    return one["seed"] == other["seed"] and sum(same) == 2
