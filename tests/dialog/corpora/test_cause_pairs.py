"""Targets, their causes and the rows of fold 1, as the paper counts them."""

from pathlib import Path

import pytest

from dialog.conversation import Conversation
from dialog.corpora import load_corpus
from dialog.corpora.cause_pairs import Row, Target, fold_1, targets

DATA = Path(__file__).parents[4] / "shared" / "data"


def annotated(*causes: list[dict[str, object]] | None) -> Conversation:
    utterances = [
        {"speaker": "A", "text": f"line {i}"} | ({} if given is None else {"causes": given})
        for i, given in enumerate(causes)
    ]
    return Conversation.from_dict({"id": "c", "utterances": utterances})


def test_a_cause_repeats_once_a_span_points_nowhere_or_forward() -> None:
    c = annotated(
        None,
        [{"utterance": 0, "span": "line"}, {"utterance": 0, "span": "0"}, {"utterance": 2, "span": "line 2"}],
        [{"utterance": None, "span": None}],
        [],
        [{"utterance": 3, "span": None}, {"utterance": None, "span": None}],
        [{"utterance": 6, "span": "later"}],
        None,
    )
    assert targets(c) == [
        Target(1, {0: ("line", "0")}, False),
        Target(2, {}, True),
        Target(4, {3: (None,)}, True),
    ]
    rows = fold_1(targets(c))
    assert [r for r in rows if r.target == 1] == [Row(1, 0, True, "line"), Row(1, 0, True, "0"), Row(1, 1, False, None)]
    assert [(r.candidate, r.positive) for r in rows if r.target == 2] == [(0, False), (1, False), (2, False)]
    assert sum(r.positive for r in rows if r.target == 4) == 1
    assert len(rows) == 3 + 3 + 5


@pytest.mark.parametrize("cause", [{"utterance": 5, "span": "x"}, {"utterance": "b"}, {"utterance": 0, "span": 3}, 7])
def test_causes_in_another_shape_are_refused_with_their_place(cause: object) -> None:
    with pytest.raises(ValueError, match=r"c: utterances\[1\]\.causes"):
        targets(annotated(None, [cause]))  # type: ignore[list-item]


@pytest.mark.skipif(not (DATA / "reccon").is_dir(), reason="RECCON is not here")
@pytest.mark.parametrize(
    ("split", "positive", "distinct", "negative"),
    [
        ("train", 6575, 6352, 18733),  # 20,646 negatives in the official part, of which 75 conversations are withheld
        ("validation", 347, 328, 838),
        ("test", 1894, 1767, 5330),
        ("test_iemocap", 1080, 1053, 11305),
    ],
)
def test_the_rows_of_reccon_are_as_many_as_published(split: str, positive: int, distinct: int, negative: int) -> None:
    some = [targets(c) for c in load_corpus(DATA, "reccon", split)]
    rows = [row for one in some for row in fold_1(one)]
    assert sum(row.positive for row in rows) == positive
    assert sum(len(t.spans) for one in some for t in one) == distinct
    assert sum(not row.positive for row in rows) == negative
