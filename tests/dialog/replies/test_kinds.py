import pytest

from dialog.replies.fit import may_be_asked
from dialog.replies.kinds import KINDS, asks_anew, kinds_of


@pytest.mark.parametrize(
    ("text", "emotion", "kinds"),
    [
        ("thanks so much", "joy", {"thanks"}),
        ("I'm sorry, I did not mean that", "sadness", {"sorry"}),
        ("I'm sorry to hear that", "sadness", {"bad"}),
        ("Hey there!", None, {"hello"}),
        ("how are you", None, {"how"}),
        ("Good night, I'm going to bed.", None, {"bye"}),
        ("Could you help me with something?", None, {"help"}),
        ("You’re so useless", "anger", {"hurt"}),
        ("Should I tell my teacher?", "fear", {"asked"}),
        ("What do you think?", None, {"asked"}),
        ("Do you have any hobbies?", None, set()),
        ("How far is it?", None, set()),
        ("I won!", "joy", {"good"}),
        ("It rains.", None, {"said"}),
        ("I'm going hiking tomorrow.", "neutral", {"said", "future"}),
        ("They will leave me.", "sadness", {"bad"}),
        ("", None, {"said"}),
        ("это хорошо", "joy", {"good"}),
    ],
)
def test_a_message_is_of_the_kind_its_words_and_its_emotion_say(text: str, emotion: str, kinds: set[str]) -> None:
    assert kinds_of(text, emotion) == kinds
    assert kinds <= set(KINDS)


def test_an_unsure_emotion_lets_what_answers_anything_answer_too() -> None:
    assert kinds_of("It broke.", "sadness", 0.3) == {"bad", "said"}
    assert kinds_of("It broke.", "sadness", 0.7) == {"bad"}


@pytest.mark.parametrize(
    ("question", "said", "anew"),
    [
        ("Have you got a headache?", "I have a headache.", False),
        ("What makes you angry?", "It makes me angry.", False),
        ("How long have you been living there?", "I moved to Rome.", True),
        ("What happened?", "I lost my keys.", False),
    ],
)
def test_what_was_just_told_is_not_asked_for(question: str, said: str, anew: bool) -> None:
    assert asks_anew(question, said) is anew


@pytest.mark.parametrize(
    ("reply", "may"),
    [
        ("Did you sleep well?", True),
        ("Really? How did you do that?", True),
        ("How did it go?", True),
        ("Would you like some tea?", False),
        ("May I have your name?", False),
        ("Did I tell you?", False),
        ("You should rest.", False),
        ("The motorcycle?", False),
    ],
)
def test_only_what_asks_for_more_of_what_was_told_may_be_asked(reply: str, may: bool) -> None:
    assert may_be_asked(reply) is may
