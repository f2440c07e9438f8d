"""The paper's metrics on hand-made answers."""

import numpy as np
import pytest

from dialog.geometry.scores import delaunay_scores, hull_scores, same_polygon, tsp_scores

SQUARE = np.array([[[0.0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.2]]])


def test_a_polygon_is_the_same_wherever_it_starts_and_whichever_way_it_goes() -> None:
    right = [0, 4, 2, 7, 0]
    for turn in range(4):
        turned = right[turn:4] + right[:turn]
        for same in (turned, turned[::-1], [*turned, turned[0]]):
            assert same_polygon(same, right)
            assert same_polygon(right, same)
    for other in ([0, 2, 4, 7], [0, 4, 2], [0, 4, 2, 7, 5], [0, 4, 4, 2, 7], []):
        assert not same_polygon(other, right)


def test_hulls_are_counted_and_their_area_measured_on_simple_polygons_alone() -> None:
    points, right = np.repeat(SQUARE, 4, 0), [[0, 1, 2, 3, 0]] * 4
    scores = hull_scores(points, [[1, 2, 3, 0, 1], [0, 1, 2, 0], [2, 1, 0, 3], [0, 1, 2, 3]], right)
    assert scores == {"accuracy": 75.0, "area": pytest.approx(87.5), "simple": 100.0}
    scores = hull_scores(points, [[0, 2, 1, 3, 0]] + [[0, 1, 2, 3, 0]] * 3, right)
    assert scores == {"accuracy": 75.0, "area": "FAIL", "simple": 75.0}


def test_one_crossed_polygon_in_a_hundred_is_no_failure_and_two_are() -> None:
    points, right = np.repeat(SQUARE, 100, 0), [[0, 1, 2, 3, 0]] * 100
    for n_crossed, area in ((1, pytest.approx(100.0)), (2, "FAIL")):
        found = [[0, 2, 1, 3, 0]] * n_crossed + right[n_crossed:]
        assert hull_scores(points, found, right)["area"] == area


def test_triangulations_are_sets_of_triangles() -> None:
    right = [[0, 1, 4, 1, 2, 4]] * 4
    found = [[4, 2, 1, 4, 1, 0], [0, 1, 4, 0, 1, 2], [0, 1, 4, 1, 2, 4, 3], [0, 0, 1]]
    scores = delaunay_scores(np.repeat(SQUARE, 4, 0), found, right)
    assert scores == {"accuracy": 25.0, "coverage": pytest.approx(100 * (1 + 0.5 + 1 + 0) / 4)}


def test_tours_are_measured_where_they_are_valid_beside_the_optimum_of_the_same() -> None:
    points = np.repeat(SQUARE[:, :4], 3, 0)
    right = [[0, 1, 2, 3]] * 3
    scores = tsp_scores(points, [[0, 1, 2, 3], [0, 2, 1, 3], [0, 0, 1, 2]], right)
    assert scores["length"] == pytest.approx((4 + 2 + 2 * 2**0.5) / 2)
    assert scores["optimal"] == pytest.approx(4)
    assert scores["above"] == pytest.approx(100 * (float(scores["length"]) / 4 - 1))
    assert scores["valid"] == pytest.approx(200 / 3)
    assert tsp_scores(points, [[0]] * 3, right) == {"length": "FAIL", "optimal": pytest.approx(4), "valid": 0.0}
