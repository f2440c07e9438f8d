"""The paper's three tasks: how examples are drawn, what their target sequences are, how long they can become."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dialog.geometry.solvers import Floats, convex_hull, delaunay, small_delaunays, small_hulls, tours
from models.pointer.decoding import Constraint, anything, tour
from models.pointer.model import END, NO_TARGET

TEST_SEEDS = 2**31
"""Training draws from seeds below it, tests from it on."""

FEW = 12
"""Up to so many points hulls are found for all examples at once, some ten times as fast."""
VERY_FEW = 6
"""The same for triangulations, seven times as fast at 5; from 8 points on Qhull is quicker."""


class Examples(NamedTuple):
    """Points uniform in the unit square, and what is to be pointed at."""

    points: Tensor  # (B, n, 2) float32
    targets: Tensor  # (B, M) long, as `PointerNetwork` counts: inputs from 1, END at the end, then NO_TARGET


@dataclass(frozen=True, slots=True)
class Task:
    name: str
    targets: Callable[[Floats], list[list[int]]]
    """Target sequences, counted from 0 and without the end, for points (B, n, 2)."""
    longest: Callable[[int], int]
    """Most pointers a right answer for n points has, the end not counted."""
    constraint: Constraint = anything

    def draw(self, n_examples: int, n: int, seed: int) -> Examples:
        """n_examples of n points; the same seed gives the same ones."""
        points = np.random.Generator(np.random.PCG64(seed)).random((n_examples, n, 2), np.float32)
        # The solvers read what the network reads: float32 coordinates, in wider arithmetic.
        return Examples(torch.from_numpy(points), _padded(self.targets(points.astype(np.float64))))


def _hulls(points: Floats) -> list[list[int]]:
    """Round the hull and back to its first corner, as in the paper's figure."""
    hulls = small_hulls(points) if points.shape[1] <= FEW else [convex_hull(p) for p in points]
    return [[*corners, corners[0]] for corners in (hull.tolist() for hull in hulls)]


def _triangulations(points: Floats) -> list[list[int]]:
    found = small_delaunays(points) if points.shape[1] <= VERY_FEW else [delaunay(p) for p in points]
    return [triples.ravel().tolist() for triples in found]


def _tours(points: Floats) -> list[list[int]]:
    return [list(order) for order in tours(points)[0].tolist()]


TASKS: dict[str, Task] = {
    "hull": Task("hull", _hulls, lambda n: n + 1),
    "delaunay": Task("delaunay", _triangulations, lambda n: 3 * (2 * n - 5)),  # 2n - 2 - h triangles, h corners >= 3.
    "tsp": Task("tsp", _tours, lambda n: n, tour),
}
"""By name. Tours are constrained to be valid, the others are not, as in the paper."""


def _padded(sequences: Sequence[Sequence[int]]) -> Tensor:
    targets = torch.full((len(sequences), 1 + max(map(len, sequences))), NO_TARGET)
    for row, sequence in zip(targets, sequences, strict=True):
        row[: len(sequence) + 1] = torch.tensor([*(j + 1 for j in sequence), END])
    return targets


def before_end(pointers: Sequence[int]) -> list[int]:
    """A sequence of pointers up to its end, counted from 0 again."""
    place = pointers.index(END) if END in pointers else len(pointers)
    return [j - 1 for j in pointers[:place]]
