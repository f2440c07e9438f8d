"""Which words a typed word may stand for."""

from dialog.correction.lexicon import MAX_CANDIDATES, N_FEATURES, Lexicon

COUNTS = {
    **{"the": 90_000, "to": 60_000, "a": 50_000, "lot": 3_000, "there": 5_000, "their": 4_000, "ten": 800},
    **{"tomorrow": 900, "receive": 60, "don't": 9_000, "done": 900, "i'm": 9_000, "in": 9_000, "cat": 50, "cats": 40},
}


def candidates(word: str) -> list[str]:
    return [c.text for c in Lexicon(COUNTS).candidates(word)]


def test_the_likeliest_word_near_by_stands_first() -> None:
    assert candidates("teh")[0] == "the"
    assert candidates("tommorow")[0] == "tomorrow"
    assert candidates("recieve")[0] == "receive"
    assert candidates("dont")[0] == "don't"
    assert candidates("im")[0] == "i'm"


def test_a_space_that_was_left_out_is_found() -> None:
    assert "a lot" in candidates("alot")
    assert "to the" in candidates("tothe")


def test_a_word_met_often_stands_for_itself_unless_it_is_one_that_is_confused() -> None:
    assert candidates("the") == []
    assert "their" in candidates("there")
    assert candidates("cat") == ["cats"]  # known, but rare: one letter away


def test_every_candidate_has_its_features_and_there_are_not_too_many() -> None:
    lexicon = Lexicon({f"aa{c}{d}": 10 for c in "abcdefgh" for d in "abcdefgh"})
    found = lexicon.candidates("aazz")
    assert 0 < len(found) <= MAX_CANDIDATES
    assert {len(c.features) for c in found} == {N_FEATURES}
    assert len(lexicon.typed_features("aazz")) == N_FEATURES
    assert len({c.text for c in found}) == len(found)


def test_words_are_found_by_how_they_begin() -> None:
    assert list(Lexicon(COUNTS).beginning_with("th")) == ["the", "their", "there"]
    assert list(Lexicon(COUNTS).beginning_with("zz")) == []
    assert "the" in Lexicon(COUNTS)
    assert "teh" not in Lexicon(COUNTS)
    assert Lexicon({}).candidates("the") == ()
