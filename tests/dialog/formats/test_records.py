"""Messages as JSON of whatever program."""

import io
import json
from typing import Any

import pytest

from dialog.conversation import Conversation
from dialog.formats import Unreadable, read, sniff
from tests.dialog.formats.test_chat_exports import said

TWO = [("Ann", "Hi"), ("Bo", "Yo")]


def parsed(data: str, **how: Any) -> list[Any]:
    return list(read(io.BytesIO(data.encode()), name="log", **how))


@pytest.mark.parametrize(
    ("data", "id"),
    [
        ('[{"user":"Ann","message":"Hi"},{"user":"Bo","message":"Yo"}]', "log-1"),
        ('{"Name":"Ann","Text":"Hi"}\n{"Name":"Bo","Text":"Yo"}\n', "log-1"),
        ('{"chat":"x","messages":[{"author":"Ann","body":"Hi"},{"author":"Bo","body":"Yo"}]}', "log-1"),
        ('{"id":7,"data":{"items":[{"author":{"name":"Ann"},"content":{"body":"Hi"}},'
         '{"author":{"name":"Bo"},"content":{"body":"Yo"}}]}}', "7"),
        ('{"ann_b":[{"From":"Ann","Media":"TEXT","Content":"Hi"},{"From":"Bo","Content":"Yo"}]}', "ann_b"),
        ('{"title":"crash","body":"Hi","author":{"login":"Ann"},"comments":[{"author":{"login":"Bo"},"body":"Yo"}]}',
         "crash"),
        ('[{"user":{"login":"Ann"},"created_at":"2024-05-02","body":"Hi","replies":[{"user":{"login":"Bo"},'
         '"created_at":"2024-05-03","body":"Yo","edits":[{"body":"no"}]}]}]', "log-1"),
        ('[{"direction":"Ann","message":"Hi"},{"direction":"Bo","message":"Yo"}]', "log-1"),
        ('[{"From":"Bo","Content":"Yo","Date":"2024-05-01 10:21:11"},{"From":"Ann","Content":"Hi",'
         '"Date":"2024-05-01 10:20:11"}]', "log-1"),
        ('[{"From":"Bo","Content":"Yo","Date":"2024-05-01 10:21:11 UTC"},{"From":"Ann","Content":"Hi",'
         '"Date":"2024-05-01 10:20:11 UTC"}]', "log-1"),
        ('{"type":"version","version":1}\n{"type":"post","post":{"channel":"general","user":"Ann","message":"Hi"}}\n'
         '{"type":"post","post":{"channel":"general","user":"Bo","message":"Yo"}}\n', "general"),
        ('[{"dialogue_id":"d1","turns":[{"speaker":"Ann","utterance":"Hi"},{"speaker":"Bo","utterance":"Yo"}]}]', "d1"),
        ('[{"author":{"name":"Ann"},"text":"Hi","re":{"text":"x"}},{"author":{"name":"Bo"},"text":"Yo"}]', "log-1"),
    ],
)  # fmt: skip
def test_messages_are_found_by_what_their_fields_are_called(data: str, id: str) -> None:
    assert sniff(data.encode()) == "records"
    (conversation,) = parsed(data)
    assert (conversation.id, said(conversation)) == (id, TWO)


def test_several_lists_are_several_conversations() -> None:
    chats = {name: [{"from": "Ann", "content": name}] for name in ("one", "two")}
    assert [(c.id, said(c)) for c in parsed(json.dumps({"chats": chats}))] == [
        ("one", [("Ann", "one")]),
        ("two", [("Ann", "two")]),
    ]
    rows = [{"chat_id": c, "sender": "Ann", "text": c} for c in ("x", "y", "x")]
    assert [(c.id, len(c.utterances)) for c in parsed("\n".join(map(json.dumps, rows)))] == [("x", 2), ("y", 1)]


@pytest.mark.parametrize(
    ("time", "iso"),
    [
        (1704104431, "2024-01-01T10:20:31+00:00"),
        (1704104431000, "2024-01-01T10:20:31+00:00"),
        (1704104431000000, "2024-01-01T10:20:31+00:00"),
        ("2024-01-01 10:20:31 UTC", "2024-01-01 10:20:31 UTC"),
        (12.5, "12.5"),
        (None, None),
        (True, None),
    ],
)
def test_times_are_read_by_their_size(time: Any, iso: str | None) -> None:
    (conversation,) = parsed(json.dumps([{"user": "Ann", "text": "Hi", "date": time, "likes": 3, "tags": ["a"]}]))
    assert conversation.utterances[0].time == iso
    assert conversation.utterances[0].extra == {"likes": 3}


def test_what_has_no_text_is_left_out_and_counted() -> None:
    rows = [{"user": "Ann", "text": "Hi <b>you</b>"}, {"user": "Bo", "image": "x"}, {"user": None, "text": None}]
    (conversation,) = parsed(json.dumps(rows))
    assert said(conversation) == [("Ann", "Hi you")]
    assert conversation.warnings == ("left out: 2 rows without text",)


def test_fields_of_other_names_are_named() -> None:
    data = json.dumps([{"wer": "Ann", "was": "Hi"}, {"wer": "Bo", "was": "Yo"}])
    (conversation,) = parsed(data, format="records", columns={"speaker": "wer", "text": "was"})
    assert said(conversation) == TWO


def test_a_bad_line_costs_only_itself() -> None:
    wrong, number, conversation = parsed('{"user":"Ann","text":"Hi"}\n{"user":\n3\n{"user":"Bo","text":"Yo"}\n')
    assert (wrong.line, number.line, number.reason) == (2, 3, "expected an object")
    assert said(conversation) == TWO


@pytest.mark.parametrize(
    "data", ["{}", "[]", '[{"a": 1}]', '{"text": {"deep": [[[[[[[[{"user": "a", "text": "b"}]]]]]]]]}}']
)
def test_json_without_messages_says_what_was_sought(data: str) -> None:
    (item,) = parsed(data, format="records")
    assert isinstance(item, Unreadable)
    assert "expected JSON objects with a field for the text" in item.reason


def test_our_own_utterances_stay_ours() -> None:
    assert sniff(b'[{"speaker":"Ann","text":"Hi"}]') == "jsonl"
    assert sniff(b'{"utterances":[{"speaker":"Ann","text":"Hi","message":"x"}]}') == "jsonl"
    (conversation,) = parsed('[{"speaker":"Ann","text":"Hi","emotion":"joy"}]')
    assert isinstance(conversation, Conversation)
    assert conversation.utterances[0].emotion == "joy"
