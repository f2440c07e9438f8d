"""Abbreviations of chats are read in full, and what only looks like one stays as it is."""

import pytest

from models.encoders.abbreviations import abbreviations
from models.encoders.spoken import spoken


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("ffs not again", "for fuck's sake not again"),
        ("FML!!", "fuck my life!!"),
        ("smh.", "how disappointing."),
        ("ughhh!", "ugh, annoying!"),
        ("ily", "i love you"),
        ("i luv u all", "i love you all"),
        ("luv this", "love this"),
        ("tysmmm", "thank you so much"),
        ("gg everyone", "good game everyone"),
        ("let's gooooo", "let's go, hooray"),
        ("gl hf", "good luck have fun"),
        ("cant w8 4 2moro", "can't wait 4 tomorrow"),
        ("im shook", "i'm shocked"),
        ("I'm shook", "i'm shocked"),
        ("jajajaja", "hahaha"),
        ("lolol", "laughing out loud"),
        ("#tgif", "#thank god it's friday"),
        ("this is f*cking bullsh*t", "this is fucking bullshit"),
        ("f*** off", "fuck off"),
        ("tired af!", "tired as fuck!"),
        ("i want to kms", "i want to kill myself"),
        ("h8 this :(", "hate this  frowning face, sad "),
    ],
)
def test_abbreviations_are_read_in_full(written: str, read: str) -> None:
    assert spoken(written) == read


@pytest.mark.parametrize(
    "plain",
    [
        "5 kms away",
        "JK Rowling",
        "https://x.org/ffs",
        "ffs.org",
        "@ily",
        "Emily",
        "army",
        "egg",
        "grrreat",
        "a*b*c",
        "5*5",
        "F# and C#",
        "af is its domain",
        "lol",
        "kkk",
        "boots",
        "well-fml",
        "ugh, same",
        "lmao",
        "go go go",
        "",
    ],
)
def test_what_is_no_abbreviation_stays_as_it_is(plain: str) -> None:
    assert spoken(plain) == plain
    assert not list(abbreviations(plain))


def test_a_word_of_a_million_letters_is_read_at_once() -> None:
    assert spoken("f" * 1_000_000).startswith("fff")
    assert spoken("lo" * 500_000) == "lo" * 500_000
