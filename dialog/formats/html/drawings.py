"""Where everything goes in the two drawings of a conversation. All numbers are SVG user units (pixels at full size).

`ridges`: one band a label, how probable it was over the course of the conversation. `lanes`: one lane a speaker, one
face an utterance, in rows of at most 40, like a score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dialog.formats.html.view import ConversationView, UtteranceView

LEFT = 148.0
WIDTH = 1000.0
_INNER = WIDTH - LEFT - 52
_A_ROW = 40
_BINS = 120
_BAND = 30.0
_LANE = 30.0
_FACE = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One column of a band."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """A label's probability over time, and how many utterances have the label."""

    label: int
    name: str
    count: int
    base: float
    bars: tuple[Bar, ...]

    @property
    def path(self) -> str:
        """All columns in one path."""
        return "".join(f"M{b.x:.1f} {self.base:.1f}v-{b.height:.1f}h{b.width:.1f}v{b.height:.1f}z" for b in self.bars)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ridges:
    """The whole upper drawing. `bin` is how many utterances stand in one column, `full` what its full height means."""

    height: float
    right: float
    bands: tuple[Band, ...]
    ticks: tuple[tuple[float, int], ...]
    bin: int
    full: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Face:
    """One utterance in its lane; hollow where the model is less than half sure."""

    utterance: UtteranceView
    label: int | None
    x: float
    y: float
    hollow: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of lanes: only those who speak in it have a lane."""

    height: float
    right: float
    names: tuple[tuple[str, float], ...]
    faces: tuple[Face, ...]
    ticks: tuple[tuple[float, int], ...]


def ridges(view: ConversationView) -> Ridges:
    """A band for each label of the report, each column the mean over its utterances."""
    n = len(view.utterances)
    per_bin = -(-n // _BINS)
    bins = [view.utterances[i : i + per_bin] for i in range(0, n, per_bin)]
    step = min(_step(n), _INNER / len(bins)) if n <= _A_ROW else _INNER / len(bins)
    gap = 0.0 if step < 6 else min(3.0, step * 0.16)
    means = [[sum(_clean(u.probabilities.get(label)) for u in m) / len(m) for m in bins] for label in view.labels]
    # Means of many are all small: there the tallest column of all is given the full height.
    full = max(map(max, means)) if per_bin > 1 else 1.0
    bands = []
    for i, label in enumerate(view.labels):
        base = (i + 1) * _BAND
        bars = []
        for j, mean in enumerate(means[i]):
            height = (_BAND - 6) * mean / max(full, 1e-9)
            if height >= 0.25:
                x = LEFT + j * step + gap / 2
                bars.append(Bar(x=x, y=base - height, width=max(step - gap, 0.5), height=height))
        bands.append(Band(label=i, name=label, count=view.counts[label], base=base, bars=tuple(bars)))
    every = _tick(n, _INNER / step * per_bin)
    ticks = tuple((round(LEFT + (k + 0.5) / per_bin * step, 1), k) for k in range(0, n, every))
    return Ridges(
        height=_BAND * len(bands) + 22,
        right=round(LEFT + step * len(bins), 1),
        bands=tuple(bands),
        ticks=ticks,
        bin=per_bin,
        full=full,
    )


def lanes(view: ConversationView) -> list[Row]:
    """The utterances in rows; in each, speakers have lanes in the order in which they first came."""
    numbers = {label: i for i, label in enumerate(view.labels)}
    order = {name: i for i, name in enumerate(dict.fromkeys(u.speaker for u in view.utterances))}
    step = _step(len(view.utterances))
    return [_row(view.utterances[i : i + _A_ROW], numbers, order, step) for i in range(0, len(view.utterances), _A_ROW)]


def _row(utterances: Sequence[UtteranceView], numbers: dict[str, int], order: dict[str, int], step: float) -> Row:
    names = sorted({u.speaker for u in utterances}, key=lambda name: order[name])
    heights = {name: (i + 0.5) * _LANE + 2 for i, name in enumerate(names)}
    faces = [
        Face(
            utterance=u,
            label=numbers.get(u.label) if u.label else None,
            x=round(LEFT + (i + 0.5) * step - _FACE / 2, 1),
            y=heights[u.speaker] - _FACE / 2,
            hollow=u.probability is not None and u.probability < 0.5,
        )
        for i, u in enumerate(utterances)
    ]
    every = 1 if step >= 34 else 5
    ticks = [(round(LEFT + (i + 0.5) * step, 1), u.number) for i, u in enumerate(utterances) if u.number % every == 0]
    return Row(
        height=_LANE * len(names) + 24,
        right=round(LEFT + step * len(utterances), 1),
        names=tuple((name, heights[name]) for name in names),
        faces=tuple(faces),
        ticks=tuple(ticks),
    )


def _step(n: int) -> float:
    """Room for one utterance: more where there are few, but never so much that the eye must jump."""
    return min(64.0, _INNER / min(max(n, 1), _A_ROW))


def _tick(n: int, fitting: float) -> int:
    """How far apart numbered ticks stand: 1, 2, 5, 10 … so that about twenty are on the axis."""
    for every in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000):
        if min(n, fitting) / every <= 20:
            return every
    return max(n, 1)


def _clean(probability: float | None) -> float:
    """A number to draw: not a number is nothing."""
    return probability if probability is not None and 0 <= probability <= 1 else 0.0
