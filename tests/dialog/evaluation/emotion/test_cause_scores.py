"""The published scores of causes, on answers small enough to count by hand."""

from pathlib import Path

import pytest

from dialog.corpora import load_corpus
from dialog.corpora.cause_pairs import Row, fold_1, targets
from dialog.evaluation.emotion.cause_scores import (
    RULES,
    Answer,
    by_rule,
    cause_scores,
    intervals,
    lcs_f1,
    pair_scores,
    squad_f1,
)

DATA = Path(__file__).parents[5] / "shared" / "data"

# A target at place 3 with causes 3 (two spans), 2 and 0; another at 1 whose one cause is nowhere.
ROWS = [
    *(Row(3, 0, True, "far away"), Row(3, 1, False, None), Row(3, 2, True, "the dog barked")),
    *(Row(3, 3, True, "oh"), Row(3, 3, True, "oh no"), Row(1, 0, False, None), Row(1, 1, False, None)),
]
TEXTS = {0: "it is far away", 1: "nothing", 2: "the dog barked", 3: "oh no"}


def rule(name: str) -> dict[str, float]:
    return cause_scores(by_rule([(0, row, TEXTS[row.candidate]) for row in ROWS], RULES[name]))


def test_rules_are_scored_as_counted_by_hand() -> None:
    # Of seven rows "target only" says three: both of the repeated pair, and one that is no cause.
    assert rule("target_only")["positive_f1"] == pytest.approx(100 * 2 * 2 / (2 * 2 + 1 + 2))
    assert rule("target_only")["negative_f1"] == pytest.approx(100 * 2 * 2 / (2 * 2 + 1 + 2))
    assert rule("target_only")["pair_positive_f1"] == pytest.approx(100 * 2 * 1 / (2 * 1 + 1 + 2))
    assert rule("target_and_previous")["positive_f1"] == pytest.approx(100 * 2 * 3 / (2 * 3 + 2 + 1))
    assert rule("last_three")["positive_f1"] == pytest.approx(100 * 2 * 3 / (2 * 3 + 3 + 1))
    assert rule("last_three")["far_positive_f1"] == 0
    assert rule("target_and_previous")["macro_f1"] == pytest.approx(
        (rule("target_and_previous")["positive_f1"] + rule("target_and_previous")["negative_f1"]) / 2
    )


def test_spans_count_over_positive_rows_whether_found_or_not() -> None:
    scores = rule("target_and_previous")
    assert scores["span_exact_match"] == pytest.approx(100 * 2 / 4)  # "the dog barked", and "oh no" once of twice
    assert scores["span_exact_match_of_found"] == pytest.approx(100 * 2 / 3)
    assert scores["span_f1_lcs"] == pytest.approx(100 * (1 + 1 + 2 / 3) / 4)
    assert scores["span_f1_squad"] == scores["span_f1_overlap"] == pytest.approx(100 * (1 + 1 + 2 / 3) / 4)
    assert scores["span_f1_negative"] == scores["negative_f1"]
    assert scores["span_f1_all"] == pytest.approx(100 * (1 + 1 + 2 / 3 + 1) / 7)


@pytest.mark.parametrize(
    ("truth", "said", "lcs", "squad"),
    [
        ("a good dog", "a good dog ", 1.0, 1.0),
        ("a good dog", "good dog", 0.8, 1.0),
        ("Well , a good dog", "good dog", 2 * 2 / 7, 0.8),
        ("good dog", "dog good", 0.0, 1.0),  # Neither holds the other.
        ("good dog", "", 0.0, 0.0),
        ("dog", "cat", 0.0, 0.0),
    ],
)
def test_the_two_f1_of_a_span(truth: str, said: str, lcs: float, squad: float) -> None:
    assert lcs_f1(truth, said) == pytest.approx(lcs)
    assert squad_f1(truth, said) == pytest.approx(squad)


def test_an_answer_that_only_overlaps_is_judged_by_itself_alone() -> None:
    """The published script looks at an earlier row there: an empty answer before it must change nothing."""
    wrong = Answer(0, Row(1, 0, True, "good dog"), "dog barked")
    missed = Answer(0, Row(1, 1, True, "bad cat"), None)
    denied = Answer(0, Row(2, 0, False, None), None)
    for order in ([wrong, missed, denied], [missed, wrong, denied]):
        scores = cause_scores(order)
        assert scores["span_f1_negative"] == pytest.approx(100 * 2 * 1 / (2 * 1 + 1))
        assert scores["span_f1_squad"] == 0
        assert scores["span_f1_overlap"] == pytest.approx(25.0)


def test_probabilities_that_are_right_have_no_calibration_error() -> None:
    rows = [Row(9, i, i < 3, None) for i in range(10)]
    even = [Answer(0, row, None, 0.3) for row in rows]
    assert cause_scores(even)["ece"] == pytest.approx(0.0)
    sure = [Answer(0, row, "x", 0.99) for row in rows]
    assert cause_scores(sure)["ece"] == pytest.approx(0.69)
    assert "ece" not in cause_scores([Answer(0, row, None) for row in rows])


def test_intervals_hold_the_score_and_draw_whole_conversations() -> None:
    answers = [
        Answer(g, Row(4, j, j % 2 == 0, None), "x" if (g + j) % 3 else None, 0.5) for g in range(30) for j in range(5)
    ]
    low, high = intervals(answers, ["positive_f1"])["positive_f1"]
    assert low < cause_scores(answers)["positive_f1"] < high
    alike = [Answer(g, a.row, a.span) for g in range(30) for a in answers[:5]]
    low, high = intervals(alike, ["positive_f1"])["positive_f1"]
    assert low == pytest.approx(high)


def test_pairs_are_weighed_by_how_often_their_emotion_is_gold() -> None:
    gold = [((0, 1, 0), "joy"), ((0, 1, 1), "joy"), ((0, 2, 1), "joy"), ((1, 0, 0), "anger")]
    said = [((0, 1, 0), "joy"), ((0, 2, 1), "anger"), ((1, 0, 0), "anger")]
    scores = pair_scores(gold, said)
    assert scores["pair_weighted_f1"] == pytest.approx((3 * 50.0 + 1 * 200 / 3) / 4)
    assert scores["pair_micro_f1"] == pytest.approx(200 * 2 / 7)


def test_nothing_annotated_is_an_error() -> None:
    with pytest.raises(ValueError, match="no annotated cause"):
        cause_scores([])


@pytest.mark.skipif(not (DATA / "reccon").is_dir(), reason="RECCON is not here")
@pytest.mark.parametrize(
    ("split", "rule", "positive", "negative", "macro"),
    [
        ("test", "target_only", 47.04, 85.89, 66.46),
        ("test", "target_and_previous", 64.12, 85.89, 75.00),
        ("test", "last_three", 61.97, 79.83, 70.90),
        ("test_iemocap", "target_only", 31.52, 95.33, 63.43),
        ("test_iemocap", "target_and_previous", 41.92, 94.71, 68.32),
        ("test_iemocap", "last_three", 43.94, 93.59, 68.77),
    ],
)
def test_rules_reach_on_reccon_what_was_counted_before(
    split: str, rule: str, positive: float, negative: float, macro: float
) -> None:
    conversations = load_corpus(DATA, "reccon", split)
    rows = [
        (i, row, c.utterances[row.candidate].text) for i, c in enumerate(conversations) for row in fold_1(targets(c))
    ]
    scores = cause_scores(by_rule(rows, RULES[rule]))
    expected = {"positive_f1": positive, "negative_f1": negative, "macro_f1": macro}
    assert {name: round(scores[name], 2) for name in expected} == expected
