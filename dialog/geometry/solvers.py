"""Exact solutions: convex hulls and Delaunay triangulations by SciPy's Qhull, tours by dynamic programming."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, Delaunay

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_CITIES = 20
"""Held-Karp keeps 2^(n-1) (n-1) lengths, 80 MB a tour at 20, where the paper stops too."""


def convex_hull(points: Floats) -> Ints:
    """The hull's corners among points (n, 2), counter-clockwise from the one that stands first in the input."""
    corners = np.asarray(ConvexHull(points).vertices, np.int64)  # Qhull's own order is counter-clockwise in the plane.
    return np.roll(corners, -int(corners.argmin()))


def small_hulls(points: Floats) -> list[Ints]:
    """`convex_hull` of each of (B, n, 2), all at once and for few points: O(B n^3), for want of a call of Qhull each.

    A corner's successor is the point that leaves all others on its left; three points in a line are not provided for.
    """
    to = points[:, None] - points[:, :, None]  # (B, i, j, 2), from i to j
    turns = to[..., None, 0] * to[:, :, None, :, 1] - to[..., None, 1] * to[:, :, None, :, 0]  # (B, i, j, k)
    beside = np.arange(points.shape[1])
    turns[:, :, beside, beside] = np.inf  # k = j
    turns[:, beside, :, beside] = np.inf  # k = i
    follows = (turns > 0).all(-1) & (beside[:, None] != beside)
    hulls = []
    for after, is_corner in zip(follows.argmax(-1).tolist(), follows.any(-1).tolist(), strict=True):
        corners = [is_corner.index(True)]
        while after[corners[-1]] != corners[0]:
            corners.append(after[corners[-1]])
        hulls.append(np.array(corners, np.int64))
    return hulls


def delaunay(points: Floats) -> Ints:
    """The triangles of points (n, 2) as triples (m, 3): rising indices in a triple, triples by incentre, x first."""
    triples = np.sort(np.asarray(Delaunay(points).simplices, np.int64), 1)
    centres = incentres(points[triples])
    return triples[np.lexsort((centres[:, 1], centres[:, 0]))]


def small_delaunays(points: Floats) -> list[Ints]:
    """`delaunay` of each of (B, n, 2), all at once and for few points: O(B n^4), for want of a call of Qhull each.

    A triangle is one whose corners' circle holds no other point; four points on a circle are not provided for.
    """
    triples = np.array(list(combinations(range(points.shape[1]), 3)), np.int64)
    corners = points[:, triples]  # (B, m, 3, 2)
    seen = corners[:, :, None] - points[:, None, :, None]  # (B, m, n, 3, 2), from each point
    x, y, squares = seen[..., 0], seen[..., 1], (seen**2).sum(-1)
    minors = np.roll(x, -1, -1) * np.roll(y, -2, -1) - np.roll(x, -2, -1) * np.roll(y, -1, -1)
    inside = (squares * minors).sum(-1) * signed_area(corners)[..., None] > 0  # a corner's own determinant is 0
    whole = ~inside.any(-1)  # (B, m)
    centres = np.where(whole[..., None], incentres(corners), np.inf)
    order = np.lexsort((centres[..., 1], centres[..., 0]))
    return [triples[row[:n]] for row, n in zip(order, whole.sum(1).tolist(), strict=True)]


def incentres(corners: Floats) -> Floats:
    """The centres (..., 2) of the circles inside triangles (..., 3, 2): corners weighted by the sides opposite."""
    sides = np.linalg.norm(np.roll(corners, -1, -2) - np.roll(corners, -2, -2), axis=-1)  # (..., 3)
    return np.asarray((corners * sides[..., None]).sum(-2) / sides.sum(-1)[..., None])


def tours(points: Floats) -> tuple[Ints, Floats]:
    """The shortest closed tours of cities (B, n, 2): orders (B, n) that begin with city 0, and lengths (B).

    Held and Karp's O(2^n n^2), all rows of the batch and all sets of one size at once. Of a tour's two directions the
    counter-clockwise one is given: its polygon's signed area is positive. Raises ValueError for less than 3 cities or
    more than MOST_CITIES.
    """
    B, n, _ = points.shape
    if not 3 <= n <= MOST_CITIES:
        raise ValueError(f"expected 3 to {MOST_CITIES} cities, got {n}")
    distance = np.moveaxis(np.linalg.norm(points[:, :, None] - points[:, None], axis=-1), 0, -1)  # (n, n, B)
    k = n - 1  # City 0 is where every path begins; the others are numbered from 0 here.
    between, first = distance[1:, 1:], distance[0, 1:]
    # shortest[S, j]: the shortest path from city 0 through all of the set S, a bit mask, that ends in j.
    shortest = np.full((1 << k, k, B), np.inf)
    shortest[1 << np.arange(k), np.arange(k)] = first
    sets = np.arange(1 << k)
    sizes = (sets[:, None] >> np.arange(k) & 1).sum(1)
    for size in range(2, k + 1):
        for j in range(k):
            into = sets[(sizes == size) & (sets >> j & 1 == 1)]
            shortest[into, j] = (shortest[into ^ 1 << j] + between[:, j]).min(1)  # inf where i is not in the set
    lengths = (shortest[-1] + first).min(0)
    # Backwards, the step before is found again rather than kept for every set.
    orders, rows = np.zeros((B, n), np.int64), np.arange(B)
    left, onward = np.full(B, (1 << k) - 1), first
    for place in range(k, 0, -1):
        last = (shortest[left, :, rows] + onward.T).argmin(1)
        orders[:, place] = last + 1
        left, onward = left ^ 1 << last, between[:, last, rows]
    clockwise = signed_area(points[rows[:, None], orders]) < 0
    orders[clockwise, 1:] = orders[clockwise, :0:-1]
    return orders, lengths


def tour_length(points: Floats, orders: Ints) -> Floats:
    """The lengths (B) of closed tours: orders (B, n) of cities (B, n, 2)."""
    walked = points[np.arange(len(points))[:, None], orders]
    lengths: Floats = np.linalg.norm(walked - np.roll(walked, -1, 1), axis=-1).sum(1)
    return lengths


def signed_area(polygons: Floats) -> Floats:
    """The areas (...) of polygons (..., n, 2) by the shoelace formula, positive where they go counter-clockwise."""
    x, y = polygons[..., 0], polygons[..., 1]
    areas: Floats = 0.5 * (x * np.roll(y, -1, -1) - np.roll(x, -1, -1) * y).sum(-1)
    return areas


def is_simple(polygon: Floats) -> bool:
    """Whether a polygon (n, 2) has three corners or more, none twice, and no two sides that touch but neighbours."""
    n = len(polygon)
    if n < 3 or len(np.unique(polygon, axis=0)) < n:
        return False
    i, j = np.triu_indices(n, 2)
    apart = (i > 0) | (j < n - 1)  # The last side and the first are neighbours too.
    i, j = i[apart], j[apart]
    a, b, c, d = polygon[i], polygon[(i + 1) % n], polygon[j], polygon[(j + 1) % n]
    crossing = (_turn(a, b, c) * _turn(a, b, d) <= 0) & (_turn(c, d, a) * _turn(c, d, b) <= 0)
    return not bool(crossing.any())


def _turn(a: Floats, b: Floats, c: Floats) -> Floats:
    """Positive where a, b, c (m, 2) turn left, in exact terms: twice the triangle's signed area."""
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
