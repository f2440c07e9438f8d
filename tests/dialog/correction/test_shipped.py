"""The shipped corrector on messages of our own, which it has not seen."""

import json
from pathlib import Path

import pytest

from dialog.correction import TextCorrector
from models.catalogue import CORRECTION, path_of

OWN = [json.loads(line) for line in (Path(__file__).parent / "own_messages.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def corrector() -> TextCorrector:
    return TextCorrector.load()


def test_most_slips_of_our_own_are_mended(corrector: TextCorrector) -> None:
    slips = [row for row in OWN if row["typed"] != row["meant"]]
    right = sum(corrector.correct(row["typed"]).corrected == row["meant"] for row in slips)
    assert right >= 23, f"{right} of {len(slips)}"


def test_what_is_meant_so_is_left(corrector: TextCorrector) -> None:
    meant = [row["typed"] for row in OWN if row["typed"] == row["meant"]]
    changed = [text for text in meant if corrector.correct(text).corrected != text]
    assert len(changed) <= 3, changed


@pytest.mark.parametrize(
    "text", ["nooooo", "sooo WEIRD", "ask @marta_k at https://exmaple.com/teh", "room 3b at 7:45", "lol 😭😭", ""]
)
def test_feeling_names_numbers_and_links_are_never_touched(text: str, corrector: TextCorrector) -> None:
    assert corrector.correct(text).corrected == text


def test_the_word_being_typed_is_completed(corrector: TextCorrector) -> None:
    assert corrector.complete("see you tomo")[0].word == "tomorrow"


def test_letters_doubled_and_single_are_put_right(corrector: TextCorrector) -> None:
    assert (
        corrector.correct("see you tommorow, dissapointed but ok").corrected == "see you tomorrow, disappointed but ok"
    )


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in path_of(CORRECTION).iterdir()) < 4_000_000
