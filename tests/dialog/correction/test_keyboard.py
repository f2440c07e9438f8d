"""Edits between what was meant and what was typed, and how likely they are."""

import random

import pytest
from rapidfuzz.distance import OSA

from dialog.correction.keyboard import NEIGHBOURS, count_slips, edits, weight


def made(meant: str, steps: list) -> str:
    for e in reversed(steps):
        meant = meant[: e.place] + e.typed + meant[e.place + len(e.meant) :]
    return meant


def test_edits_made_give_what_was_typed_and_are_the_fewest() -> None:
    rng = random.Random(0)
    for _ in range(500):
        meant, typed = ("".join(rng.choices("abcde", k=rng.randrange(7))) for _ in range(2))
        steps = edits(meant, typed)
        assert made(meant, steps) == typed
        assert len(steps) == OSA.distance(meant, typed)


@pytest.mark.parametrize(
    ("meant", "typed", "kind", "place"),
    [
        ("the", "teh", "swap", 1),
        ("cat", "cst", "replace", 1),
        ("letter", "leter", "delete", 2),
        ("so", "sop", "insert", 2),
    ],
)
def test_one_slip_is_one_edit(meant: str, typed: str, kind: str, place: int) -> None:
    (edit,) = edits(meant, typed)
    assert edit.kind == kind
    assert edit.place in (place, place + 1)


def test_what_fingers_do_weighs_less_than_what_they_do_not() -> None:
    def of(meant: str, typed: str) -> float:
        return sum(weight(e, meant) for e in edits(meant, typed))

    assert of("cat", "cst") < of("cat", "cpt")  # the key beside
    assert of("letter", "leter") < of("letter", "ltter")  # one of a double
    assert of("don't", "dont") < of("donut", "dont")  # an apostrophe
    assert of("banana", "bamana") < of("banana", "nanana")  # not the first letter


def test_neighbours_are_neighbours_of_each_other() -> None:
    assert all(a in NEIGHBOURS[b] for a, near in NEIGHBOURS.items() for b in near)
    assert set("qwsz") <= set(NEIGHBOURS["a"])
    assert "p" not in NEIGHBOURS["a"]


def test_slips_are_counted_by_kind_and_place() -> None:
    slips = count_slips([("teh", "the"), ("cst", "cat"), ("leter", "letter"), ("banana", "banana"), ("xyzzy", "ab")])
    assert slips.kinds == {"insert": 0.0, "delete": 1 / 3, "replace": 1 / 3, "swap": 1 / 3}
    assert slips.replaced == {"a": {"s": 1.0}}
    assert all(abs(sum(shares) - 1) < 1e-9 for shares in slips.places.values())
