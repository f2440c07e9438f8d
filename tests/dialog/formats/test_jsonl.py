"""JSON lines and documents, in and out."""

import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog.conversation import Conversation, Utterance
from dialog.formats import Unreadable, read, write
from dialog.formats.jsonl import read_json
from dialog.formats.source import Source

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
EXTRA = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])).map("x{}".format),
    st.none() | st.integers() | TEXT | st.lists(st.floats(allow_nan=False, allow_infinity=False)),
    max_size=2,
)
UTTERANCES = st.builds(Utterance, speaker=TEXT, text=TEXT, emotion=st.none() | TEXT, time=st.none() | TEXT, extra=EXTRA)
CONVERSATIONS = st.builds(
    Conversation, id=TEXT, utterances=st.lists(UTTERANCES, max_size=3).map(tuple), extra=EXTRA, error=st.none() | TEXT
)
GOOD = '{"id":"good","utterances":[{"speaker":"Ann","text":"Hi"}]}'


def parsed(text: str, **options: Any) -> list[Any]:
    return list(read(io.BytesIO(text.encode()), **{"format": "jsonl", "name": "log", **options}))


def written(items: list[Any]) -> str:
    out = io.BytesIO()
    write(items, out, "jsonl")
    return out.getvalue().decode()


@settings(max_examples=40)
@given(st.lists(CONVERSATIONS, min_size=1, max_size=4))
def test_what_is_written_is_read_again(conversations: list[Conversation]) -> None:
    assert parsed(written(conversations)) == conversations


@settings(max_examples=40)
@given(st.lists(CONVERSATIONS, min_size=1, max_size=3), st.sampled_from([None, 2]))
def test_a_document_is_read_like_its_lines(conversations: list[Conversation], indent: int | None) -> None:
    values = [c.to_dict() for c in conversations]
    assert parsed(json.dumps(values, indent=indent)) == conversations
    assert parsed(json.dumps({"conversations": values}, indent=indent)) == conversations
    assert parsed(json.dumps(values[0], indent=indent)) == conversations[:1]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{", "not JSON"),
        ('{"utterances":[{"speaker":"A","text":5}]}', "utterances[0].text: expected a string, got 5"),
        ("nonsense", "not JSON"),
        ("17", "expected an object, got 17"),
        ('{"id":"b"}', "utterances: missing"),
        ('{"a":' * 200 + "1" + "}" * 200, "nested more than 100 deep"),
    ],
)
def test_a_bad_line_costs_only_itself(bad: str, reason: str) -> None:
    first, wrong, last = parsed(f"{GOOD}\n\n{bad}\n{GOOD}\n")
    assert first.id == last.id == "good"
    assert isinstance(wrong, Unreadable)
    assert wrong.line == 3
    assert reason in wrong.reason
    assert wrong.id == "b" if '"id":"b"' in bad else wrong.id == "log-3"


def test_a_bad_item_of_a_document_costs_only_itself() -> None:
    text = f'[\n{GOOD},\n{{"id": "bad", "utterances": [}},\n{GOOD},\n{{"utterances": 3}}\n]'
    first, wrong, last, shapeless = parsed(text)
    assert first.id == last.id == "good"
    assert (wrong.line, shapeless.line) == (3, 5)
    assert "not JSON" in wrong.reason


def test_an_unreadable_line_is_written_as_an_item_with_an_error() -> None:
    bad = '{"id":"b","season":3,"utterances":[{"speaker":"A"}]}'
    lines = [json.loads(line) for line in written(parsed(f"oops\n{bad}\n{GOOD}\n")).splitlines()]
    assert lines[0]["error"].startswith("line 1: not JSON")
    assert (lines[0]["id"], lines[0]["text"], lines[0]["utterances"]) == ("log-1", "oops", [])
    assert lines[1] == {**json.loads(bad), "error": "line 2: utterances[0].text: missing"}
    assert lines[2] == json.loads(GOOD)


def test_conversations_without_an_id_are_called_after_the_file_and_the_line() -> None:
    bare = '{"utterances":[]}'
    assert [c.id for c in parsed(f"{bare}\n\n{bare}\n", name="chat")] == ["chat-1", "chat-3"]


def test_an_array_of_utterances_is_one_conversation() -> None:
    (conversation,) = parsed('[{"speaker":"Ann","text":"Hi"},{"speaker":"Bo","text":"Yo"}]')
    assert [u.text for u in conversation.utterances] == ["Hi", "Yo"]


def test_what_json_cannot_say_is_read_as_null() -> None:
    (conversation,) = parsed('{"id":"a","score":NaN,"big":1e999,"utterances":[]}')
    assert json.loads(written([conversation])) == {"id": "a", "score": None, "big": None, "utterances": []}


def test_a_line_separator_of_unicode_ends_no_line() -> None:
    (conversation,) = parsed('{"id":"a","utterances":[{"speaker":"A","text":"x\u2028y\x85z"}]}')
    assert conversation.utterances[0].text == "x\u2028y\x85z"


def test_lines_are_read_one_at_a_time() -> None:
    class Endless(io.RawIOBase):
        """A file of terabytes; it tells how much of it was asked for."""

        asked = 0

        def readable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0 if whence == 0 else 10**13

        def tell(self) -> int:
            return 0

        def read(self, size: int = -1) -> bytes:
            return (GOOD.encode() + b"\n")[:size]

        def readline(self, size: int | None = -1) -> bytes:
            self.asked += 1
            return GOOD.encode() + b"\n"

    endless = Endless()
    items: Iterator[Any] = read_json(Source(endless, "endless"))  # type: ignore[arg-type]
    assert [c.id for c in itertools.islice(items, 5)] == ["good"] * 5
    assert endless.asked < 20
