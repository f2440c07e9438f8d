"""Scores against scikit-learn's own and against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from dialog.metrics import calibration_error, emotion_scores, interval, share_interval

LABELS = ("anger", "joy", "neutral", "sadness")


def test_hand_worked_scores() -> None:
    gold = ["joy", "joy", "anger", "neutral", "neutral", "neutral"]
    predicted = ["joy", "anger", "anger", "neutral", "neutral", "joy"]
    scores = emotion_scores(gold, predicted, LABELS)
    # F1: anger 2/3 (1 of 1, 1 false), joy 1/2 (1 of 2, 1 false), neutral 4/5 (2 of 3); sadness is nowhere.
    assert scores["accuracy"] == pytest.approx(100 * 4 / 6)
    assert scores["weighted_f1"] == pytest.approx(100 * (1 * 2 / 3 + 2 * 1 / 2 + 3 * 4 / 5) / 6)
    assert scores["macro_f1"] == pytest.approx(100 * (2 / 3 + 1 / 2 + 4 / 5) / 3)
    # Emotional only: 2 hits, 4 predicted, 3 gold.
    assert scores["micro_f1_without_neutral"] == pytest.approx(100 * 2 * 2 / (4 + 3))


pairs = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=40)


@settings(max_examples=30)
@given(pairs)
def test_scores_are_scikit_learns(rows: list[tuple[str, str]]) -> None:
    gold, predicted = [g for g, _ in rows], [p for _, p in rows]
    scores = emotion_scores(gold, predicted, LABELS)
    assert scores["accuracy"] == pytest.approx(100 * accuracy_score(gold, predicted))
    assert scores["weighted_f1"] == pytest.approx(100 * f1_score(gold, predicted, average="weighted", zero_division=0))
    assert scores["macro_f1"] == pytest.approx(100 * f1_score(gold, predicted, average="macro", zero_division=0))
    emotional = [label for label in LABELS if label != "neutral"]
    micro = f1_score(gold, predicted, labels=emotional, average="micro", zero_division=0)
    assert scores["micro_f1_without_neutral"] == pytest.approx(100 * micro)


@settings(max_examples=30)
@given(pairs)
def test_an_all_knowing_model_has_every_score_a_model_can_have(rows: list[tuple[str, str]]) -> None:
    gold = [g for g, _ in rows]
    scores = emotion_scores(gold, gold, LABELS)
    assert scores["accuracy"] == scores["weighted_f1"] == scores["macro_f1"] == 100
    assert scores["micro_f1_without_neutral"] == (100 if set(gold) != {"neutral"} else 0)


def test_scores_of_nothing_and_of_unequal_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="no labelled utterance"):
        emotion_scores([], [], LABELS)
    with pytest.raises(ValueError, match="2 gold labels but 1"):
        emotion_scores(["joy", "joy"], ["joy"], LABELS)


def test_hand_worked_calibration() -> None:
    # Two bins of fifteen: 0.6 said three times and right twice, 1.0 said once and wrong.
    error = calibration_error([0.6, 0.6, 0.6, 1.0], [True, True, False, False])
    assert error == pytest.approx(3 / 4 * abs(2 / 3 - 0.6) + 1 / 4 * 1.0)


def test_calibration_of_a_truthful_forecaster_is_near_zero_and_of_a_boaster_is_not() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.2, 1.0, 20_000)
    right = rng.uniform(size=p.size) < p
    assert calibration_error(p.tolist(), right.tolist()) < 0.02
    assert calibration_error([1.0] * p.size, right.tolist()) == pytest.approx(1 - right.mean(), abs=1e-9)


@pytest.mark.parametrize("p", [0.0, 1 / 15, 0.2, 1.0])
def test_a_probability_on_the_edge_of_a_bin_counts_once(p: float) -> None:
    assert calibration_error([p], [True]) == pytest.approx(1 - p)


def test_calibration_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="got 0 and 0"):
        calibration_error([], [])
    with pytest.raises(ValueError, match="got 1 and 2"):
        calibration_error([0.5], [True, False])


def test_an_interval_holds_the_score_and_narrows_with_the_data() -> None:
    rng = np.random.default_rng(0)

    def data(n: int) -> tuple[list[str], list[str], list[int]]:
        gold = rng.choice(LABELS, n)
        predicted = np.where(rng.uniform(size=n) < 0.6, gold, rng.choice(LABELS, n))
        return gold.tolist(), predicted.tolist(), [i // 5 for i in range(n)]

    widths = []
    for n in (100, 1000):
        gold, predicted, groups = data(n)
        low, high = interval(gold, predicted, LABELS, "weighted_f1", groups)
        assert low < emotion_scores(gold, predicted, LABELS)["weighted_f1"] < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    assert interval(gold, predicted, LABELS, "weighted_f1", groups) == (low, high), "not the same for the same seed"


def test_conversations_are_drawn_whole() -> None:
    # One conversation all right, one all wrong: the score of a draw is 0, 50 or 100, whatever the utterances number.
    gold, predicted = ["joy"] * 40, ["joy"] * 20 + ["anger"] * 20
    assert interval(gold, predicted, LABELS, "accuracy", [0] * 20 + [1] * 20) == (0.0, 100.0)


def test_wilsons_interval_is_the_published_one_and_has_a_width_at_the_ends() -> None:
    assert share_interval(8, 10) == pytest.approx((49.02, 94.33), abs=0.01)
    low, high = share_interval(0, 10)
    assert (low, round(high, 2)) == (0, 27.75)
    assert share_interval(10, 10)[1] == 100
    with pytest.raises(ValueError, match="expected some cases"):
        share_interval(0, 0)
