"""Events as somebody would tell them, and what people would feel."""

import pytest

from dialog.corpora.event_lines import feelings, first_person, past, third_person


@pytest.mark.parametrize(
    ("verb", "told"),
    [("loses", "lost"), ("cries", "cried"), ("stops", "stopped"), ("watches", "watched"), ("doesn't", "didn't")],
)
def test_a_verb_is_told_in_the_past(verb: str, told: str) -> None:
    assert past(verb) == told


def test_an_event_is_told_by_the_one_it_happened_to_or_of_somebody_else() -> None:
    assert first_person("PersonX loses PersonX's job") == "I lost my job"
    assert third_person("PersonX loses PersonX's job", "my sister") == "my sister lost her job"
    assert first_person("PersonX never calls PersonY back") == "I never called my friend back"


@pytest.mark.parametrize("event", ["It is a good thing", "PersonX wears ___", "PersonX tells PersonZ"])
def test_an_event_that_cannot_be_told_so_is_left_out(event: str) -> None:
    assert first_person(event) is None


def test_feelings_are_shares_of_the_words_that_are_known() -> None:
    third = pytest.approx(1 / 3)
    assert feelings(["sad", "worried", "very upset", "sad"]) == {"sadness": pytest.approx(2 / 3), "fear": third}
    assert feelings(["satisfied"])["neutral"] > feelings(["satisfied"])["joy"], "of an errand nobody hears joy"
    assert feelings(["xylophone"]) == {}
