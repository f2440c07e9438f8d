"""The typed client: against the real app in this process, and against services that misbehave."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from dialog.conversation import Conversation, Utterance
from serve.client import Client, ServiceError
from serve.edge.limits import Limits
from tests.serve.correction.eager import eager_mender
from tests.serve.in_process import InProcess

HELLO = Conversation(id="a", utterances=(Utterance(speaker="Ann", text="great", extra={"x": 1}),), extra={"y": [2]})


@pytest.fixture
def service(make_api: Callable[..., Any]) -> Iterator[Client]:
    with Client("http://test", transport=InProcess(make_api(Limits(messages_per_page=2)))) as client:
        yield client


def test_conversations_come_back_labelled_and_otherwise_as_they_were(service: Client) -> None:
    answer = service.emotions([HELLO, HELLO])
    labelled = answer.conversations[0]
    assert labelled.utterances[0].prediction is not None
    assert labelled.utterances[0].prediction.emotion == "joy"
    assert (labelled.extra, labelled.utterances[0].extra) == ({"y": [2]}, {"x": 1})
    assert (answer.model_version, answer.mode) == ("emotion/ekman@1", "offline")
    assert service.emotions([HELLO], label_set="emorynlp", mode="live", causes=False).mode == "live"


def test_a_chat_from_its_beginning_to_its_end(service: Client) -> None:
    chat = service.start_chat()
    for text in ("great", "sad", "hate", "hm", "hm"):
        message = service.add_message(chat.id, "Ann", text)
    assert (message.n, message.emotion) == (4, "neutral")
    assert service.correct(chat.id, 4, "fear").emotion == "fear"
    whole = service.chat(chat.id)  # in three pages
    assert [m.emotion for m in whole.messages] == ["joy", "sadness", "anger", "neutral", "fear"]
    assert [m.n for m in service.chat(chat.id, after=1, limit=3).messages] == [1, 2, 3]
    assert [m.n for m in service.chat(chat.id, after=4).messages] == [4]
    assert service.correct(chat.id, 4, None).emotion == "neutral"
    service.delete_chat(chat.id)
    service.delete_chat(chat.id)
    with pytest.raises(ServiceError, match="no such chat"):
        service.chat(chat.id)


def test_messages_are_edited_deleted_and_said_again(service: Client) -> None:
    chat = service.start_chat()
    for text in ("hm", "sad", "hate"):
        service.add_message(chat.id, "Ann", text)
    edited = service.edit_message(chat.id, 1, text="great", total=3)
    assert (edited.chat, edited.total, edited.first) == (chat.id, 3, 1)
    assert [m.emotion for m in edited.messages] == ["joy", "anger"]
    assert service.edit_message(chat.id, 2, speaker="Bo", time="noon").messages[0].time == "noon"
    assert [m.text for m in service.delete_message(chat.id, 0, total=3).messages] == ["great", "hate"]
    with pytest.raises(ServiceError) as caught:
        service.delete_message(chat.id, 0, total=3)
    assert (caught.value.status, caught.value.kind) == (409, "chat-changed")
    said = [{"speaker": "Cem", "text": "sad", "correction": "fear"}]
    assert service.rewrite_chat(chat.id, said).messages[0].emotion == "fear"
    assert [m.text for m in service.chat(chat.id).messages] == ["sad"]


def test_texts_are_mended_and_completed(make_api: Callable[..., Any]) -> None:
    with Client("http://test", transport=InProcess(make_api(mender=eager_mender()))) as service:
        one, none = service.mend(["see teh ca", ""], keep=["see"], completions=2)
    assert [e.typed for e in one.edits] == ["teh", "ca"]
    assert one.text == "see teh ca" != one.corrected
    assert [c.word[:2] for c in one.completions] == ["ca", "ca"]
    assert (none.corrected, none.edits) == ("", ())


def test_models_labels_and_health(service: Client) -> None:
    assert [m.name for m in service.models() if m.default] == ["emotion/ekman"]
    assert {label.name for label in service.labels()["ekman"]} >= {"joy", "neutral"}
    assert service.ready()


def test_a_refusal_says_what_is_wrong_and_where(service: Client) -> None:
    with pytest.raises(ServiceError) as caught:
        service.emotions([Conversation(id="a", utterances=(Utterance(speaker="Ann", text="x" * 4001),))])
    error = caught.value
    assert (error.status, error.limit) == (422, "characters_per_utterance")
    assert error.faults == (("/conversations/0/utterances/0/text", "4,001 characters, the limit is 4,000"),)
    assert "4,001 characters" in str(error)
    assert error.request_id


class Scripted(httpx.BaseTransport):
    """Answers with one status after the other, the last one for ever."""

    def __init__(self, *statuses: int, retry_after: str | None = None) -> None:
        self.statuses = list(statuses)
        self.asked = 0
        self._headers = {} if retry_after is None else {"retry-after": retry_after}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        status = self.statuses[min(self.asked, len(self.statuses) - 1)]
        self.asked += 1
        if status == 0:
            raise httpx.ConnectError("refused")
        if status != 200:
            return httpx.Response(status, headers=self._headers, text="<html>a proxy</html>")
        body = {
            "conversations": [], "model_version": "m", "mode": "offline", "warnings": [], "request_id": "r",
            "models": [], "n": 0, "speaker": "a", "text": "b", "time": None, "prediction": None, "error": None,
            "correction": None,
        }  # fmt: skip
        return httpx.Response(200, json=body)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client slept, without sleeping."""
    slept: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", slept.append)
    return slept


def test_overload_is_waited_out_for_as_long_as_the_service_asks(naps: list[float]) -> None:
    script = Scripted(429, 503, 200, retry_after="3")
    Client("http://test", transport=script).emotions([])
    assert script.asked == 3
    assert len(naps) == 2
    assert all(3 <= nap <= 5 for nap in naps)
    assert naps[0] != naps[1]  # with some chance in it, so that not everybody comes back at once


def test_waiting_has_an_end(naps: list[float]) -> None:
    script = Scripted(429, retry_after="3600")
    with pytest.raises(ServiceError) as caught:
        Client("http://test", transport=script, retries=3).emotions([])
    assert caught.value.overloaded
    assert script.asked == 4
    assert max(naps) <= 30


def test_a_fault_is_tried_once_more_where_that_does_no_harm(naps: list[float]) -> None:
    script = Scripted(500, 200)
    Client("http://test", transport=script).emotions([])
    assert script.asked == 2
    script = Scripted(500)
    with pytest.raises(ServiceError, match="HTTP 500"):
        Client("http://test", transport=script).models()
    assert script.asked == 2


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_makes_something_is_tried_again_with_the_same_key(naps: list[float], status: int) -> None:
    keys: list[str] = []

    class Watching(Scripted):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            keys.append(request.headers["idempotency-key"])
            return super().handle_request(request)

    client = Client("http://test", transport=Watching(status, 200))
    client.add_message("c", "Ann", "hi")
    assert len(keys) == 2
    assert keys[0] == keys[1]
    other = Client("http://test", transport=Watching(200))
    other.add_message("c", "Ann", "hi")
    assert keys[2] != keys[0]


def test_a_message_whose_answer_was_lost_is_in_the_chat_once(make_api: Callable[..., Any], naps: list[float]) -> None:
    class Losing(InProcess):
        """The first message arrives, and its answer does not."""

        lost = False

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if request.url.path.endswith("/messages") and not self.lost:
                self.lost = True
                return httpx.Response(503, headers={"retry-after": "1"}, json={})
            return response

    with Client("http://test", transport=Losing(make_api())) as client:
        chat = client.start_chat()
        message = client.add_message(chat.id, "Ann", "great")
        client.add_message(chat.id, "Ann", "great")
        assert (message.n, client.chat(chat.id).total) == (0, 2)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_what_will_not_get_better_is_not_tried_again(naps: list[float], status: int) -> None:
    script = Scripted(status)
    with pytest.raises(ServiceError):
        Client("http://test", transport=script).emotions([])
    assert script.asked == 1


def test_a_service_that_is_not_there_says_so() -> None:
    client = Client("http://test", transport=Scripted(0))
    assert not client.ready()
    with pytest.raises(ServiceError, match="does not answer") as caught:
        client.emotions([])
    assert (caught.value.status, caught.value.kind) == (0, "unreachable")


def test_the_limits_of_the_service_are_known_by_name_and_asked_for_seldom(make_api: Callable[..., Any]) -> None:
    asked: list[str] = []

    class Counting(InProcess):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(request.url.path)
            return super().handle_request(request)

    limits = Limits(messages_per_page=2, upload_seconds=1.5)
    with Client("http://test", transport=Counting(make_api(limits))) as client:
        assert dict(client.limits()) == dict(client.limits()) == limits.model_dump()
        assert asked == ["/v1/limits"]
        client.limits(fresh=True)
    assert len(asked) == 2
