"""Tables, in and out."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog.conversation import Cause, Conversation, Prediction, Utterance
from dialog.formats import Unreadable, read, write
from dialog.formats.left_out import is_silent

TEXT = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: not is_silent(text))
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


def parsed(text: str, **options: Any) -> list[Any]:
    return list(read(io.BytesIO(text.encode()), **{"format": "csv", "name": "log", **options}))


def written(items: list[Any], **options: Any) -> str:
    out = io.BytesIO()
    write(items, out, "csv", **options)
    return out.getvalue().decode()


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [(u.speaker, u.text) for u in conversation.utterances]


@settings(max_examples=50)
@given(CONVERSATIONS)
def test_what_is_written_is_read_again(conversations: list[Conversation]) -> None:
    again = parsed(written(conversations, guard=False))
    assert [c.id for c in again] == [c.id for c in conversations]
    for read_again, conversation in zip(again, conversations, strict=True):
        for a, b in zip(read_again.utterances, conversation.utterances, strict=True):
            assert (a.speaker, a.text, a.emotion, a.time) == (b.speaker, b.text, b.emotion, b.time)
            assert a.extra["act"] == b.extra["act"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_from_the_header(delimiter: str) -> None:
    rows = [["Speaker", "Message", "Emotion"], ["Ann", f"Hi{delimiter} you", "joy"], ["Bo", "Yo", ""]]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    (conversation,) = parsed(out.getvalue(), format="auto")
    assert said(conversation) == [("Ann", f"Hi{delimiter} you"), ("Bo", "Yo")]
    assert conversation.utterances[0].emotion == "joy"
    assert conversation.utterances[1].emotion is None


@pytest.mark.parametrize(
    "header",
    ["Sr No.,Utterance,Speaker,Emotion,Dialogue_ID,StartTime", "n,message,author,label,chat-id,Timestamp"],
)
def test_columns_are_found_by_their_usual_names(header: str) -> None:
    first, second = parsed(f"{header}\n1,Hi,Ann,joy,7,12:30\n2,Yo,Bo,,8,12:31\n")
    assert (first.id, second.id) == ("7", "8")
    (utterance,) = first.utterances
    assert (utterance.speaker, utterance.text, utterance.emotion, utterance.time) == ("Ann", "Hi", "joy", "12:30")
    assert list(utterance.extra.values()) == ["1"]


def test_mixed_conversations_are_gathered_in_the_order_of_their_first_rows() -> None:
    a, b = parsed("id,conversation,speaker,text\n1,b,Ann,1\n2,a,Bo,2\n3,b,Bo,3\n4,a,Ann,4\n")
    assert (a.id, said(a)) == ("b", [("Ann", "1"), ("Bo", "3")])
    assert (b.id, said(b)) == ("a", [("Bo", "2"), ("Ann", "4")])


def test_a_conversation_comes_out_as_soon_as_its_last_row_has_been_read() -> None:
    rows = "".join(f"{i // 2},A,{i}\n" for i in range(2000))
    stream = io.BytesIO(f"conversation,speaker,text\n{rows}".encode())
    items = read(stream, format="csv")
    next(items)
    assert stream.tell() < 100


def test_a_row_that_does_not_fit_costs_only_itself() -> None:
    items = parsed("speaker,text,emotion\nAnn,one,joy\nBo\nBo,two,joy,more,cells\nCem,three,\n")
    assert [i.line for i in items if isinstance(i, Unreadable)] == [3, 4]
    assert said(items[-1]) == [("Ann", "one"), ("Cem", "three")]


def test_a_quote_nobody_closed_costs_only_its_row() -> None:
    wrong, conversation = parsed('speaker,text,n\nAnn,one,1\nBo,"two,2\nCem,three,3\nDi,"fo\nur",4\n')
    assert (wrong.line, wrong.text) == (3, 'Bo,"two,2')
    assert said(conversation) == [("Ann", "one"), ("Cem", "three"), ("Di", "fo\nur")]


def test_quotes_inside_words_are_just_quotes() -> None:
    (conversation,) = parsed('speaker,text\nAnn,he is 6" tall\nBo,"she said ""no"""\n')
    assert said(conversation) == [("Ann", 'he is 6" tall'), ("Bo", 'she said "no"')]


def test_commas_of_an_unquoted_last_text_belong_to_it_with_a_warning() -> None:
    (conversation,) = parsed("speaker,text\nAnn,Hi, how are you?\n")
    assert said(conversation) == [("Ann", "Hi, how are you?")]
    assert "part of the text" in conversation.warnings[0]


def test_backslashes_may_escape_quotes() -> None:
    (conversation,) = parsed('speaker,text\nAnn,"say \\"hi\\", now"\n')
    assert said(conversation) == [("Ann", 'say "hi", now')]


def test_excels_own_way_to_name_the_delimiter_is_understood() -> None:
    (conversation,) = parsed("sep=;\nspeaker;text\nAnn;a,b\n", format="auto")
    assert said(conversation) == [("Ann", "a,b")]


def test_a_table_without_speakers_is_read_with_a_warning() -> None:
    (conversation,) = parsed("text,score\nHi,1\n")
    assert conversation.speakers == ("unknown",)
    assert "no column for the speaker" in conversation.warnings[0]


def test_a_table_without_texts_says_what_it_has() -> None:
    (item,) = parsed("a,b\n1,2\n")
    assert isinstance(item, Unreadable)
    assert item.reason == "no column for the text: expected one called text or message, found a, b"


def test_columns_without_a_name_or_with_a_name_twice_are_kept_apart() -> None:
    (conversation,) = parsed(",speaker,text,act,act\n0,Ann,Hi,x,y\n")
    assert conversation.utterances[0].extra == {"column 1": "0", "act": "x", "act 5": "y"}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_starts_a_formula_in_a_spreadsheet_unless_asked(start: str) -> None:
    evil = f"{start}HYPERLINK()"
    conversation = Conversation(id=evil, utterances=(Utterance(speaker=evil, text=evil, extra={evil: evil}),))
    rows = list(csv.reader(io.StringIO(written([conversation]), newline="")))
    assert not any(cell.startswith(start) for row in rows for cell in row)
    assert rows[1].count(f"'{evil}") == 4
    (again,) = parsed(written([conversation]))
    assert again.utterances[0].text == f"'{evil}"  # undone by nobody
    assert rows != list(csv.reader(io.StringIO(written([conversation], guard=False), newline="")))


def test_predictions_errors_and_warnings_have_columns() -> None:
    cause = Cause(utterance=0, start=0, end=2, span="Hi", probability=0.5)
    prediction = Prediction(
        emotion="joy",
        probability=0.75,
        probabilities={"joy": 0.75, "sadness": 0.25},
        sentiment="positive",
        causes=(cause,),
    )
    labelled = Conversation(
        id="a", utterances=(Utterance(speaker="Ann", text="Hi", prediction=prediction),), warnings=("one", "two")
    )
    failed = Conversation(id="b", utterances=(), error="boom")
    rows = list(csv.DictReader(io.StringIO(written([labelled, failed, Unreadable.at(3, "why", "what")]))))
    assert (rows[0]["predicted_emotion"], rows[0]["probability"], rows[0]["p_sadness"]) == ("joy", "0.7500", "0.2500")
    assert '"span":"Hi"' in rows[0]["causes"]
    assert rows[0]["warnings"] == "one; two"
    assert (rows[1]["conversation"], rows[1]["error"]) == ("b", "boom")
    assert (rows[2]["text"], rows[2]["error"]) == ("what", "line 3: why")
