"""The gate's curve: what it may skip, and which of its points is chosen."""

from dataclasses import replace

import pytest

from dialog.correction.corrector import TextCorrector
from dialog.evaluation.correction.correction import Slip, clean_scores, slip_scores
from dialog.evaluation.correction.curve import Point, beside, curve, lowest
from dialog.evaluation.correction.spellers import looser

CLEAN = ("I saw the dogs in the park.", "What a lovely morning it is.", "we shud go", "The teh tahn nto")
SLIPS = (
    Slip("I dont knwo him.", "I don't know him.", frozenset({1, 2})),
    Slip("That is realy good", "That is really good", frozenset({2})),
)


@pytest.fixture(scope="module")
def corrector():
    return TextCorrector.load(device="cpu")


def mended(mend):
    return slip_scores(mend, SLIPS)["repair_rate"]


def spoilt(mend):
    return clean_scores(mend, CLEAN)["false_change_rate"]


def test_a_point_is_what_its_margins_come_to_though_messages_are_skipped(corrector):
    read = []
    points = list(curve(corrector, mended, lambda m: (read.append(1), spoilt(m))[1], (0.55, 0.0, -0.9)))
    assert len(points) == len(read) == 3
    for point in points:
        config = replace(corrector.config, margin=point.margin)
        alone = TextCorrector("one", config, corrector.network, corrector.lexicon).correct
        assert (point.repair_rate, point.false_change_rate) == (mended(alone), spoilt(alone))
    by_margin = sorted(points)
    assert [p.false_change_rate for p in by_margin] == sorted((p.false_change_rate for p in points), reverse=True)


def test_beside_it_stand_those_people_use_each_with_ours_at_its_rate(corrector, monkeypatch):
    bold = looser(corrector, 0.6).correct
    monkeypatch.setattr("dialog.evaluation.correction.curve.there", lambda: {"bold": bold})
    rows = beside(corrector, mended, spoilt)
    assert sum(bool(row.get("shipped")) for row in rows) == 1
    *_, peer, ours = rows
    assert (peer["name"], peer["repair_rate"], peer["false_change_rate"]) == ("bold", mended(bold), spoilt(bold))
    assert ours["name"] == "ours, as much spoilt as bold"
    assert ours["false_change_rate"] <= peer["false_change_rate"]


def test_the_point_that_mends_most_within_what_may_be_spoilt_is_chosen():
    points = [Point(0.5, 0.5, 40, 0.1), Point(0.2, 0.5, 55, 0.4), Point(0.1, 0.5, 55, 0.3), Point(-0.9, 0.5, 70, 0.9)]
    assert lowest(points, 0.42).margin == 0.1
    assert lowest(points, 1.0).margin == -0.9
    assert lowest(points, 0.05).margin == 0.5, "where none is so careful, the most careful"
