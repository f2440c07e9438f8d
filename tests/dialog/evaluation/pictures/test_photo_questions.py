"""Everyday questions about photographs: how an answer is marked, and what the shipped model is worth on ours."""

import json
from pathlib import Path

import pytest

from dialog.evaluation.pictures.photo_questions import Marked, mark, read_questions, shares, verdict

QUESTIONS = Path(__file__).parents[2] / "pictures" / "everyday_photos.jsonl"
"""Written before any answer was seen: twenty photographs of test parts, ten questions each."""
DATA = Path(__file__).parents[5] / "shared" / "data"


@pytest.mark.parametrize(
    ("said", "accepted", "expected"),
    [
        ("dog", ["dog"], "right"),
        ("a brown dog on grass", ["grass"], "right"),
        ("on the beach", ["sand", "beach"], "right"),
        ("puppies", ["dog"], "right"),
        ("yes", ["no"], "wrong"),
        ("yes, a dog", ["yes"], "wrong"),
        ("no", ["0", "no"], "right"),
        ("I do not know", ["dog"], "not known"),
        ("I do not know", ["i do not know"], "right"),
        ("hot dog stand", ["cat"], "wrong"),
    ],
)
def test_an_answer_is_right_not_known_or_wrong(said: str, accepted: list[str], expected: str) -> None:
    assert verdict(said, accepted) == expected


def test_shares_are_of_all_questions() -> None:
    kinds = ["right", "right", "not known", "wrong"]
    found = shares([Marked("a", "q", "s", ("t",), kind) for kind in kinds])
    assert found == {"n": 4, "right": 50, "right_or_not_known": 75, "wrong": 25}


def test_a_damaged_file_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"collection": "a", "image": "b", "questions": [{"question": "q", "accepted": []}]}\n')
    with pytest.raises(ValueError, match=r"q\.jsonl, line 1"):
        read_questions(file)


def test_there_are_twenty_photographs_with_ten_questions_each() -> None:
    rows = read_questions(QUESTIONS)
    assert len({(r["collection"], r["image"]) for r in rows}) == 20
    assert [len(r["questions"]) for r in rows] == [10] * 20
    assert all(json.dumps(q["accepted"]).islower() or q["accepted"] for r in rows for q in r["questions"])


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "vision").is_dir(), reason="the picture collections are not here")
def test_the_shipped_model_is_mostly_right_or_says_that_it_does_not_know() -> None:
    from dialog.pictures.seqdialn import VisualDialog

    found = shares(mark(VisualDialog.load(), DATA, read_questions(QUESTIONS)))
    assert found["right_or_not_known"] >= 60
    assert found["right"] >= 50
