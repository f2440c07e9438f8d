"""Emoji and emoticons are read as words, and what only looks like one stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.encoders.faces import has_face
from models.encoders.spoken import spoken, spoken_places


@pytest.mark.parametrize(
    ("emoticons", "words"),
    [
        (":) :-) :)))) =) (: ^^ ^_^ :3", "smiling face"),
        (":D :-D =D xD XD xdd", "smiling face with open mouth"),
        (":( :-( :(((( =(", "frowning face, sad"),
        (":'( :,( T_T T.T ;_; Q_Q", "crying"),
        (">:( (╯°□°)╯︵┻━┻", "angry"),
        (";) ;-) ;D", "winking face"),
        (":P :p =P ;P", "just kidding, haha"),
        (":/ :-/ :\\", "confused face"),
        (":o :O o_O O_o", "face with open mouth"),
        ("-_- -__- ಠ_ಠ", "annoyed"),
        (":|", "not amused"),
        (":* :-*", "kiss"),
        ("<3 <333", "love, growing heart"),
        ("</3 <\\3", "broken heart"),
        ("¯\\_(ツ)_/¯", "shrug"),
    ],
)
def test_emoticons_are_said_in_words(emoticons: str, words: str) -> None:
    for one in emoticons.split():
        assert spoken(one).strip() == words, one
        assert spoken(f"see you {one}").split() == ["see", "you", *words.split()], one
        assert has_face(f"見る {one}")


@pytest.mark.parametrize(
    "plain",
    [
        "plain",
        "at 12:30",
        "https://a.b/c",
        "ID:P12",
        "a) first b) second",
        "x=D",
        "if x<3 then",
        "TODO:D",
        "C:\\temp",
        "(see note:(3))",
        "f(x):[1]",
        "d[:]",
        "x[:3]",
        "[:-1]",
        "1:3",
        "we won 2:0",
        "AT&T",
        "Q: what?",
        "a --> b",
        "no - really",
        "you &amp;) x",
        "你好é",
        "2^3",
        "a_b",
        "ratio 4:3",
        "MaxDepth",
        "std::pair",
        "5 :30",
        "snake_case_o_O_name",
        "a",
        "b",
    ],
)
def test_what_is_no_emoticon_stays_as_it_is(plain: str) -> None:
    assert spoken(plain) == plain
    assert not has_face(plain)


def test_emoji_are_said_in_words() -> None:
    assert spoken("no\N{CRYING FACE}").split() == ["no", "crying", "face"]
    assert spoken("\N{CRYING FACE}" * 30).split() == ["crying", "face"]
    assert spoken("\N{WAVING HAND SIGN}\U0001f3fd\ufe0f").split() == ["waving", "hand", "sign"]


def test_names_that_mislead_are_replaced() -> None:
    assert spoken("\u2764\ufe0f\u2764\ufe0f").split() == ["growing", "heart"], "Unicode calls it black"
    assert spoken("\U0001f49c").strip() == "growing heart", "a heart means the same in every colour"
    assert spoken("\N{THINKING FACE}").strip() == "hmm, thinking"


@given(st.text(alphabet=st.sampled_from("a :)(D<3;P/\N{CRYING FACE}\u2764\ufe0f^_-oT."), max_size=30))
def test_every_letter_read_knows_where_it_was_written(text: str) -> None:
    spelled, places = spoken_places(text)
    assert spelled == spoken(text)
    assert len(places) == len(spelled) + 1
    assert all(0 <= start < end <= len(text) + 1 for start, end in places)
    assert [start for start, _ in places] == sorted(start for start, _ in places)
    if not has_face(text):
        assert [text[start:end] for start, end in places[:-1]] == list(text)
