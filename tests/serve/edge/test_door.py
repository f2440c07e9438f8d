"""What every request passes first."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from serve.edge import logs
from serve.edge.door import LIMITS_VARIABLE, LOGS_VARIABLE, SPOOL_VARIABLE, Door, for_proxy
from serve.edge.drain import Drain, forget, stopping_file
from serve.edge.limits import Limits
from serve.edge.spool import Spool

LIMITS = Limits(
    header_bytes=2000,
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


def through(app: Any = echo, limits: Limits = LIMITS, *, front: bool = False) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(Door(app, limits, front=front)), base_url="http://test")


async def chunks(*sizes: int, wait: float = 0.0) -> AsyncIterator[bytes]:
    for size in sizes:
        await asyncio.sleep(wait)
        yield b"x" * size


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


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
    go, inside = asyncio.Event(), 0

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal inside
        inside += 1
        await go.wait()
        await echo(scope, receive, send)

    async with through(slow) as client:
        posts = [asyncio.create_task(client.post("/v1/x")) for _ in range(5)]
        await until(lambda: inside + sum(post.done() for post in posts) == 5)
        go.set()
        responses = await asyncio.gather(*posts)
        assert (await client.post("/v1/x")).status_code == 200
    assert sorted(r.status_code for r in responses) == [200, 200, 200, 429, 429]
    assert all(int(r.headers["retry-after"]) >= 1 for r in responses if r.status_code == 429)


async def test_a_body_takes_no_place_before_it_is_in() -> None:
    """As many senders as there are places, each with half a body, once switched the API off for a minute."""
    limits = LIMITS.model_copy(update={"upload_seconds": 60, "idle_seconds": 60})
    async with through(limits=limits) as client:
        half = [asyncio.create_task(client.post("/v1/x", content=chunks(10, 10, wait=0.3))) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert (await client.post("/v1/x", content=b"x")).status_code == 200
        assert [r.status_code for r in await asyncio.gather(*half)] == [200, 200, 200]


@pytest.mark.parametrize("path", ["/v1/x", "/upload"])
async def test_a_sender_that_falls_silent_is_given_up(path: str) -> None:
    limits = LIMITS.model_copy(update={"upload_seconds": 60, "idle_seconds": 1.0})
    async with through(limits=limits) as client:
        silent = await client.post(path, content=chunks(10, 10, wait=60.0))
        steady = await client.post(path, content=chunks(*[10] * 6, wait=0.2))
    assert (silent.status_code, silent.json()["type"]) == (408, "urn:rapport:problem:too-slow")
    assert silent.headers["connection"] == "close"
    assert (steady.status_code, steady.text) == (200, "60")


async def test_bodies_that_arrive_at_once_are_bounded_in_all_and_by_sender() -> None:
    limits = LIMITS.model_copy(
        update={"waiting_requests": 9, "bodies_arriving": 3, "bodies_arriving_per_client": 2, "upload_seconds": 60}
    )
    door, go, halves = Door(echo, limits), asyncio.Event(), 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal halves
        yield b"x"
        halves += 1
        await go.wait()
        yield b"x"

    async def post(address: str) -> httpx.Response:
        transport = httpx.ASGITransport(door, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/v1/x", content=body())

    posts = [asyncio.create_task(post(address)) for address in ("a", "a", "a", "b", "c")]
    await until(lambda: halves + sum(post.done() for post in posts) == 5)
    go.set()
    answers = await asyncio.gather(*posts)
    assert [r.status_code for r in answers] == [200, 200, 429, 200, 429]
    assert [answers[i].json()["limit"] for i in (2, 4)] == ["bodies_arriving_per_client", "bodies_arriving"]
    assert [r.status_code for r in await asyncio.gather(post("a"), post("a"), post("b"))] == [200, 200, 200]


@pytest.mark.parametrize("path", ["/v1/x", "/"])
async def test_headers_may_be_so_large_and_no_larger(path: str) -> None:
    async with through() as client:
        fine = await client.get(path, headers={"x": "y" * 1500})
        large = await client.get(path, headers={"x": "y" * 2000})
        many = await client.get(path, headers=[(f"x-{i}", "y" * 20) for i in range(100)])
    assert fine.status_code == 200
    for refused in (large, many):
        assert (refused.status_code, refused.json()["limit"]) == (431, "header_bytes")


async def test_probes_are_answered_however_busy_it_is() -> None:
    go, inside = asyncio.Event(), 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal inside
        if not scope["path"].startswith("/v1/health"):
            inside += 1
            await go.wait()
        await echo(scope, receive, send)

    async with through(app) as client:
        posts = [asyncio.create_task(client.post("/v1/x")) for _ in range(LIMITS.waiting_requests)]
        await until(lambda: inside == LIMITS.waiting_requests)
        assert (await client.get("/v1/x")).status_code == 429
        for path in ("/v1/health/live", "/v1/health/ready"):
            assert [r.status_code for r in await asyncio.gather(*(client.get(path) for _ in range(20)))] == [200] * 20
        go.set()
        await asyncio.gather(*posts)


async def test_the_door_in_front_says_itself_that_it_lives() -> None:
    async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(60)

    door = Door(hangs, LIMITS, front=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://test") as client:
        response = await asyncio.wait_for(client.get("/v1/health/live", headers={"x-request-id": "abc"}), 30)
    assert (response.status_code, response.json()) == (200, {"status": "ok", "request_id": "abc"})


async def test_before_the_api_is_there_the_door_in_front_says_that_it_is_starting() -> None:
    door = Door(PlainTextResponse("Path '/v1/emotions' not found.", 404), LIMITS, front=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://test") as client:
        api, page = await client.post("/v1/emotions", json={}), await client.get("/")
    assert (api.status_code, api.json()["type"]) == (503, "urn:rapport:problem:starting")
    assert int(api.headers["retry-after"]) >= 1
    assert page.status_code == 404


async def test_a_service_that_stops_finishes_what_runs_and_takes_nothing_new(tmp_path: Path) -> None:
    go, arrived, file = asyncio.Event(), asyncio.Event(), tmp_path / "stopping"

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/v1/slow":
            arrived.set()
            await go.wait()
        await echo(scope, receive, send)

    door = Door(slow, LIMITS, front=True, drain=Drain(file))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://test") as client:
        assert (await client.get("/v1/health/ready")).status_code == 200
        running = asyncio.create_task(client.post("/v1/slow"))
        await arrived.wait()
        await asyncio.sleep(0.3)  # the file is looked for five times a second
        file.touch()
        ready, new = await client.get("/v1/health/ready"), await client.post("/v1/x")
        assert (ready.status_code, ready.headers["x-rapport-under-way"]) == (503, "1")
        assert (new.status_code, new.json()["type"]) == (503, "urn:rapport:problem:stopping")
        assert int(new.headers["retry-after"]) >= 1
        assert new.headers["connection"] == "close"  # who comes again finds the service that takes our place
        assert (await client.get("/v1/health/live")).status_code == 200
        assert (await client.get("/")).status_code == 200
        go.set()
        assert (await running).status_code == 200
        assert (await client.get("/v1/health/ready")).headers["x-rapport-under-way"] == "0"


def test_services_that_share_a_folder_do_not_stop_each_other(tmp_path: Path) -> None:
    mine, host = stopping_file(tmp_path), socket.gethostname()
    dead, other = tmp_path / f"stopping-{host}-0", tmp_path / f"stopping-{host}-{os.getppid()}"
    elsewhere = tmp_path / "stopping-elsewhere-7"
    for file in (mine, dead, other, elsewhere):
        file.touch()
    drain = Drain(mine)
    assert drain.begun
    forget(tmp_path)
    assert [file.exists() for file in (mine, dead, other, elsewhere)] == [False, False, True, True]
    told = Drain(mine)
    assert not told.begun
    told.begin()
    assert told.begun


async def test_every_refusal_at_the_door_has_a_line_in_the_log(tmp_path: Path) -> None:
    logs.configure("test", tmp_path)
    async with through() as client:
        await client.post("/v1/x", content=b"secret" * 1000, headers={"x-request-id": "abc"})
        await client.get("/-/routes")
    lines = [orjson.loads(line) for line in (tmp_path / "test.jsonl").read_text().splitlines()]
    assert [(line["event"], line["status"], line["kind"], line["limit"]) for line in lines] == [
        ("refused", 413, "too-large", "body_bytes"),
        ("refused", 404, "not-found", None),
    ]
    assert lines[0]["request_id"] == "abc"
    assert "secret" not in (tmp_path / "test.jsonl").read_text()


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


async def test_a_request_that_a_dead_replica_took_along_may_be_sent_again() -> None:
    async with through(PlainTextResponse("Internal Server Error", 500), front=True) as client:
        answer = await client.get("/v1/x")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert int(answer.headers["retry-after"]) >= 1


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
    assert list(tmp_path.glob("batches/uploads/*")) == []


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
    monkeypatch.delenv(LOGS_VARIABLE, raising=False)
    (middleware,) = for_proxy()
    assert middleware.cls is Door
    assert middleware.kwargs["limits"] == LIMITS
    assert middleware.kwargs["spool"].folder == Path("/some/where")
    assert middleware.kwargs["front"] is True
