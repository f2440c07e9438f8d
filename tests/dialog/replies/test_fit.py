import pytest

from dialog.conversation import Conversation, Utterance
from dialog.replies.fit import as_written, known_words, may_be_said
from dialog.replies.pairs import pairs, tidy


@pytest.mark.parametrize("reply", ["That sounds wonderful!", "I'm so sorry to hear that.", "Why do you think so?"])
def test_what_suits_anybody_may_be_said(reply):
    assert may_be_said(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "I met Tom in town.",
        "See you on monday.",
        "It costs twenty dollars.",
        "We have 3 of them.",
        "You are an idiot.",
        "My wife thinks so too.",
        "The president said so.",
        "Yes.",
        "Look at https://example.org now",
        "word " * 30,
    ],
)
def test_names_dates_numbers_facts_and_offence_are_left_out(reply):
    assert not may_be_said(reply)


def test_a_text_is_tidied_as_one_would_write_it():
    assert tidy("You ' re right . Let ’ s go !It's  late .") == "You're right. Let's go! It's late."
    assert as_written("i think so. you are right") == "I think so. You are right."


def test_a_pair_has_the_last_message_first_and_nobody_answers_himself():
    said = [("A", "one"), ("A", "two"), ("B", "three"), ("A", "four")]
    talk = Conversation(id="t", utterances=tuple(Utterance(speaker=s, text=t, emotion=t) for s, t in said))
    found = list(pairs(talk, 2))
    assert [(p.messages, p.reply, p.felt, p.to_feel) for p in found] == [
        (("two", "one"), "three", "two", "three"),
        (("three", "two"), "four", "three", "four"),
    ]


def test_a_word_that_is_mostly_a_name_or_rare_is_not_known():
    known = known_words(["I see that Nigel and will go.", "You will see will, and Will goes."] * 6, at_least=5)
    assert {"see", "and"} <= known
    assert not {"nigel", "tom"} & known
    assert may_be_said("I see that and go.", known)
    assert not may_be_said("Nigel, I see that.", known)
