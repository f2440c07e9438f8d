import pytest

from dialog.correction.corrector import shipped_lexicon
from dialog.replies.frank import BRIEF, HARMED, NOT_ABLE, NOT_WORDS, OF_ITSELF, own_words, unsaid


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Are you a robot?", OF_ITSELF),
        ("are u real", OF_ITSELF),
        ("Who are you?", OF_ITSELF),
        ("what’s your name", OF_ITSELF),
        ("do you love me?", OF_ITSELF),
        ("Am I talking to a human?", OF_ITSELF),
        ("Tell me a joke", NOT_ABLE),
        ("could you please translate this letter", NOT_ABLE),
        ("What's the capital of France?", NOT_ABLE),
        ("how tall is the Eiffel tower", NOT_ABLE),
        ("asdf jkl qwertz", NOT_WORDS),
        ("hfjdkshf", NOT_WORDS),
        ("ok", BRIEF),
        ("I don't know.", BRIEF),
        ("He hits me when he is drunk", HARMED),
        ("my boss threatened me", HARMED),
    ],
)
def test_what_only_a_program_can_answer_it_answers_in_its_own_words(text, sentences):
    assert own_words(text, shipped_lexicon()) == sentences


@pytest.mark.parametrize(
    "text",
    [
        "",
        "...",
        "I'm okay now",
        "nooooo",
        "I won!",
        "Siobhan and I went to Reykjavik",
        "tommorow",
        "I finaly recieved it",
        "The robot vacuum broke",
        "Who are you going with?",
        "I asked him to tell me a joke",
        "my boss yelled at me",
        "It hit me that I was alone",
        "She beat me at chess",
        "I can't draw",
        "😭😭 all day",
        "42 of them",
    ],
)
def test_what_people_can_answer_is_left_to_what_people_wrote(text):
    assert own_words(text, shipped_lexicon()) == ()


def test_a_sentence_is_not_said_twice_in_a_row_where_there_is_another():
    assert unsaid(OF_ITSELF, []) == OF_ITSELF[0]
    assert unsaid(OF_ITSELF, OF_ITSELF[:1]) == OF_ITSELF[1]
    assert unsaid(OF_ITSELF, OF_ITSELF) == OF_ITSELF[1]
