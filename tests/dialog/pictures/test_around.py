"""Who else is there, what is on the wall, what it sits in: asked for by where it is or in what company."""

import pytest
import torch

from dialog.pictures.around import INTO, THERE, black_and_white, into, others, rim, there
from dialog.pictures.questions import read
from dialog.pictures.reply import Reply


@pytest.mark.parametrize(
    ("question", "kind", "noun"),
    [
        ("Is there anyone else?", "others", "person"),
        ("are there other people in the picture?", "others", "person"),
        ("is there another dog?", "others", "dog"),
        ("Is he alone?", "others", "person"),
        ("what's on the wall?", "there", "wall"),
        ("What is in the sky?", "there", "sky"),
        ("what is he sitting in?", "upon", "in"),
        ("what is it on?", "upon", "on"),
    ],
)
def test_what_is_asked_by_company_or_place_has_a_kind(question: str, kind: str, noun: str) -> None:
    found = read(question)
    assert (found.kind, found.noun) == (kind, noun)


def test_somebody_and_what_they_do_is_one_claim() -> None:
    assert read("are there people swimming?").claim == "people are swimming"
    assert read("is there a man riding a horse?").claim == "man is riding a horse"
    assert read("is this baseball?").claim == "this is baseball"
    assert read("is there a building?").kind == "presence"


@pytest.mark.parametrize(("counts", "more"), [({"1": 0.9, "2": 0.1}, 0.1), ({"0": 1.0}, 0.0), ({"many": 0.8}, 1.0)])
def test_others_are_there_where_more_than_one_is_counted(counts: dict[str, float], more: float) -> None:
    counted = Reply(tuple(counts.items()))
    for alone in (False, True):
        found = others(counted, alone=alone, negated=False)
        assert found is not None
        assert dict(found.answers)["yes"] == pytest.approx(1 - more if alone else more)
    assert others(None, alone=False, negated=False) is None


@pytest.mark.parametrize("place", THERE)
def test_what_is_likeliest_there_is_said_first(place: str) -> None:
    names = THERE[place].split()
    wanted = names[-1]
    found = there(place, lambda nouns: torch.tensor([0.9 if n == wanted else 0.2 for n in nouns]))
    assert found.answers[0][0] == wanted


def test_what_is_sat_in_is_one_of_what_can_be() -> None:
    found = into(lambda nouns: torch.tensor([0.95 if n == "boat" else 0.1 for n in nouns]))
    assert found.answers[0][0] == "boat"
    assert {name for name, _ in found.answers} <= set(INTO)


def test_a_picture_without_colour_is_black_and_white() -> None:
    torch.manual_seed(0)
    grey = torch.randint(0, 256, (1, 16, 16), dtype=torch.uint8).expand(3, 16, 16)
    assert black_and_white(grey) > 0.95
    assert black_and_white(torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8)) < 0.05


def test_the_background_is_what_lies_along_the_edges() -> None:
    framed = torch.zeros(3, 16, 16, dtype=torch.uint8)
    framed[:, 2:14, 2:14] = 255
    assert int(rim(framed).max()) == 0
    assert rim(framed).shape == (3, 16 * 16 - 12 * 12)
