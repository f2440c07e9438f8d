"""A service that speaks chat completions, made of a function."""

import json

import httpx
import pytest

from dialog.conversation import Conversation, Utterance
from dialog.replies.choosing import open_responder
from dialog.replies.endpoint import KEY, EndpointResponder
from dialog.replies.port import ResponderUnavailable, whole

TALK = Conversation(id="t", utterances=(Utterance(speaker="Ann", text="hi"),))
CHUNKS = [
    {"choices": [{"delta": {"role": "assistant"}}]},
    {"choices": [{"delta": {"content": "Hello "}}]},
    {"usage": {}},
    {"choices": [{"delta": {"content": "Ann"}, "finish_reason": "length"}]},
]


def asked_of(handler, **options):
    client = httpx.Client(transport=httpx.MockTransport(handler))
    return EndpointResponder("https://elsewhere.test/v1/", "their-model", client=client, **options)


def test_a_reply_streams_and_the_key_goes_along(monkeypatch):
    seen = []

    def answer(request):
        seen.append(request)
        lines = [": keep-alive", *(f"data: {json.dumps(c)}" for c in CHUNKS), "data: broken{", "data: [DONE]"]
        return httpx.Response(200, text="\n\n".join(lines) + "\n\n")

    monkeypatch.setenv(KEY, "sk-test")
    said = whole(asked_of(answer).reply(TALK, most=7, to_feel="joy"))
    assert (said.text, said.finish, said.emotion) == ("Hello Ann", "length", None)
    body = json.loads(seen[0].content)
    assert str(seen[0].url) == "https://elsewhere.test/v1/chat/completions"
    assert seen[0].headers["authorization"] == "Bearer sk-test"
    assert (body["model"], body["stream"], body["max_tokens"]) == ("their-model", True, 7)
    assert [m["role"] for m in body["messages"]] == ["system", "user"]
    assert "tools" not in body


def test_a_service_that_refuses_or_is_gone_is_said_so_without_its_key():
    with pytest.raises(ResponderUnavailable, match="answered 401") as refused:
        whole(asked_of(lambda _: httpx.Response(401, text="bad key sk-x"), key="sk-x").reply(TALK))
    assert "sk-x" not in str(refused.value)

    def gone(request):
        raise httpx.ConnectError("no route")

    with pytest.raises(ResponderUnavailable, match="ConnectError"):
        whole(asked_of(gone).reply(TALK))


def test_a_name_says_where_and_which(monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    responder = open_responder("http://127.0.0.1:9/v1#tiny")
    assert (responder.name, responder.version) == ("tiny", "tiny@127.0.0.1")
    with pytest.raises(ValueError, match="URL#MODEL"):
        open_responder("http://127.0.0.1:9/v1")
    with pytest.raises(ValueError, match="expected http"):
        EndpointResponder("ftp://x", "m")
