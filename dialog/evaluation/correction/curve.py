"""The gate of a corrector as a curve: how many slips are mended at how many clean words changed, margin by margin."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from dialog.correction.corrector import Correction, TextCorrector
from dialog.evaluation.correction.spellers import Mend, there

MARGINS = (0.55, 0.4, 0.2, 0.0, -0.2, -0.4, -0.6, -0.9)
"""Of words in no lexicon, from the most careful down."""


class Point(NamedTuple):
    """What a margin comes to, in per cent: of the slips, and of clean words."""

    margin: float
    margin_known: float
    repair_rate: float
    false_change_rate: float


def curve(
    corrector: TextCorrector,
    mended: Callable[[Mend], float],
    spoilt: Callable[[Mend], float],
    margins: Sequence[float] = MARGINS,
    known: Sequence[float] = (),
) -> Iterator[Point]:
    """A point for every pair of margins; where no `known` are named, the corrector's own is.

    `mended` and `spoilt` measure a corrector. A message which the lowest margins leave as it is, is left so by all, and
    not read again: with higher ones fewer words are changed, and the first change is what others follow from.
    """
    known = known or (corrector.config.margin_known,)
    untouched: set[str] = set()
    for margin in sorted(margins):
        for margin_known in sorted(known):
            config = replace(corrector.config, margin=margin, margin_known=margin_known)
            mend = _remembering(
                TextCorrector(corrector.name, config, corrector.network, corrector.lexicon),
                untouched,
                learn=margin == min(margins) and margin_known == min(known),
            )
            yield Point(margin, margin_known, mended(mend), spoilt(mend))


def _remembering(corrector: TextCorrector, untouched: set[str], *, learn: bool) -> Mend:
    def mend(text: str) -> Correction:
        if text in untouched:
            return Correction(text, text, ())
        found = corrector.correct(text)
        if learn and not found.edits:
            untouched.add(text)
        return found

    return mend


def beside(
    corrector: TextCorrector, mended: Callable[[Mend], float], spoilt: Callable[[Mend], float]
) -> list[dict[str, Any]]:
    """The curve as rows, then a point for each corrector that people use and is installed, and beside it the most of
    ours that changes no more clean words (`ours, as much spoilt as ...`)."""
    points = sorted(curve(corrector, mended, spoilt), reverse=True)
    rows: list[dict[str, Any]] = [
        {"name": "ours", "shipped": p.margin == corrector.config.margin, **p._asdict()} for p in points
    ]
    for name, mend in there().items():
        most = spoilt(mend)
        rows.append({"name": name, "repair_rate": mended(mend), "false_change_rate": most})
        fair = [p for p in points if p.false_change_rate <= most]
        if fair:
            best = max(fair, key=lambda p: p.repair_rate)
            rows.append({"name": f"ours, as much spoilt as {name}", **best._asdict()})
    return rows


def lowest(points: Sequence[Point], most: float) -> Point:
    """The point that mends most among those that change at most so many per cent of clean words; of equals the one that
    changes fewest. The most careful where none is so careful."""
    fair = [p for p in points if p.false_change_rate <= most]
    if not fair:
        return min(points, key=lambda p: (p.false_change_rate, -p.repair_rate))
    return max(fair, key=lambda p: (p.repair_rate, -p.false_change_rate))
