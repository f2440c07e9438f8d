"""Conversations from JSON and back: nothing is lost, and what is wrong is said with its place."""

import contextlib
import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog.conversation import Cause, Caveat, Conversation, MalformedConversation, Prediction, Utterance, Voice

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text(st.characters(exclude_categories=["Cs"])) | st.integers()
UTTERANCES = st.fixed_dictionaries(
    {"speaker": NAMES, "text": st.text(st.characters(exclude_categories=["Cs"]))},
    optional={"emotion": st.none() | st.sampled_from(["joy", "fear"]), "time": st.none() | NAMES, "season": JSON},
)
CONVERSATIONS = st.fixed_dictionaries(
    {"id": NAMES, "utterances": st.lists(UTTERANCES, max_size=4)},
    optional={"warnings": JSON, "error": JSON, "split": JSON},
)


def prediction(emotion: str = "joy", **fields: Any) -> Prediction:
    return Prediction(
        emotion=emotion,
        probability=0.75,
        probabilities={emotion: 0.75, "neutral": 0.25},
        sentiment="positive",
        **fields,
    )


@given(CONVERSATIONS)
def test_every_field_that_came_in_comes_out(value: dict[str, Any]) -> None:
    # An empty list of warnings is the one thing we say by silence.
    expected = {k: v for k, v in value.items() if not (k == "warnings" and v == [])}
    assert Conversation.from_dict(value).to_dict() == expected


@given(JSON)
def test_any_json_value_is_a_conversation_or_refused(value: Any) -> None:
    with contextlib.suppress(MalformedConversation):
        Conversation.from_dict(value)


def test_a_prediction_survives_the_way_out_and_back() -> None:
    cause = Cause(utterance=0, start=0, end=2, span="Hi", probability=0.5)
    latent = Cause(utterance=None, start=None, end=None, span=None, probability=0.1)
    utterance = Utterance(speaker="Ann", text="Hi", prediction=prediction(causes=(cause, latent)))
    conversation = Conversation(id="a", utterances=(utterance,), error="e", warnings=("w",))
    assert Conversation.from_dict(json.loads(json.dumps(conversation.to_dict()))) == conversation


@pytest.mark.parametrize("foreign", ["joy", {"label": "joy"}, [1], {"emotion": "joy", "probability": "high"}])
def test_somebody_elses_prediction_is_left_alone(foreign: Any) -> None:
    value = {"id": "a", "utterances": [{"speaker": "A", "text": "x", "prediction": foreign}]}
    assert Conversation.from_dict(value).to_dict() == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "expected an object, got an array"),
        ({}, "utterances: missing"),
        ({"utterances": "x"}, "utterances: expected an array, got 'x'"),
        ({"utterances": [5]}, "utterances[0]: expected an object, got 5"),
        ({"utterances": [{"speaker": "A", "text": "a"}, {"speaker": "A"}]}, "utterances[1].text: missing"),
        ({"utterances": [{"speaker": "A", "text": 5}]}, "utterances[0].text: expected a string, got 5"),
        ({"utterances": [{"speaker": None, "text": "a"}]}, "utterances[0].speaker: expected a string, got null"),
        ({"utterances": [{"speaker": True, "text": "a"}]}, "utterances[0].speaker: expected a string, got true"),
        ({"utterances": [], "id": {}}, "id: expected a string, got an object"),
        (
            {"utterances": [{"speaker": "A", "text": "", "emotion": 1}]},
            "utterances[0].emotion: expected a string, got 1",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(value: Any, message: str) -> None:
    with pytest.raises(MalformedConversation) as caught:
        Conversation.from_dict(value)
    assert str(caught.value) == message


def test_an_id_that_is_missing_is_the_default_and_one_that_is_a_number_stays_one() -> None:
    assert Conversation.from_dict({"utterances": []}, default_id="chat-1").id == "chat-1"
    numbered = Conversation.from_dict({"id": 7, "utterances": []})
    assert numbered.id == "7"
    assert numbered.to_dict()["id"] == 7


def test_half_a_surrogate_pair_is_replaced_where_it_enters() -> None:
    value = json.loads('{"utterances": [{"speaker": "A", "text": "x\\ud83d y \\ud83d\\ude00"}]}')
    assert Conversation.from_dict(value).utterances[0].text == "x\ufffd y 😀"


def test_how_a_voice_sounds_goes_into_the_prediction_and_stays_through_another_labelling() -> None:
    voice = Voice(emotion=None, probability=0.4, probabilities={"anger": 0.4, "joy": 0.3, "sadness": 0.3})
    heard = Utterance(speaker="Ann", text="Hi", extra={"voice": voice.to_dict(), "end": "00:00:01.000"})
    words = Prediction(emotion="joy", probability=1.0, probabilities={"joy": 1.0}, sentiment="positive")
    assert heard.voice == voice
    labelled = heard.labelled(words)
    assert labelled.prediction == replace(words, voice=voice)  # and all the words say is as it was
    assert labelled.extra == {"end": "00:00:01.000"}
    again = Utterance.from_dict(labelled.to_dict()).labelled(replace(words, emotion=None))
    assert again.voice == voice
    foreign = Utterance(speaker="Ann", text="Hi", extra={"voice": {"pitch": 3}})
    assert foreign.voice is None
    assert foreign.labelled(words).extra == {"voice": {"pitch": 3}}


def test_predictions_are_matched_to_utterances_or_refused() -> None:
    conversation = Conversation(id="a", utterances=(Utterance(speaker="A", text="x"), Utterance(speaker="B", text="y")))
    labelled = conversation.with_predictions([prediction("joy"), prediction("fear")])
    assert [u.prediction.emotion for u in labelled.utterances if u.prediction] == ["joy", "fear"]
    with pytest.raises(ValueError, match="1 predictions for 2 utterances"):
        conversation.with_predictions([prediction()])


def test_speakers_come_once_in_order_of_appearance() -> None:
    turns = [Utterance(speaker=s, text="") for s in "BABCA"]
    assert Conversation(id="a", utterances=tuple(turns)).speakers == ("B", "A", "C")


def test_warnings_add_up_without_repeating_themselves() -> None:
    conversation = Conversation(id="a", utterances=()).with_warnings(["x"]).with_warnings(["x", "y"])
    assert conversation.warnings == ("x", "y")


def test_a_caveat_is_a_sentence_with_a_code_and_places_and_survives_every_journey() -> None:
    caveat = Caveat("foreign", "not in English", (0, 7))
    assert caveat == "utterances 0, 7: not in English"
    for again in (Caveat.of(caveat.to_dict()), copy.deepcopy(caveat), caveat.moved(0)):
        assert (again, again.code, again.text, again.utterances) == (caveat, "foreign", "not in English", (0, 7))
    conversation = Conversation(id="a", utterances=()).with_warnings([caveat, "a plain sentence"])
    value = conversation.to_dict()
    assert value["warnings"] == [
        {"code": "foreign", "text": "not in English", "utterances": [0, 7]},
        "a plain sentence",
    ]
    assert Conversation.from_dict(value) == conversation
    assert Conversation.from_dict(value).warnings[0].code == "foreign"  # type: ignore[attr-defined]
    assert Caveat.of("a plain sentence").code == "note"


@pytest.mark.parametrize(
    "theirs", [[{"code": 1}], [{"code": "a", "text": "b", "utterances": ["x"]}], [{"code": "a", "text": "b"}], [None]]
)
def test_warnings_in_another_shape_are_somebody_elses(theirs: list[object]) -> None:
    value = {"id": "a", "utterances": [], "warnings": theirs}
    assert Conversation.from_dict(value).warnings == ()
    assert Conversation.from_dict(value).to_dict() == value
