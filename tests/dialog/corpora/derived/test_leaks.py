"""What is tested stays out of what is trained on."""

from hypothesis import given
from hypothesis import strategies as st

from dialog.corpora.derived.leaks import expanded, long_utterances, normal, without
from tests.dialog.tiny import chat

TESTED = [chat("A: Well, I never said THAT to you!", "B: no way", "A: you are the worst film ever")]


def test_texts_are_compared_by_their_words_alone() -> None:
    assert normal("  Well—I never, said THAT!? ") == "well i never said that"
    assert normal("...") == ""


@given(st.text())
def test_normal_is_normal(text: str) -> None:
    assert normal(normal(text)) == normal(text)


def test_a_contraction_hides_no_leak() -> None:
    assert expanded("That\u2019s what he'd say, I can't and won't!") == expanded(
        "that is what he would say I cannot and will not"
    )
    held_out = long_utterances([chat("A: I can't believe you're leaving us today")])
    assert without([chat("B: I cannot believe you are leaving us today .")], held_out) == []


def test_only_long_utterances_tell_a_leak() -> None:
    assert long_utterances(TESTED) == {"well i never said that to you", "you the worst film ever"}


def test_a_conversation_that_shares_a_long_utterance_is_left_out() -> None:
    held_out = long_utterances(TESTED)
    leak = chat("X: hello", "Y: well i never said that to you", id="leak")
    short = chat("X: No way!", "Y: good dog", id="short")
    other = chat("X: well I never said that to him at all", id="other")
    assert without([leak, short, other], held_out) == [short, other]
    assert without([leak, short, other], set()) == [leak, short, other]


def test_with_a_share_only_what_is_mostly_known_is_left_out() -> None:
    held_out = long_utterances(TESTED)
    own = "Y: this one nobody has ever said"
    half = chat("X: well i never said that to you", own, id="half")
    third = chat("X: well i never said that to you", own, own + " before", id="third")
    assert without([half, third], held_out, share=0.5) == [third]
    assert without([half, third], held_out) == []
    copy = TESTED[0]
    assert without([copy], held_out, share=1.0) == []
