"""VisDial's metrics, against numbers worked out by hand."""

import math

import numpy as np
import pytest

from dialog.metrics import mean_interval, ndcg, retrieval_scores


def test_the_sparse_metrics_by_hand() -> None:
    """Four rounds of 12 options; the human answer comes 1st, 3rd, 6th and 11th."""
    scores = [[float(12 - i) for i in range(12)]] * 4
    got = retrieval_scores(scores, [0, 2, 5, 10])
    assert got["recall_at_1"] == 25.0
    assert got["recall_at_5"] == 50.0
    assert got["recall_at_10"] == 75.0
    assert got["mean_rank"] == (1 + 3 + 6 + 11) / 4
    assert got["mrr"] == pytest.approx(100 * (1 + 1 / 3 + 1 / 6 + 1 / 11) / 4)


def test_constant_scores_rank_the_human_answer_last() -> None:
    got = retrieval_scores([[0.5] * 100], [0])
    assert got["mean_rank"] == 100
    assert got["recall_at_10"] == 0


def test_absent_options_take_no_place() -> None:
    assert retrieval_scores([[1.0, 3.0, -math.inf]], [0])["mean_rank"] == 2


def test_ndcg_by_hand() -> None:
    """Relevances 0.4, 0, 1, 0.2, so k = 3; the scores order them 0, 1, 0.4 | 0.2."""
    got, skipped = ndcg([[2.0, 4.0, 3.0, 1.0]], [[0.4, 0.0, 1.0, 0.2]])
    dcg = 0 / math.log2(2) + 1 / math.log2(3) + 0.4 / math.log2(4)
    ideal = 1 / math.log2(2) + 0.4 / math.log2(3) + 0.2 / math.log2(4)
    assert got == pytest.approx(100 * dcg / ideal)
    assert got == pytest.approx(61.4424, abs=1e-3)
    assert skipped == 0


def test_ndcg_is_full_for_the_ideal_order_and_knows_no_order_among_equals() -> None:
    relevance = [1.0, 0.5, 0.5, 0.2, 0.0, 0.0]
    ideal, _ = ndcg([[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]], [relevance])
    swapped, _ = ndcg([[6.0, 4.0, 5.0, 3.0, 1.0, 2.0]], [relevance])  # two of 0.5, and the two beyond k
    assert ideal == pytest.approx(100)
    assert swapped == ideal


def test_ndcg_skips_and_counts_rounds_without_a_relevant_option_and_ties_do_not_help() -> None:
    got, skipped = ndcg([[1.0, 2.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]])
    assert (got, skipped) == (0.0, 1)
    with pytest.raises(ValueError, match="relevant"):
        ndcg([[1.0]], [[0.0]])


def test_faults_are_named() -> None:
    with pytest.raises(ValueError, match="got 1 and 2"):
        retrieval_scores([[1.0]], [0, 1])
    with pytest.raises(ValueError, match="2 scores, but 1"):
        ndcg([[1.0, 2.0]], [[1.0]])
    with pytest.raises(ValueError, match="got 0 and 0"):
        mean_interval([], [])


def test_an_interval_of_a_mean_draws_groups_whole() -> None:
    assert mean_interval([1.0] * 30 + [0.0] * 30, ["a"] * 30 + ["b"] * 30) == (0.0, 1.0)
    rng = np.random.default_rng(1)
    values = rng.normal(3, 1, 400)
    low, high = mean_interval(values.tolist(), list(range(400)))
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.2)
