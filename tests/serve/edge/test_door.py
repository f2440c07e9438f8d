"""What every request passes first."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from serve.edge.door import LIMITS_VARIABLE, SPOOL_VARIABLE, Door, for_proxy
from serve.edge.limits import Limits
from serve.edge.spool import Spool

LIMITS = Limits(
    body_bytes=1000,
    waiting_bytes=2500,
    waiting_requests=3,
    upload_seconds=0.2,
    page_bytes=2000,
    page_waiting_bytes=5000,
)


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
        page = await client.post("/gradio_api/upload", content=b"x" * 1500)
        almost = await client.get("/v1x")
        routes = await client.get("/-/routes")
    assert (page.status_code, page.text) == (almost.status_code, almost.text) == (500, "no")
    assert page.headers["x-request-id"]
    assert routes.status_code == 404


@pytest.mark.parametrize("path", ["/", "/gradio_api/upload", "/v1x", "/v2/emotions"])
async def test_a_body_for_anything_else_is_bounded_too(path: str) -> None:
    async with through() as client:
        for size, status in ((2000, 200), (2001, 413)):
            told = await client.post(path, content=b"x" * size)
            counted = await client.post(path, content=chunks(size // 2, size - size // 2))
            assert (told.status_code, counted.status_code) == (status, status)
            if status == 200:
                assert told.text == counted.text == str(size)
            else:
                assert told.json()["limit"] == counted.json()["limit"] == "page_bytes"
                assert counted.headers["content-type"] == "application/problem+json"
        lied = await client.post(path, content=chunks(1500, 1500), headers={"content-length": "10"})
        assert lied.status_code == 413


async def test_an_endless_body_for_the_page_ends_where_it_becomes_too_large() -> None:
    sent, seen, answers = 0, [], list[Message]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            seen.append(len(message["body"]))
        await PlainTextResponse("too late")(scope, receive, send)

    async def receive() -> Message:
        nonlocal sent
        sent += 100
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    async def send(message: Message) -> None:
        answers.append(message)

    await Door(app, LIMITS)({"type": "http", "method": "POST", "path": "/x", "headers": []}, receive, send)
    assert [m["type"] for m in answers] == ["http.response.start", "http.response.body"]
    assert (answers[0]["status"], sum(seen), sent) == (413, 2000, 2100)


async def test_bodies_for_the_page_are_bounded_together_and_given_back() -> None:
    async with through(limits=LIMITS.model_copy(update={"page_waiting_bytes": 2500})) as client:
        posts = [client.post("/upload", content=chunks(900, 900, wait=0.05)) for _ in range(4)]
        statuses = sorted(r.status_code for r in await asyncio.gather(*posts))
        again = await client.post("/upload", content=b"x" * 2000)
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert again.status_code == 200


def spooling(app: Any, spool: Spool, *, two: bool) -> httpx.AsyncClient:
    """Behind one door, or behind the proxy's and the API's own."""
    inner = Door(app, LIMITS, spool=spool)
    door = Door(inner, LIMITS, spool=spool, front=True) if two else inner
    return httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://test")


@pytest.mark.parametrize("two", [False, True], ids=["one door", "two doors"])
async def test_a_log_is_in_a_file_before_the_app_sees_it(tmp_path: Path, two: bool) -> None:
    spool = Spool(tmp_path, LIMITS)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive()).get("body")
        content = spool.arrived(Headers(scope=scope)["x-rapport-log"]).read_bytes()
        await PlainTextResponse(f"{body!r} {len(content)}")(scope, receive, send)

    async with spooling(app, spool, two=two) as client:
        told = await client.post("/v1/batches", content=b"x" * 3000, headers={"x-rapport-log": "a" * 32})
        counted = await client.post("/v1/batches", content=chunks(1000, 2000), headers={"x-rapport-front": "1"})
    assert told.text == counted.text == "b'' 3000"
    assert list(tmp_path.glob("uploads/*")) == []


@pytest.mark.parametrize("two", [False, True], ids=["one door", "two doors"])
async def test_an_answer_that_names_a_file_is_that_file(tmp_path: Path, two: bool) -> None:
    (tmp_path / "out.txt").write_bytes(b"x" * 100_000)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].removeprefix("/v1/")
        await Response(headers={"x-rapport-file": name, "content-type": "text/x"})(scope, receive, send)

    async with spooling(app, Spool(tmp_path, LIMITS), two=two) as client:
        found = await client.get("/v1/out.txt", headers={"x-request-id": "abc"})
        part = await client.get("/v1/out.txt", headers={"range": "bytes=10-19"})
        gone = await client.get("/v1/gone.txt")
        above = await client.get("/v1/..%2F..%2Fetc/passwd")
    assert (found.status_code, len(found.content), found.headers["content-type"]) == (200, 100_000, "text/x")
    assert found.headers.get_list("x-request-id") == ["abc"]
    assert "x-rapport-file" not in found.headers
    assert (part.status_code, part.content) == (206, b"x" * 10)
    assert gone.status_code == above.status_code == 404
    assert gone.headers["content-type"] == "application/problem+json"


def test_the_proxy_has_the_limits_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMITS_VARIABLE, LIMITS.model_dump_json())
    monkeypatch.setenv(SPOOL_VARIABLE, "/some/where")
    (middleware,) = for_proxy()
    assert middleware.cls is Door
    assert middleware.kwargs["limits"] == LIMITS
    assert middleware.kwargs["spool"].folder == Path("/some/where")
    assert middleware.kwargs["front"] is True
