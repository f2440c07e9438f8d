"""Exact solutions against definitions that share no code with them."""

import itertools
import math

import numpy as np
import pytest

from dialog.geometry.solvers import (
    Floats,
    convex_hull,
    delaunay,
    incentres,
    is_simple,
    signed_area,
    small_delaunays,
    small_hulls,
    tour_length,
    tours,
)


def points(n: int, B: int = 8) -> Floats:
    return np.random.default_rng(n).random((B, n, 2))


def left_of(a: Floats, b: Floats, c: Floats) -> float:
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


@pytest.mark.parametrize("n", [3, 5, 10, 50])
def test_no_point_lies_outside_a_hull_and_it_starts_at_its_lowest_index(n: int) -> None:
    for p in points(n):
        hull = convex_hull(p).tolist()
        assert hull[0] == min(hull)
        assert len(set(hull)) == len(hull)
        for i, j in zip(hull, hull[1:] + hull[:1], strict=True):
            assert all(left_of(p[i], p[j], p[k]) > 0 for k in range(n) if k not in (i, j))


@pytest.mark.parametrize("n", [3, 4, 7, 12])
def test_hulls_found_at_once_are_those_of_qhull(n: int) -> None:
    p = points(n, 40)
    assert [hull.tolist() for hull in small_hulls(p)] == [convex_hull(row).tolist() for row in p]


@pytest.mark.parametrize("n", [3, 4, 5, 8])
def test_triangulations_found_at_once_are_those_of_qhull(n: int) -> None:
    p = points(n, 40)
    assert [found.tolist() for found in small_delaunays(p)] == [delaunay(row).tolist() for row in p]


def test_every_circle_of_a_triangulation_is_empty() -> None:
    """Delaunay's definition: a triple is in it exactly when no other point lies in its circumscribed circle."""
    for p in points(7):
        expected = set()
        for triple in itertools.combinations(range(7), 3):
            a, b, c = p[list(triple)]
            system = 2 * np.array([b - a, c - a])
            centre = np.linalg.solve(system, [b @ b - a @ a, c @ c - a @ a])
            if all(math.dist(centre, p[k]) > math.dist(centre, a) for k in range(7) if k not in triple):
                expected.add(triple)
        found = delaunay(p)
        assert {tuple(t) for t in found.tolist()} == expected
        centres = incentres(p[found])
        assert centres.tolist() == sorted(centres.tolist())


def test_an_incentre_is_as_far_from_every_side() -> None:
    (centre,) = incentres(np.array([[[0.0, 0], [4, 0], [0, 3]]]))
    assert centre == pytest.approx([1, 1])


@pytest.mark.parametrize("n", [3, 4, 5, 7])
def test_a_tour_is_as_short_as_the_shortest_of_all_orders(n: int) -> None:
    p = points(n)
    orders, lengths = tours(p)
    assert all(sorted(order) == list(range(n)) and order[0] == 0 for order in orders.tolist())
    np.testing.assert_allclose(tour_length(p, orders), lengths)
    for row, length in zip(p, lengths, strict=True):
        every = [
            sum(math.dist(row[i], row[j]) for i, j in zip((0, *o), (*o, 0), strict=True))
            for o in itertools.permutations(range(1, n))
        ]
        assert length == pytest.approx(min(every))


def test_tours_go_counter_clockwise() -> None:
    p = points(6, 20)
    assert bool((signed_area(p[np.arange(20)[:, None], tours(p)[0]]) > 0).all())


@pytest.mark.parametrize("n", [2, 21])
def test_too_few_and_too_many_cities_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match=f"got {n}"):
        tours(points(n, 1))


def test_a_simple_polygon_is_told_from_one_that_crosses_or_repeats_itself() -> None:
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    assert is_simple(square)
    assert is_simple(square[:3])
    assert not is_simple(square[[0, 2, 1, 3]])
    assert not is_simple(square[:2])
    assert not is_simple(square[[0, 1, 2, 1]])
    star = np.array([[math.cos(4 * math.pi * k / 5), math.sin(4 * math.pi * k / 5)] for k in range(5)])
    assert not is_simple(star)
    dent = np.array([[0.0, 0], [1, 0], [0.5, 0.4], [1, 1], [0, 1]])
    assert is_simple(dent)
    assert float(signed_area(dent)) == pytest.approx(0.75)
    assert float(signed_area(dent[::-1])) == pytest.approx(-0.75)
