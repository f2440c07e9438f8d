"""The paper's metrics: polygons and triangulations that are the same, what of them is covered, lengths of tours."""

from collections.abc import Callable, Sequence

import numpy as np

from dialog.geometry.solvers import Floats, Ints, is_simple, signed_area, tour_length

MOST_CROSSED = 0.01
"""Where more of the outputs than this cross themselves, coverage of area is no figure but "FAIL"."""

Sequences = Sequence[Sequence[int]]
"""Places counted from 0, without the end."""


def hull_scores(points: Floats, found: Sequences, right: Sequences) -> dict[str, float | str]:
    """Of hulls: accuracy, the share that is the same polygon; area, the mean share of the true hull's area over the
    outputs that are simple polygons, or "FAIL"; simple, their share. All in per cent."""
    same = [same_polygon(f, r) for f, r in zip(found, right, strict=True)]
    shares = []
    for p, f, r in zip(points, found, right, strict=True):
        polygon = p[opened(f)]
        if is_simple(polygon):
            shares.append(abs(float(signed_area(polygon))) / abs(float(signed_area(p[opened(r)]))))
    failed = len(shares) < (1 - MOST_CROSSED) * len(found)
    return {
        "accuracy": 100 * float(np.mean(same)),
        "area": "FAIL" if failed else 100 * float(np.mean(shares)),
        "simple": 100 * len(shares) / len(found),
    }


def delaunay_scores(points: Floats, found: Sequences, right: Sequences) -> dict[str, float | str]:
    """Of triangulations: accuracy, the share with exactly the right triangles; coverage, the mean share of the right
    triangles that were found. In per cent; order, among triangles and in them, does not matter."""
    pairs = [(triangles(f), triangles(r)) for f, r in zip(found, right, strict=True)]
    whole = [f == r and len(raw) % 3 == 0 for (f, r), raw in zip(pairs, found, strict=True)]
    coverage = [len(f & r) / len(r) for f, r in pairs]
    return {"accuracy": 100 * float(np.mean(whole)), "coverage": 100 * float(np.mean(coverage))}


def tsp_scores(points: Floats, found: Sequences, right: Sequences) -> dict[str, float | str]:
    """Of tours: their mean length beside the optimum's, and the share of tours that visit every city once, per cent.

    The mean is over valid tours, with the optimum of the same ones; `above` is how far it lies above that, per cent.
    """
    n = points.shape[1]
    valid = [i for i, f in enumerate(found) if sorted(f) == list(range(n))]
    share = 100 * len(valid) / len(found)
    if not valid:
        return {"length": "FAIL", "optimal": float(tour_length(points, _array(right)).mean()), "valid": share}
    length = float(tour_length(points[valid], _array([found[i] for i in valid])).mean())
    optimal = float(tour_length(points[valid], _array([right[i] for i in valid])).mean())
    return {"length": length, "optimal": optimal, "above": 100 * (length / optimal - 1), "valid": share}


SCORES: dict[str, Callable[[Floats, Sequences, Sequences], dict[str, float | str]]] = {
    "hull": hull_scores,
    "delaunay": delaunay_scores,
    "tsp": tsp_scores,
}
"""By the task's name."""


def same_polygon(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether two rounds of corners are one polygon: wherever they start, whichever way they go, closed or not."""
    a, b = opened(a), opened(b)
    if len(a) != len(b) or set(a) != set(b):
        return False
    if not a:
        return True
    starts = [i for i, corner in enumerate(b) if corner == a[0]]
    turned = [b[i:] + b[:i] for i in starts]
    return any(a in (t, t[:1] + t[:0:-1]) for t in turned)


def opened(corners: Sequence[int]) -> list[int]:
    """A round without the repetition of its first corner that closes it."""
    return list(corners[:-1] if len(corners) > 1 and corners[0] == corners[-1] else corners)


def triangles(sequence: Sequence[int]) -> set[frozenset[int]]:
    """The triangles of a sequence of triples; what is left of it, and triples that repeat a point, are none."""
    triples = [frozenset(sequence[i : i + 3]) for i in range(0, len(sequence) - 2, 3)]
    return {t for t in triples if len(t) == 3}


def _array(sequences: Sequences) -> Ints:
    return np.array([list(s) for s in sequences], np.int64)
