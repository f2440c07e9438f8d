"""/v1/chat/completions, through the whole app but for Ray, with a responder that needs no weights."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.config import AppConfig
from serve.edge.limits import Limits
from serve.emotion.choice import Choice
from serve.pictures.deployment import Pictures
from serve.pictures.viewer import LocalViewer
from serve.replies.answerer import LocalAnswerer
from serve.replies.deployment import Reply, Responders, Turn
from tests.dialog.tiny_visual import make_visual
from tests.serve.conftest import client_of
from tests.serve.fake import FakeResponder
from tests.serve.pictures.test_routes import data_uri, encoded

MODEL = "reply/built-in"


def said(*messages: Any, **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    listed = [m if isinstance(m, dict) else {"role": roles[i % 2], "content": m} for i, m in enumerate(messages)]
    return {"model": MODEL, "messages": listed, **more}


def events(text: str) -> list[Any]:
    data = [line.removeprefix("data: ") for line in text.splitlines() if line]
    return [one if one == "[DONE]" else json.loads(one) for one in data]


async def complete(client: httpx.AsyncClient, *messages: Any, **more: Any) -> dict[str, Any]:
    response = await client.post("/chat/completions", json=said(*messages, **more))
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()
    return told


async def test_a_reply_comes_with_the_emotions_of_the_messages_and_its_own(client: httpx.AsyncClient) -> None:
    system = {"role": "system", "content": "Be kind."}
    told = await complete(client, system, "hello", {"role": "user", "content": "I got the job", "name": "Ann"})
    choice = told["choices"][0]
    assert (told["object"], told["model"], choice["finish_reason"]) == ("chat.completion", MODEL, "stop")
    assert choice["message"] == {"role": "assistant", "content": "You say: I got the job "}
    notes = told["rapport"]
    assert [m and m["emotion"] for m in notes["messages"]] == [None, "neutral", "joy"]
    assert notes["messages"][2]["causes"][0]["utterance"] == 1, "places count the system's message too"
    assert (notes["reply"]["emotion"], notes["sure"], notes["responder_version"]) == ("joy", True, f"{MODEL}@1")
    assert FakeResponder.asked[-1]["said"][-1] == ("Ann", "I got the job", "joy"), "the responder is told the emotion"


async def test_a_streamed_reply_is_the_same_one(client: httpx.AsyncClient) -> None:
    whole = await complete(client, "I got the job")
    response = await client.post("/chat/completions", json=said("I got the job", stream=True))
    assert response.headers["content-type"].startswith("text/event-stream")
    first, *pieces, last, done = events(response.text)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert first["rapport"]["messages"] == whole["rapport"]["messages"]
    assert {p["object"] for p in pieces} == {"chat.completion.chunk"}
    assert len(pieces) > 3
    text = "".join(p["choices"][0]["delta"]["content"] for p in pieces)
    assert text == whole["choices"][0]["message"]["content"]
    assert (last["choices"][0]["finish_reason"], last["rapport"], done) == ("stop", whole["rapport"], "[DONE]")


async def test_another_answer_a_feeling_and_a_length_reach_the_responder(client: httpx.AsyncClient) -> None:
    wish = {"to_feel": "joy", "instead_of": ["You say: hi"], "emotions": False}
    message = {"role": "user", "content": "hi", "emotion": "sadness"}
    told = await complete(client, message, rapport=wish, max_tokens=2, temperature=0.3)
    asked = FakeResponder.asked[-1]
    assert (asked["to_feel"], asked["instead_of"], asked["most"]) == ("joy", ["You say: hi"], 2)
    assert asked["said"] == [("user", "hi", "sadness")]
    assert (told["rapport"]["messages"], told["rapport"]["reply"]) == ([None], None)


async def test_where_there_is_nothing_to_say_it_is_said_so(client: httpx.AsyncClient) -> None:
    told = await complete(client, "nothing")
    assert told["rapport"]["sure"] is False


async def test_a_reply_that_breaks_off_is_an_error_that_names_no_address(client: httpx.AsyncClient) -> None:
    response = await client.post("/chat/completions", json=said("broken"))
    assert response.status_code == 503
    streamed = await client.post("/chat/completions", json=said("broken", stream=True))
    *_, last = events(streamed.text)
    assert last["error"]["code"] == 503
    assert "secret" not in response.text + streamed.text


async def test_a_responder_that_cannot_be_loaded_is_503_and_one_there_is_not_404(
    make_api: Callable[..., Any], config: AppConfig
) -> None:
    replies = config.replies.model_copy(update={"responders": {"good": "x", "lost": "missing"}})
    changed = config.model_copy(update={"replies": replies})
    api = make_api(answerer=LocalAnswerer(Responders(changed)), choice=Choice.of(changed))
    async with client_of(api) as client:
        statuses = {}
        for name in ("good", "lost", "no-such"):
            response = await client.post("/chat/completions", json={**said("hi"), "model": name})
            statuses[name] = response.status_code
        listed = (await client.get("/models")).json()
    assert statuses == {"good": 200, "lost": 503, "no-such": 404}
    assert listed["object"] == "list"
    assert [one["id"] for one in listed["data"]] == ["good", "lost"]
    assert listed["models"], "what was told before is told still"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (said(), "/messages"),
        (said("hi", "hello"), "/messages/1"),
        (said("  "), "/messages/0"),
        (said("hi", n=2), "/n"),
        (said("hi", tools=[{"type": "function"}]), "/tools"),
        (said({"role": "user", "content": "hi", "name": "assistant"}), "/messages/0/name"),
        (said("hi", rapport={"to_feel": "hunger"}), "/rapport/to_feel"),
        (said("x" * 50), "/messages/0/content"),
        (said("hi", rapport={"instead_of": ["x" * 50]}), "/rapport/instead_of/0"),
        (said({"role": "user", "content": [{"type": "audio"}]}), "/messages/0/content"),
    ],
)
async def test_what_nobody_can_answer_is_refused_with_its_place(
    make_api: Callable[..., Any], body: dict[str, Any], place: str
) -> None:
    async with client_of(make_api(Limits(characters_per_utterance=40))) as client:
        response = await client.post("/chat/completions", json=body)
    assert response.status_code == 422
    assert any(fault["pointer"].startswith(place) for fault in response.json()["errors"]), response.text


async def test_a_reply_nobody_waits_for_is_stopped(config: AppConfig) -> None:
    before = FakeResponder.stopped
    asked = Reply(turns=(Turn(speaker="user", text="slow " * 200),), responder=MODEL)
    pieces = LocalAnswerer(Responders(config)).pieces(asked)
    assert (await anext(pieces)).text == "You "
    await pieces.aclose()
    for _ in range(200):
        if FakeResponder.stopped > before:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the responder went on")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_visual(tmp_path_factory.mktemp("visual"), familiar=True)


async def test_a_message_with_a_picture_and_a_question_after_it_are_about_the_picture(
    make_api: Callable[..., Any], config: AppConfig, engine: Path
) -> None:
    visual = config.visual.model_copy(update={"engine": str(engine), "threads": 1})
    viewer = LocalViewer(Pictures(config.model_copy(update={"visual": visual})))
    shown = {"type": "image_url", "image_url": {"url": data_uri(encoded())}}
    asking = {"role": "user", "content": [{"type": "text", "text": "what is it?"}, shown]}
    async with client_of(make_api(viewer=viewer)) as client:
        first = await complete(client, asking)
        answer = first["choices"][0]["message"]["content"]
        second = await complete(client, asking, answer, "is it red?")
        third = await complete(client, asking, answer, "thank you so much")
        by_address = await client.post(
            "/chat/completions",
            json=said(
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]}
            ),
        )
    assert first["rapport"]["picture"]["text"] == answer
    assert second["rapport"]["picture"] is not None
    assert third["rapport"]["picture"] is None
    assert third["choices"][0]["message"]["content"] == "You say: thank you so much "
    assert by_address.status_code == 422
