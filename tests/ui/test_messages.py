import pytest

from dialog.conversation import Caveat, Conversation, Utterance
from dialog.labels import LABEL_SETS
from dialog.language import FOREIGN
from tests.ui.fake import MemoryClient, predict
from ui.messages import ShownMessage, colour, counted_from_one, messages_of, mood, percent, symbol


@pytest.mark.parametrize(
    ("p", "shown"), [(1.0, "> 99 %"), (0.994, "99 %"), (0.5, "50 %"), (0.006, "1 %"), (0.001, "< 1 %"), (0.0, "< 1 %")]
)
def test_a_probability_never_claims_to_be_certain(p: float, shown: str) -> None:
    assert percent(p) == shown


@pytest.mark.parametrize("label", sorted({label for labels in LABEL_SETS.values() for label in labels}))
def test_every_label_of_ours_has_a_word_a_symbol_and_a_colour(label: str) -> None:
    assert symbol(label) != "•"
    assert colour(label).startswith("#")


def test_a_label_of_somebody_elses_model_is_shown_too() -> None:
    assert colour("schadenfreude").startswith("#")


def test_the_mood_goes_from_unhappy_to_happy() -> None:
    assert mood({"joy": 1.0}) == 1
    assert mood({"anger": 0.5, "sadness": 0.5}) == -1
    assert mood({"neutral": 0.6, "joy": 0.2, "fear": 0.2}) == pytest.approx(0)
    assert mood({"schadenfreude": 1.0}) == 0


def test_the_label_that_counts_is_the_persons() -> None:
    message = ShownMessage(n=0, speaker="Ann", text="great!", prediction=predict("great!"))
    assert message.emotion == "joy"
    assert (
        ShownMessage(n=0, speaker="Ann", text="great!", prediction=predict("great!"), correction="anger").emotion
        == "anger"
    )
    assert ShownMessage(n=0, speaker="Ann", text="great!").pending


def test_a_clients_message_keeps_everything_and_loses_the_place_it_is_itself() -> None:
    client = MemoryClient()
    chat = client.start_chat()
    client.add_message(chat.id, "Ann", "hi")
    sent = client.add_message(chat.id, "Ann", "你好")
    message = ShownMessage.of(sent)
    assert (message.n, message.speaker, message.text) == (1, "Ann", "你好")
    assert message.warnings == (FOREIGN,)
    assert not message.pending


def test_a_message_without_an_answer_says_so() -> None:
    conversation = Conversation(id="a", utterances=(Utterance(speaker="Ann", text="hi"),), error="too hard")
    assert [m.error for m in messages_of(conversation)] == ["too hard"]


def test_warnings_are_moved_and_counted_as_the_page_counts() -> None:
    places = [0, 7, *range(100, 110)]
    warning = Caveat("foreign", "not in English", places)
    assert warning == "utterances 0, 7, 100, 101, 102, 103, 104, 105 and 4 more: not in English"
    assert warning.moved(300).utterances[:2] == (300, 307)
    assert counted_from_one(warning).startswith("messages 1, 8, 101")
    assert counted_from_one(Caveat("truncated", "too long", [4])) == "message 5: too long"
    assert counted_from_one("7 system line(s) left out") == "7 system line(s) left out"
