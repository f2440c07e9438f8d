"""The API in the process that listens, without Ray: a door, the API behind it, and somebody else for the rest."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from ray.serve._private.http_util import _apply_middlewares
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.config import AppConfig
from serve.edge.access import ACCESS_VARIABLE
from serve.edge.door import Door
from serve.edge.spool import Spool
from serve.ray import within
from serve.ray.within import CONFIG_VARIABLE, Within, middlewares, told
from tests.serve.conftest import TAGGER, client_of

SAID = {"conversations": [{"utterances": [{"speaker": "Ann", "text": "great"}]}]}


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("the page")(scope, receive, send)


def behind_a_door(config: AppConfig) -> tuple[Within, Door]:
    inside = Within(page, config)
    return inside, Door(inside, config.limits, front=True, spool=Spool(config.data_folder(), config.limits))


async def until_loaded(inside: Within) -> None:
    deadline = time.monotonic() + 120
    while inside._api is None and inside._fault is None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.fixture
async def client(config: AppConfig) -> AsyncIterator[httpx.AsyncClient]:
    inside, app = behind_a_door(config)
    await until_loaded(inside)
    async with client_of(app) as client:
        yield client


async def test_what_is_for_the_api_is_answered_here_and_the_rest_by_whoever_stands_behind(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/emotions", json=SAID)
    assert answer.json()["conversations"][0]["utterances"][0]["prediction"]["emotion"] == "joy"
    chat = (await client.post("/chats", json={})).json()["id"]
    assert (await client.post(f"/chats/{chat}/messages", json={"speaker": "a", "text": "sad"})).status_code == 201
    assert (await client.get("/health/live")).json()["status"] == "ok"
    async with asyncio.timeout(120):
        while (await client.get("/health/ready")).status_code != 200:  # a check that is slow says so
            await asyncio.sleep(0.1)
    assert (await client.get("/nothing")).json()["type"] == "urn:rapport:problem:not-found"
    for path in ("/", "/assets/x.js", "/v1x"):
        assert (await client.get(f"http://test{path}")).text == "the page"


async def test_a_log_comes_in_and_its_file_is_sent_as_through_two_doors(client: httpx.AsyncClient) -> None:
    begun = await client.post("/batches", content=b"Ann: great\nBo: sad\n", headers={"x-rapport-log": "../../etc"})
    assert begun.status_code == 202, begun.text
    assert begun.json()["bytes"] == 19


async def test_until_the_models_are_there_the_api_says_that_it_starts(
    config: AppConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(within, "_api", lambda config, may_call: time.sleep(0.3))
    _, app = behind_a_door(config)
    async with client_of(app) as client:
        early = await client.post("/emotions", json=SAID)
        assert (early.status_code, early.json()["type"]) == (503, "urn:rapport:problem:starting")
        assert int(early.headers["retry-after"]) >= 1
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("http://test/")).text == "the page"


async def test_an_api_that_cannot_start_says_why(config: AppConfig) -> None:
    inside, app = behind_a_door(config.model_copy(update={"model": "emotion/missing"}))
    await until_loaded(inside)
    async with client_of(app) as client:
        asked = await client.get("/health/ready")
    assert (asked.status_code, asked.json()["type"]) == (503, f"urn:rapport:problem:{within.CANNOT_START}")
    assert asked.json()["detail"] == "ValueError: no model emotion/missing"


async def test_an_answer_that_nobody_waits_for_is_not_worked_on() -> None:
    ended: list[str] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b"asked"
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    await _asked(slow, [{"type": "http.request", "body": b"asked"}, {"type": "http.disconnect"}])
    assert ended == ["cancelled"]


async def test_what_the_api_raises_is_raised() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await _asked(broken, [{"type": "http.request", "body": b""}])


async def _asked(app: ASGIApp, messages: list[Message]) -> None:
    waiting = asyncio.Event()

    async def receive() -> Message:
        if not messages:
            await waiting.wait()
        return messages.pop(0)

    async def send(message: Message) -> None:
        """To nobody."""

    async with asyncio.timeout(120):
        await within._while_connected(app, {"type": "http"}, receive, send)


async def test_ray_puts_the_door_before_the_api(config: AppConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, told(config))
    monkeypatch.setenv(ACCESS_VARIABLE, config.door.model_dump_json())
    async with client_of(_apply_middlewares(page, middlewares())) as client:
        answer = await client.get("/health/live", headers={"host": "evil.example.org"})
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:rapport:problem:wrong-host")
        assert (await client.get("/health/live", headers={"host": "localhost"})).status_code == 200


def test_the_proxy_is_told_the_configuration_and_no_secret(config: AppConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets: dict[str, Any] = {
        "access": {"key": "secret-one", "page": "secret-two"},
        "visual": {"key": "secret-three"},
        "callbacks": {"hosts": ["example.org"], "secret": "secret-four"},
        "database": "postgresql://somebody:secret-five@example.org/rapport",
    }
    full = AppConfig(tagger=TAGGER, port=8123, data_dir=config.data_dir, **secrets)
    assert "secret-" not in told(full)
    monkeypatch.setenv(CONFIG_VARIABLE, told(full))
    one, outermost = middlewares()
    assert (one.cls, outermost.cls) == (Within, Door)
    found: Any = one.kwargs["config"]
    assert one.kwargs["may_call"] == ("example.org",)
    assert (found.tagger, found.port, found.data_dir, found.limits) == (TAGGER, 8123, config.data_dir, full.limits)
