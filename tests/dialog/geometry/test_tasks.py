"""Examples: their target sequences, their ends, their seeds."""

import pytest
import torch

from dialog.geometry.scores import SCORES
from dialog.geometry.tasks import TASKS, before_end
from models.pointer.model import END, NO_TARGET


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("n", [3, 5, 9])
def test_targets_end_once_and_then_are_filling(name: str, n: int) -> None:
    points, targets = TASKS[name].draw(12, n, 7)
    assert points.shape == (12, n, 2)
    for row in targets.tolist():
        place = row.index(END)
        assert 0 < place <= TASKS[name].longest(n)
        assert all(1 <= j <= n for j in row[:place])
        assert set(row[place + 1 :]) <= {NO_TARGET}


@pytest.mark.parametrize("name", TASKS)
def test_the_same_seed_draws_the_same_and_another_one_others(name: str) -> None:
    first, again, other = (TASKS[name].draw(4, 6, seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.points, other.points)


def test_a_hull_closes_a_triangulation_comes_in_rising_triples_and_a_tour_begins_with_the_first_city() -> None:
    for row in TASKS["hull"].draw(9, 8, 0).targets.tolist():
        hull = before_end(row)
        assert hull[0] == hull[-1] == min(hull)
    for row in TASKS["delaunay"].draw(9, 8, 0).targets.tolist():
        flat = before_end(row)
        triples = [flat[i : i + 3] for i in range(0, len(flat), 3)]
        assert all(a < b < c for a, b, c in triples)
    for row in TASKS["tsp"].draw(9, 8, 0).targets.tolist():
        assert before_end(row)[0] == 0


@pytest.mark.parametrize("name", TASKS)
def test_targets_score_full_marks(name: str) -> None:
    points, targets = TASKS[name].draw(20, 6, 3)
    right = [before_end(row) for row in targets.tolist()]
    scores = SCORES[name](points.double().numpy(), right, right)
    metric, best = {"hull": ("accuracy", 100), "delaunay": ("accuracy", 100), "tsp": ("above", 0)}[name]
    assert scores[metric] == pytest.approx(best)


def test_before_the_end_pointers_count_from_zero() -> None:
    assert before_end([3, 1, END, 2]) == [2, 0]
    assert before_end([3, 1]) == [2, 0]
