import json
from dataclasses import replace

import pytest

from serve.client import ServiceError
from tests.ui.fake import LABELS, MemoryClient
from ui.page.chat_tab import (
    MAX_SPEAKERS,
    ChatState,
    add_speaker,
    correct,
    export,
    forget,
    remembered,
    restore,
    say,
)

BUSY = ServiceError(503, "unavailable", "the models are starting", retry_after=2)


@pytest.fixture
def client() -> MemoryClient:
    return MemoryClient()


def talk(client: MemoryClient, *texts: str, state: ChatState | None = None, take_turns: bool = True) -> ChatState:
    state = state or ChatState()
    for text in texts:
        *_, state = say(state, text, take_turns=take_turns, client=client)
    return state


def test_a_message_is_shown_at_once_and_labelled_after(client: MemoryClient) -> None:
    waiting, answered = say(ChatState(), " I got the job!! ", take_turns=True, client=client)
    assert waiting.messages[0].pending
    assert waiting.unsent == ""
    assert answered.messages[0].emotion == "joy"
    assert answered.messages[0].text == "I got the job!!"
    assert answered.unsent is None, "the next message may stand in the box by now"
    assert answered.labels == LABELS


def test_people_take_turns(client: MemoryClient) -> None:
    state = talk(client, "hi", "hello", "and now?")
    assert [m.speaker for m in state.messages] == ["Ann", "Bo", "Ann"]
    assert state.speaking == "Bo"


def test_people_need_not_take_turns(client: MemoryClient) -> None:
    state = talk(client, "hi", "anybody?", take_turns=False)
    assert [m.speaker for m in state.messages] == ["Ann", "Ann"]


def test_nothing_is_no_message(client: MemoryClient) -> None:
    state = talk(client, "   ")
    assert state.messages == ()
    assert client.chats == {}


def test_a_message_that_is_too_long_stays_in_the_box(client: MemoryClient) -> None:
    state = talk(client, "x" * (4000 + 1))
    assert state.messages == ()
    assert state.unsent == "x" * (4000 + 1)
    assert "too long" in state.notice


def test_a_message_that_fails_goes_back_into_the_box(client: MemoryClient) -> None:
    state = talk(client, "hi")
    client.failing = BUSY
    state = talk(client, "still there?", state=state)
    assert len(state.messages) == 1
    assert state.unsent == "still there?"
    assert state.speaking == "Bo"
    assert "busy" in state.notice
    client.failing = None
    state = talk(client, "still there?", state=state)
    assert len(state.messages) == 2
    assert state.notice == ""


def test_a_chat_deleted_elsewhere_begins_anew(client: MemoryClient) -> None:
    state = talk(client, "hi")
    client.chats.clear()
    state = talk(client, "hello?", state=state)
    assert "deleted" in state.notice
    assert state.chat is None
    state = talk(client, "hello?", state=state)
    assert [m.text for m in state.messages] == ["hello?"]


def test_messages_of_another_window_are_fetched(client: MemoryClient) -> None:
    state = talk(client, "hi")
    client.add_message(str(state.chat), "Cleo", "me too")
    state = talk(client, "who was that?", state=state)
    assert [m.speaker for m in state.messages] == ["Ann", "Cleo", "Bo"]


def test_a_message_that_cannot_be_labelled_says_why(client: MemoryClient) -> None:
    state = talk(client, "poison", "hi")
    assert state.messages[0].error == "this text is poison"
    assert state.messages[1].emotion == "neutral"


def test_names_are_remembered_and_bounded() -> None:
    state = add_speaker(ChatState(), "  Cleo   Long ")
    assert state.speakers == ("Ann", "Bo", "Cleo Long")
    assert state.speaking == "Cleo Long"
    assert add_speaker(state, "Ann").speaking == "Ann"
    assert add_speaker(state, " ") == state
    for i in range(20):
        state = add_speaker(state, f"Person {i}" + "x" * 100)
    assert len(state.speakers) == MAX_SPEAKERS
    assert max(map(len, state.speakers)) == 40
    assert "at most" in state.notice


def test_a_correction_is_kept_and_can_be_taken_back(client: MemoryClient) -> None:
    state = talk(client, "I got the job!!", "hm")
    state = correct(replace(state, selected=0), "fear", client)
    assert state.messages[0].emotion == "fear"
    assert client.chats[str(state.chat)].messages[0].correction == "fear"
    state = correct(state, None, client)
    assert state.messages[0].emotion == "joy"


def test_nothing_selected_cannot_be_corrected(client: MemoryClient) -> None:
    state = talk(client, "hi")
    assert correct(state, "joy", client) == state


def test_a_correction_that_fails_changes_nothing(client: MemoryClient) -> None:
    state = replace(talk(client, "hi"), selected=0)
    client.failing = BUSY
    after = correct(state, "joy", client)
    assert after.messages == state.messages
    assert "busy" in after.notice


def test_an_export_has_the_persons_label_beside_the_models(client: MemoryClient) -> None:
    state = talk(client, "I got the job!!", "hm")
    correct(replace(state, selected=0), "fear", client)
    name, text = export(state, client)
    line = json.loads(text)
    assert name.endswith(".jsonl")
    assert text.count("\n") == 1
    assert line["utterances"][0]["emotion"] == "fear"
    assert line["utterances"][0]["prediction"]["emotion"] == "joy"
    assert "emotion" not in line["utterances"][1]
    assert line["mode"] == "live"
    assert export(ChatState(), client) == ("", "")


def test_a_reload_brings_the_chat_back(client: MemoryClient) -> None:
    state = add_speaker(talk(client, "I got the job!!", "hm"), "Cleo")
    kept = json.loads(json.dumps(remembered(state)))
    assert "job" not in json.dumps(kept), "the browser keeps no text"
    again = restore(kept, client)
    assert again.messages == state.messages
    assert again.labels == LABELS
    assert set(again.speakers) >= {"Ann", "Bo"}


@pytest.mark.parametrize(
    "kept", [None, {}, {"chat": None}, {"chat": 5}, {"chat": "gone"}, "x", {"chat": "", "speakers": 3}]
)
def test_a_browser_that_remembers_nonsense_begins_anew(kept: object, client: MemoryClient) -> None:
    assert restore(kept, client) == ChatState()


def test_a_reload_while_the_service_is_busy_says_so(client: MemoryClient) -> None:
    client.failing = BUSY
    state = restore({"chat": "a" * 32}, client)
    assert "busy" in state.notice


def test_forgetting_deletes_the_chat_in_the_service(client: MemoryClient) -> None:
    state = talk(client, "hi")
    after = forget(state, client)
    assert after.messages == ()
    assert after.chat is None
    assert client.chats == {}
    client.failing = BUSY
    assert "busy" in forget(state, client).notice
