"""Tables, in and out."""

import csv
import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog.conversation import Cause, Conversation, Prediction, Utterance, Voice
from dialog.formats import Unreadable, read, sniff, write
from dialog.formats.html_text import as_text, is_html
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


def test_how_a_voice_sounds_has_columns_of_its_own() -> None:
    sure = Voice(emotion="anger", probability=0.75, probabilities={"anger": 0.75, "joy": 0.25})
    said = [
        Utterance(speaker="Ann", text="Hi", extra={"voice": sure.to_dict()}),
        Utterance(speaker="Bo", text="Hm", extra={"voice": replace(sure, emotion=None).to_dict()}),
        Utterance(speaker="Ann", text="Oh"),
    ]
    rows = list(csv.DictReader(io.StringIO(written([Conversation(id="a", utterances=tuple(said))]))))
    assert [row["voice"] for row in rows] == ["anger", "not sure", ""]
    assert [row["voice_probability"] for row in rows] == ["0.7500", "0.7500", ""]
    theirs = Utterance(speaker="Ann", text="Hi", extra={"voice": "alto"})  # a column of somebody else's
    (row,) = csv.DictReader(io.StringIO(written([Conversation(id="a", utterances=(theirs,))])))
    assert (row["voice"], "voice_probability" in row) == ("alto", False)


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


COMMENTS = "id,Comment Body,From User\n1,I love it,Ann\n2,Me too,Bo\n"


@pytest.mark.parametrize("given", ["Comment Body", "comment body", "comment_body", " Comment  Body "])
def test_a_column_can_be_named(given: str) -> None:
    (conversation,) = parsed(COMMENTS, format="auto", columns={"text": given, "speaker": "From User"})
    assert said(conversation) == [("Ann", "I love it"), ("Bo", "Me too")]
    assert conversation.utterances[0].extra == {"id": "1"}


def test_a_column_that_is_named_leads_over_one_that_is_told() -> None:
    (conversation,) = parsed("text,note,speaker\nx,one,Ann\ny,two,Bo\n", columns={"text": "note"})
    assert said(conversation) == [("Ann", "one"), ("Bo", "two")]
    assert conversation.utterances[0].extra == {"text": "x"}


def test_a_column_that_is_not_there_is_refused_with_those_that_are() -> None:
    (wrong,) = parsed(COMMENTS, columns={"text": "Body"})
    assert wrong.reason == "no column 'Body'; there are id, Comment Body, From User"
    (wrong,) = parsed(COMMENTS, columns={"words": "Comment Body"})
    assert wrong.reason == "columns are for text, speaker, emotion, time, conversation; there is none for 'words'"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("<p>Hi <b>Ann</b>,</p><p>see <a href='x'>this</a></p>", "Hi Ann,\nsee this"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("Tom &amp; Jerry &#39;s &lt;3", "Tom & Jerry 's <3"),
        ("<div>a < b and <Ann> said <3</div>", "a < b and <Ann> said <3"),
        ("<ul><li>x</li><li>y</li></ul><script>alert(1)</script>", "x\ny"),
        ('hi <img src="s.png" alt="🙂"> you', "hi 🙂 you"),
        ("I <3 you & <Ann>", "I <3 you & <Ann>"),
        ("a < b > c", "a < b > c"),
        ("R&D", "R&D"),
        ("a&nbsp;b", "a b"),
    ],
)
def test_html_in_a_cell_becomes_text(cell: str, text: str) -> None:
    (conversation,) = parsed(f'speaker,text\nAnn,"{cell.replace(chr(34), chr(34) * 2)}"\n')
    assert [u.text for u in conversation.utterances] == [text]


@given(st.text(st.sampled_from("<>/&;abp 3#x!-\n")))
def test_any_cell_bears_being_looked_at_for_html(cell: str) -> None:
    shown = as_text(cell)
    assert is_html(cell) or shown == cell


def test_a_row_without_a_text_is_nobodys_words() -> None:
    (conversation,) = parsed("speaker,text\nAnn,one\nBo,\nBo, \nBo,<p></p>\nAnn,two\n")
    assert said(conversation) == [("Ann", "one"), ("Ann", "two")]
    assert conversation.warnings == ("left out: 3 rows without text",)


IN_OTHER_ENCODINGS = {
    "cp1251": "Мира,Я так счастлива сегодня",
    "koi8_r": "Мира,Я так счастлива сегодня",
    "cp1253": "Άννα,Είμαι τόσο χαρούμενη σήμερα",
    "cp1255": "אנה,אני כל כך שמחה היום",
    "cp1256": "آنا,أنا سعيدة جدا اليوم",
    "cp1250": "Anna,Jestem taka szczęśliwa i dostałam pracę",
    "cp1254": "Ayşe,Bugün çok mutluyum çünkü işi aldım",
    "shift_jis": "アン,今日はとても嬉しいです",
    "gb18030": "小明,我今天很高兴，终于找到工作了",
    "big5": "小明,我今天很高興，終於找到工作了",
    "euc_kr": "안나,오늘 너무 행복해요",
    "cp850": "Ann,un café crème déjà bu",
    "mac_roman": "Ann,un café crème déjà bu",
}


@pytest.mark.parametrize("encoding", IN_OTHER_ENCODINGS)
def test_an_encoding_is_asked_for_rather_than_guessed_wrong(encoding: str) -> None:
    data = f"speaker,text\n{IN_OTHER_ENCODINGS[encoding]}\n".encode(encoding)
    (wrong,) = read(io.BytesIO(data), format="csv")
    assert isinstance(wrong, Unreadable)
    assert "not UTF-8" in wrong.reason
    assert "say which encoding it is" in wrong.reason
    (conversation,) = read(io.BytesIO(data), format="csv", encoding=encoding)
    assert isinstance(conversation, Conversation)
    assert said(conversation) == [tuple(IN_OTHER_ENCODINGS[encoding].split(","))]
    assert not conversation.warnings


@pytest.mark.parametrize(
    "text",
    [
        "Ça va? Où es-tu? À bientôt, Noël", "Är du ånger? Så bra på ön Öland", "¿Qué tal? ¡Mañana será otro día!",
        "São Paulo, coração, não", "Größe und schöne Grüße", "Ég er þreytt í dag, það er gott",
        "J’ai 10 m² – très bien…",
        "MAÑANA SERÁ OTRO DÍA", "perché così", "blåbærgrød på øen", "5 € für 3 Stück", "l·l i avui és dilluns",
    ],
)  # fmt: skip
def test_western_texts_are_read_without_a_question(text: str) -> None:
    (conversation,) = read(io.BytesIO(f'speaker,text\nAnn,"{text}"\n'.encode("cp1252")), format="csv")
    assert isinstance(conversation, Conversation)
    assert said(conversation) == [("Ann", text)]
    assert "Windows-1252" in conversation.warnings[0]


def test_an_encoding_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown encoding 'nonsense'; expected one such as"):
        next(read(io.BytesIO(b"x"), encoding="nonsense"))


def test_a_date_in_a_column_of_its_own_belongs_to_the_time() -> None:
    (conversation,) = parsed("MessageDate,Time,Name,Number,Message\n01/05/2024,10:20:11,Ann,+44,hello\n")
    assert [u.time for u in conversation.utterances] == ["01/05/2024 10:20:11"]
    assert conversation.utterances[0].extra == {"MessageDate": "01/05/2024", "Number": "+44"}


def test_viber_writes_no_header() -> None:
    rows = '01/05/2024,10:20:11,Ann,+44,hello\n13/05/2024,10:21:11,Me,+45,"hi, there"\n'
    for filename in ("Messages - Ann.csv", "x"):
        assert sniff(rows.encode(), filename) == "csv"
    (conversation,) = parsed(rows)
    assert [(u.time, u.speaker, u.text) for u in conversation.utterances] == [
        ("01/05/2024 10:20:11", "Ann", "hello"), ("13/05/2024 10:21:11", "Me", "hi, there"),
    ]  # fmt: skip


def test_a_table_that_stands_newest_first_is_turned_round() -> None:
    rows = "FROM,DATE,CONTENT\nBo,2024-05-01 10:21:11 UTC,two\nAnn,2024-05-01 10:20:11 UTC,one\n"
    (conversation,) = parsed(rows)
    assert [u.text for u in conversation.utterances] == ["one", "two"]
    assert "order of their times" in conversation.warnings[0]
    mixed = rows + "Bo,2024-05-02 10:21:11 UTC,three\n"
    assert [u.text for u in parsed(mixed)[0].utterances] == ["two", "one", "three"]
