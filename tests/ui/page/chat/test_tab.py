import json
from typing import Any

import pytest

from serve.client import ServiceError
from tests.ui.fake import MemoryClient
from ui.page.chat.tab import answer

BUSY = ServiceError(503, "unavailable", "the models are starting", retry_after=2)


@pytest.fixture
def client() -> MemoryClient:
    return MemoryClient()


def talk(client: MemoryClient, *texts: str, **view: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"chat": None, "warnings": {}}
    for i, text in enumerate(texts):
        asked = {"act": "say", "text": text, "speaker": "Bo" if i % 2 else "Ann", "time": f"t{i}"}
        told = answer({**asked, **view, "chat": told["chat"], "warnings": told["warnings"]}, client)
    return told


def ask(client: MemoryClient, act: str, told: dict[str, Any], **more: Any) -> dict[str, Any]:
    return answer({"act": act, "chat": told["chat"], "warnings": told.get("warnings"), **more}, client)


def test_a_message_is_answered_with_the_chat_and_its_label(client: MemoryClient) -> None:
    told = talk(client, " I got the job!! ")
    assert told["n"] == 0
    assert told["total"] == 1
    assert "I got the job!!" in told["log"]
    assert "joy" in told["log"]
    assert "#rp-g-joy" in told["strip"]


def test_nothing_is_no_message(client: MemoryClient) -> None:
    assert "nothing" in talk(client, "   ")["refused"]
    assert client.chats == {}


def test_a_message_that_is_too_long_is_refused_with_both_numbers(client: MemoryClient) -> None:
    told = talk(client, "x" * 4001)
    assert "4,001 characters; at most 4,000" in told["refused"]
    assert "too long" in told["notice"]
    assert client.chats == {}


def test_a_message_that_fails_may_be_sent_again(client: MemoryClient) -> None:
    client.failing = BUSY
    told = talk(client, "still there?")
    assert told["again"] == 2
    assert "busy" in told["notice"]
    client.failing = ServiceError(0, "unreachable", "no")
    assert talk(client, "still there?")["again"] > 0


def test_a_chat_deleted_elsewhere_is_told_as_gone(client: MemoryClient) -> None:
    told = talk(client, "hi")
    client.chats.clear()
    after = ask(client, "say", told, text="hello?", speaker="Ann")
    assert after["gone"] is True
    assert "deleted" in after["notice"]


def test_a_message_that_cannot_be_labelled_says_why(client: MemoryClient) -> None:
    assert "this text is poison" in talk(client, "poison", "hi")["log"]


def test_a_correction_leads_and_can_be_taken_back(client: MemoryClient) -> None:
    told = talk(client, "I got the job!!", "hm")
    after = ask(client, "correct", told, n=0, emotion_given="fear", selected=0)
    assert "by hand" in after["log"]
    assert "#rp-g-fear" in after["strip"]
    assert "Take the correction back" in after["details"]
    after = ask(client, "correct", told, n=0, emotion_given="", selected=0)
    assert "by hand" not in after["log"]


def test_details_of_the_chosen_message_have_a_choice_of_every_label(client: MemoryClient) -> None:
    told = ask(client, "open", talk(client, "I got the job!!"), selected=0)
    assert told["details"].count('data-do="correct"') == 7
    assert told["selected"] == 0


def test_without_a_chosen_message_the_moods_of_people_stand_there(client: MemoryClient) -> None:
    told = talk(client, "I got the job!!", "hm")
    assert "How people feel" in told["details"]
    assert told["selected"] is None


@pytest.mark.parametrize(
    ("view", "found"),
    [({"query": "JOB"}, 1), ({"emotion": "joy"}, 2), ({"person": "Bo"}, 1), ({"query": "nowhere"}, 0)],
)
def test_a_filter_hides(view: dict[str, str], found: int, client: MemoryClient) -> None:
    told = ask(client, "open", talk(client, "I got the job!!", "that is great", "hm"), **view)
    assert told["found"] == found
    assert told["log"].count("data-n=") == found
    assert f"{3 - found} message" in told["log"]
    assert "Show all" in told["log"]


def test_an_edit_can_be_undone(client: MemoryClient) -> None:
    told = talk(client, "I got the job!!", "hm")
    after = ask(client, "edit", told, n=0, text="I lost it, so sad", selected=0)
    assert "I lost it" in after["log"]
    assert after["undo"]["what"] == "Message 1 was changed."
    back = ask(client, "bring_back", after, before=after["undo"]["before"])
    assert "I got the job!!" in back["log"]
    assert len(client.chats) == 1


def test_an_edit_to_nothing_deletes(client: MemoryClient) -> None:
    told = talk(client, "I got the job!!", "hm")
    assert ask(client, "edit", told, n=0, text=" ")["total"] == 1


def test_a_deleted_message_and_a_deleted_chat_can_be_undone(client: MemoryClient) -> None:
    told = ask(client, "remove", talk(client, "one", "two"), n=0)
    assert "one" not in told["log"]
    assert [b["text"] for b in told["undo"]["before"]] == ["one", "two"]
    told = ask(client, "forget", told)
    assert told["chat"] is None
    assert client.chats == {}
    assert [b["text"] for b in told["undo"]["before"]] == ["two"]


def test_a_person_renamed_keeps_everything_said(client: MemoryClient) -> None:
    told = ask(client, "rename", talk(client, "one", "two"), old="Bo", new="  Cleo  Long ")
    assert "Cleo Long" in told["log"]
    assert ">Bo<" not in told["log"]


def test_warnings_survive_a_reload(client: MemoryClient) -> None:
    told = talk(client, "größer", "hi")
    assert "⚠" in told["log"]
    again = ask(client, "open", told)
    assert "⚠" in again["log"]


def test_people_keep_the_colours_the_browser_gave_them(client: MemoryClient) -> None:
    told = ask(client, "open", talk(client, "one", "two"), people=[{"name": "Bo", "colour": 5}, {"name": "Cleo"}])
    assert [(p["name"], p["colour"], p["speaks"]) for p in told["people"]] == [
        ("Bo", 5, True),
        ("Cleo", 1, False),
        ("Ann", 2, True),
    ]
    assert "rp-p5" in told["log"]


def test_an_export_has_the_persons_label_beside_the_models(client: MemoryClient) -> None:
    told = talk(client, "I got the job!!", "hm")
    ask(client, "correct", told, n=0, emotion_given="fear")
    after = ask(client, "export", told)
    line = json.loads(after["content"])
    assert after["file"].endswith(".jsonl")
    assert line["utterances"][0]["emotion"] == "fear"
    assert line["utterances"][0]["prediction"]["emotion"] == "joy"
    assert "emotion" not in line["utterances"][1]
    assert line["mode"] == "live"
    assert "Nobody has said" in ask(client, "export", {"chat": None})["notice"]


@pytest.mark.parametrize(
    "asked",
    [
        None,
        [],
        {},
        {"act": "no such act"},
        {"act": "say"},
        {"act": "correct", "chat": 5, "n": "x"},
        {"act": "edit", "chat": "gone", "n": -1},
        {"act": "bring_back", "before": [1, {"speaker": "a"}]},
        {"act": "open", "people": [3, {"name": 1}], "warnings": {"x": 1, "2": 3}, "selected": "1"},
    ],
)
def test_whatever_is_asked_gets_an_answer(asked: object, client: MemoryClient) -> None:
    assert isinstance(answer(asked, client), dict)


def test_a_fault_of_the_service_is_told_in_words(client: MemoryClient) -> None:
    told = talk(client, "hi")
    client.failing = ServiceError(500, "internal", "a fault of ours", request_id="abc")
    after = ask(client, "open", told)
    assert "went wrong" in after["notice"]
    assert "again" not in after
