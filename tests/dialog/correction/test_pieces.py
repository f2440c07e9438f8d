"""What of a message may be corrected, and what never is."""

import pytest

from dialog.correction.pieces import in_case_of, pieces


def words(text: str) -> list[str]:
    return [p.text for p in pieces(text) if p.kind == "word"]


def test_pieces_stand_where_they_say_and_leave_out_nothing_but_white_space() -> None:
    text = "well, i'm 5'9 :) see www.a.b/c?d=1 @bo #fun nooooo!! ça va? 👍🏽 e.g. 3.50€ a_b\n\nOk"
    found = pieces(text)
    assert all(text[p.start : p.end] == p.text for p in found)
    assert "".join(p.text for p in found) == "".join(text.split())


@pytest.mark.parametrize(
    "text",
    [
        *("https://exmaple.com/teh", "www.teh.com", "bo@exmaple.com", "@teh", "#teh", "teh/recieve", "teh_recieve"),
        *(
            "5teh",
            "1,000",
            "10:30",
            "WHAT",
            "sooo",
            "nooooo",
            "hahaha",
            "lol",
            "hmm",
            "iPhone",
            "日本語",
            "привет",
            "café",
        ),
        *("👍", "👨‍👩‍👧", ":-)", "xD", "<3"),
    ],
)
def test_what_carries_feeling_or_means_one_thing_only_is_protected(text: str) -> None:
    assert words(text) == []
    assert words(f"and {text} too") == ["and", "too"]


def test_a_capital_is_a_name_but_where_a_sentence_begins() -> None:
    assert words("Teh cat saw Teh. Teh dog!") == ["Teh", "cat", "saw", "Teh", "dog"]
    assert words("he met Teh") == ["he", "met"]
    assert words("so I think") == ["so", "I", "think"]


@pytest.mark.parametrize(
    ("typed", "meant", "shown"),
    [("teh", "the", "the"), ("Teh", "the", "The"), ("im", "i'm", "I'm"), ("i", "i", "I"), ("Alot", "a lot", "A lot")],
)
def test_what_was_meant_takes_the_capital_of_what_was_typed(typed: str, meant: str, shown: str) -> None:
    assert in_case_of(typed, meant) == shown


@pytest.mark.parametrize("text", ["", " ", "\n", "\ud800", "a" * 10_000, "a " * 10_000, "'", "’’’", "\x00"])
def test_no_text_is_too_odd(text: str) -> None:
    assert all(p.text for p in pieces(text))
