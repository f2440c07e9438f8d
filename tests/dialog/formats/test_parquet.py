"""Parquet, in and out, and tasks for Label Studio."""

import io
import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog.conversation import Cause, Conversation, Prediction, Utterance
from dialog.formats import Unreadable, read, sniff, write
from dialog.formats.left_out import is_silent

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda text: not is_silent(text))
NAME = TEXT.map(str.strip).filter(bool)
ROWS = st.builds(
    Utterance,
    speaker=NAME,
    text=TEXT,
    emotion=st.none() | NAME,
    time=st.none() | NAME,
    extra=st.fixed_dictionaries({"act": TEXT}),
)
CONVERSATIONS = st.lists(
    st.builds(Conversation, id=NAME, utterances=st.lists(ROWS, min_size=1, max_size=3).map(tuple)),
    min_size=1,
    max_size=3,
    unique_by=lambda c: c.id,
)
CAUSE = Cause(utterance=0, start=0, end=2, span="Hi", probability=0.5)
JOY = Prediction(
    emotion="joy", probability=0.75, probabilities={"joy": 0.75, "sadness": 0.25}, sentiment="positive", causes=(CAUSE,)
)
LABELLED = Conversation(
    id="a",
    utterances=(Utterance(speaker="Ann", text="Hi 😀", prediction=JOY), Utterance(speaker="Bo", text="")),
    extra={"model_version": "m"},
)


def table(data: dict[str, list[Any]]) -> io.BytesIO:
    out = io.BytesIO()
    pq.write_table(pa.table(data), out)
    out.seek(0)
    return out


def written(items: list[Any], format: str = "parquet") -> bytes:
    out = io.BytesIO()
    write(items, out, format)
    return out.getvalue()


@settings(max_examples=40)
@given(CONVERSATIONS)
def test_what_is_written_is_read_again(conversations: list[Conversation]) -> None:
    again = list(read(io.BytesIO(written(conversations)), name="log"))
    assert [c.id for c in again] == [c.id for c in conversations]
    for a, b in zip(again, conversations, strict=True):
        assert isinstance(a, Conversation)
        for u, v in zip(a.utterances, b.utterances, strict=True):
            assert (u.speaker, u.text, u.emotion, u.time) == (v.speaker, v.text, v.emotion, v.time)
            assert u.extra["act"] == v.extra["act"]


def test_a_row_may_be_a_conversation() -> None:
    value = {"id": ["a", "b"], "utterances": [[{"speaker": "Ann", "text": "Hi"}], []], "season": [3, None]}
    data = table(value)
    assert sniff(data.getvalue()) == "parquet"
    a, b = read(data)
    assert isinstance(a, Conversation)
    assert a.to_dict() == {"id": "a", "utterances": [{"speaker": "Ann", "text": "Hi"}], "season": 3}
    assert b == Conversation(id="b", utterances=())


def test_types_become_those_of_json_and_bad_rows_cost_only_themselves() -> None:
    when = datetime(2020, 12, 31, 21, 41)
    data = table(
        {
            "Message": ["Hi", None, "Yo"],
            "user": [1, 2, 1],
            "ts": [when] * 3,
            "score": [0.5, 0.5, float("nan")],
            "b": [b"x"] * 3,
        }
    )
    wrong, conversation = read(data, name="log")
    assert wrong == Unreadable.at(2, "Message: expected a string, got None", source="log")
    assert isinstance(conversation, Conversation)
    assert [(u.speaker, u.text, u.time) for u in conversation.utterances] == [
        ("1", "Hi", "2020-12-31T21:41:00"), ("1", "Yo", "2020-12-31T21:41:00"),
    ]  # fmt: skip
    assert [u.extra["score"] for u in conversation.utterances] == [0.5, None]
    json.dumps(conversation.to_dict(), allow_nan=False)


def test_predictions_keep_their_types() -> None:
    data = pq.read_table(io.BytesIO(written([LABELLED, LABELLED.with_error("boom"), Unreadable.at(3, "why", "what")])))
    rows = data.to_pylist()
    assert (rows[0]["predicted_emotion"], rows[0]["p_sadness"]) == ("joy", 0.25)
    assert rows[0]["causes"] == [CAUSE.to_dict()]
    assert rows[2]["error"] == "boom"
    assert (rows[-1]["text"], rows[-1]["error"]) == ("what", "line 3: why")


def test_a_damaged_table_is_refused_with_a_reason() -> None:
    (item,) = read(io.BytesIO(written([LABELLED])[:-20]))
    assert isinstance(item, Unreadable)
    assert "damaged" in item.reason


def test_label_studio_gets_a_region_for_each_utterance_that_has_words() -> None:
    first, failed, wrong = json.loads(
        written([LABELLED, Conversation(id="b", utterances=(), error="boom"), Unreadable.at(3, "why")], "label-studio")
    )
    assert first["data"]["dialogue"] == [{"author": "Ann", "text": "Hi 😀"}, {"author": "Bo", "text": ""}]
    (prediction,) = first["predictions"]
    assert prediction["model_version"] == "m"
    (region,) = prediction["result"]
    assert region["value"]["paragraphlabels"] == ["joy"]
    assert (region["value"]["start"], region["value"]["endOffset"]) == ("0", 5)  # an emoji is two units in a browser
    assert (failed["data"]["error"], wrong["data"]["error"]) == ("boom", "line 3: why")
    assert json.loads(written([], "label-studio")) == []


def test_label_studio_gets_a_relation_to_each_other_utterance_that_is_a_cause() -> None:
    causes = (CAUSE, Cause(utterance=1, start=None, end=None, span=None, probability=0.4))
    latent = Cause(utterance=None, start=None, end=None, span=None, probability=0.9)
    later = Utterance(speaker="Bo", text="Yes", prediction=replace(JOY, causes=(*causes, latent)))
    c = Conversation(id="a", utterances=(LABELLED.utterances[0], later))
    ((prediction,),) = [task["predictions"] for task in json.loads(written([c], "label-studio"))]
    drawn = [r for r in prediction["result"] if r["type"] == "relation"]
    assert [(r["from_id"], r["to_id"]) for r in drawn] == [("u1", "u0")]
