"""What every request passes first."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from serve.door import LIMITS_VARIABLE, Door, for_proxy
from serve.limits import Limits

LIMITS = Limits(body_bytes=1000, waiting_bytes=2500, waiting_requests=3, upload_seconds=0.2)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body, and with the id the request had inside."""
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    headers = {"x-inside": dict(scope["headers"])[b"x-request-id"].decode("latin-1")}
    await PlainTextResponse(str(length), headers=headers)(scope, receive, send)


def through(app: Any = echo, limits: Limits = LIMITS) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(Door(app, limits)), base_url="http://test")


async def chunks(*sizes: int, wait: float = 0.0) -> AsyncIterator[bytes]:
    for size in sizes:
        await asyncio.sleep(wait)
        yield b"x" * size


@pytest.mark.parametrize(("size", "status"), [(0, 200), (1000, 200), (1001, 413)])
async def test_a_body_may_be_so_large_and_no_larger(size: int, status: int) -> None:
    async with through() as client:
        told = await client.post("/v1/x", content=b"x" * size)
        counted = await client.post("/v1/x", content=chunks(size // 2, size - size // 2))
    assert told.status_code == counted.status_code == status
    if status == 200:
        assert told.text == counted.text == str(size)
    else:
        assert told.json()["limit"] == counted.json()["limit"] == "body_bytes"


async def test_an_endless_body_is_cut_off_while_it_arrives() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100
            yield b"x" * 100

    scope = {"type": "http", "method": "POST", "path": "/v1/x", "headers": []}
    answers: list[Message] = []
    body = endless()

    async def receive() -> Message:
        return {"type": "http.request", "body": await anext(body), "more_body": True}

    async def send(message: Message) -> None:
        answers.append(message)

    await Door(echo, LIMITS)(scope, receive, send)
    assert answers[0]["status"] == 413
    assert sent <= 1100


async def test_a_length_that_is_a_lie_does_not_help() -> None:
    async with through() as client:
        response = await client.post("/v1/x", content=chunks(600, 600), headers={"content-length": "10"})
    assert response.status_code == 413


async def test_a_body_that_never_arrives_is_given_up() -> None:
    async with through() as client:
        response = await client.post("/v1/x", content=chunks(10, 10, 10, wait=0.15))
    assert (response.status_code, response.json()["type"]) == (408, "urn:rapport:problem:too-slow")


async def test_bodies_held_at_once_are_bounded_and_given_back() -> None:
    limits = LIMITS.model_copy(update={"waiting_requests": 10, "waiting_bytes": 1500, "upload_seconds": 5})
    async with through(limits=limits) as client:
        posts = [client.post("/v1/x", content=chunks(450, 450, wait=0.05)) for _ in range(4)]
        statuses = sorted(r.status_code for r in await asyncio.gather(*posts))
        again = await client.post("/v1/x", content=b"x" * 1000)
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert again.status_code == 200


async def test_requests_at_once_are_bounded() -> None:
    go = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await echo(scope, receive, send)

    async with through(slow) as client:
        posts = [asyncio.create_task(client.post("/v1/x")) for _ in range(5)]
        await asyncio.sleep(0.05)
        go.set()
        responses = await asyncio.gather(*posts)
        assert (await client.post("/v1/x")).status_code == 200
    assert sorted(r.status_code for r in responses) == [200, 200, 200, 429, 429]
    assert all(int(r.headers["retry-after"]) >= 1 for r in responses if r.status_code == 429)


@pytest.mark.parametrize("good", ["abc", "A-1_b.c", "x" * 128])
async def test_a_harmless_id_is_kept(good: str) -> None:
    async with through() as client:
        response = await client.get("/v1/x", headers={"x-request-id": good})
    assert response.headers["x-request-id"] == response.headers["x-inside"] == good


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, "a\x1b[31m", "ü", "{}"])
async def test_any_other_id_is_replaced(bad: str) -> None:
    async with through() as client:
        response = await client.get("/v1/x", headers=[(b"x-request-id", bad.encode("utf-8"))])
    assert len(response.headers["x-request-id"]) == 32
    assert response.headers["x-inside"] == response.headers["x-request-id"]


@given(st.integers(400, 599), st.text("abc\r", max_size=5))
def test_an_error_from_elsewhere_becomes_a_problem(status: int, text: str) -> None:
    async def get() -> httpx.Response:
        async with through(PlainTextResponse(text, status)) as client:
            return await client.get("/v1/x")

    response = asyncio.run(get())
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["request_id"] == response.headers["x-request-id"]
    if status in (429, 503):
        assert response.json()["status"] == status
        assert int(response.headers["retry-after"]) >= 1


async def test_other_paths_are_left_alone_and_the_route_map_is_hidden() -> None:
    async with through(PlainTextResponse("no", 500)) as client:
        page = await client.post("/gradio_api/upload", content=b"x" * 5000)
        almost = await client.get("/v1x")
        routes = await client.get("/-/routes")
    assert (page.status_code, page.text) == (almost.status_code, almost.text) == (500, "no")
    assert page.headers["x-request-id"]
    assert routes.status_code == 404


def test_the_proxy_has_the_limits_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMITS_VARIABLE, LIMITS.model_dump_json())
    (middleware,) = for_proxy()
    assert middleware.cls is Door
    assert middleware.kwargs["limits"] == LIMITS
