"""gzip both ways: bounded by what comes out, and nothing lost on the way."""

import gzip
import os
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from serve.edge.compression import Inflater, takes_gzip
from serve.edge.door import Door
from serve.edge.limits import Limits
from serve.edge.problems import Refusal
from serve.edge.spool import LOG_HEADER, UPLOADS, Spool

LIMITS = Limits(body_bytes=100_000, log_bytes=200_000)
GZIP = {"content-encoding": "gzip"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """What came in, and under which headers."""
    request = Request(scope, receive)
    told = {name: request.headers.get(name, "") for name in ("content-encoding", "content-length")}
    headers = {f"x-{name}": value for name, value in told.items()}
    await Response(await request.body(), headers=headers)(scope, receive, send)


def asking(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/v1")


@given(st.binary(max_size=300_000), st.integers(1, 5_000), st.booleans())
def test_what_was_compressed_comes_out_however_it_is_cut(data: bytes, cut: int, in_two: bool) -> None:
    sent = gzip.compress(data[:99]) + gzip.compress(data[99:]) if in_two else gzip.compress(data)
    inflater = Inflater()
    pieces = [p for i in range(0, len(sent), cut) for p in inflater.feed(sent[i : i + cut])]
    inflater.end()
    assert b"".join(pieces) == data
    assert all(len(piece) <= 64 * 1024 for piece in pieces)


async def test_a_compressed_body_arrives_as_what_it_is() -> None:
    async with asking(Door(echo, LIMITS)) as client:
        sent = await client.post("/emotions", content=gzip.compress(b"hello " * 1_000), headers=GZIP)
        plain = await client.post("/emotions", content=b"hello", headers={"content-encoding": "identity"})
    assert sent.content == b"hello " * 1_000
    assert (sent.headers["x-content-encoding"], sent.headers["x-content-length"]) == ("", "6000")
    assert plain.content == b"hello"


@pytest.mark.parametrize(
    ("coding", "body", "status", "kind"),
    [
        ("gzip", gzip.compress(b"0" * 100_000_000), 413, "too-large"),
        ("gzip", gzip.compress(b"") * 20_000, 413, "too-large"),
        ("gzip", b"not gzip at all", 400, "malformed-gzip"),
        ("gzip", gzip.compress(b"hello")[:-3], 400, "malformed-gzip"),
        ("gzip", gzip.compress(b"hello") + b"rest", 400, "malformed-gzip"),
        ("gzip", zlib.compress(b"hello"), 400, "malformed-gzip"),
        ("br", b"hello", 415, "unsupported-encoding"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"hello")), 415, "unsupported-encoding"),
    ],
)
async def test_a_bomb_and_a_damaged_body_are_refused(coding: str, body: bytes, status: int, kind: str) -> None:
    async with asking(Door(echo, LIMITS)) as client:
        answer = await client.post("/emotions", content=body, headers={"content-encoding": coding})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (status, kind)


async def test_a_compressed_log_lies_uncompressed_on_the_disk_and_a_bomb_nowhere(tmp_path: Path) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        name = Request(scope).headers[LOG_HEADER]
        await Response((tmp_path / UPLOADS / name).read_bytes())(scope, receive, send)

    async with asking(Door(app, LIMITS, spool=Spool(tmp_path, LIMITS))) as client:
        fine = await client.post("/batches", content=gzip.compress(b"Ann: hi\n" * 20_000), headers=GZIP)
        bomb = await client.post("/batches", content=gzip.compress(b"0" * 50_000_000), headers=GZIP)
        cut = await client.post("/batches", content=gzip.compress(os.urandom(1_000))[:-9], headers=GZIP)
    assert fine.content == b"Ann: hi\n" * 20_000
    assert (bomb.status_code, bomb.json()["limit"], cut.status_code) == (413, "log_bytes", 400)
    assert list((tmp_path / UPLOADS).iterdir()) == []


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("GZIP;q=0.5, br", True),
        ("br, *", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip;q=much", False),
    ],
)
def test_only_who_takes_gzip_gets_it(accepted: str, takes: bool) -> None:
    assert takes_gzip(accepted) == takes


async def test_a_large_answer_is_compressed_and_a_small_one_is_not(make_api: Callable[..., Any]) -> None:
    turn = {"speaker": "Ann", "text": "great " * 20}
    async with asking(make_api()) as client:
        one = await client.post("/emotions", json={"conversations": [{"utterances": [turn]}]})
        many = {"conversations": [{"utterances": [turn] * 200}]}
        large = await client.post("/emotions", json=many)
        same = await client.post("/emotions", json=many, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in one.headers
    assert (large.headers["content-encoding"], large.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert int(large.headers["content-length"]) * 5 < int(same.headers["content-length"])
    assert large.json()["conversations"] == same.json()["conversations"]
    assert "content-encoding" not in same.headers


async def test_a_stream_of_events_is_left_as_it_is_and_comes_event_by_event() -> None:
    async def events() -> AsyncIterator[bytes]:
        for n in range(3):
            yield b"data: " + b"%d" % n * 9_000 + b"\n\n"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(events(), media_type="text/event-stream")(scope, receive, send)

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [(b"accept-encoding", b"gzip"), (b"host", b"test")]
    scope = {"type": "http", "method": "GET", "path": "/v1/x", "headers": headers, "query_string": b""}
    # From this version on a response looks out for nobody who hangs up.
    await Door(app, LIMITS)({**scope, "http_version": "1.1", "asgi": {"spec_version": "2.4"}}, receive, send)
    bodies = [message["body"] for message in sent[1:] if message["body"]]
    assert [body[:7] for body in bodies] == [b"data: 0", b"data: 1", b"data: 2"]
    assert not [name for name, _ in sent[0]["headers"] if name == b"content-encoding"]


async def test_a_part_of_a_file_is_never_compressed_nor_mixed_with_one_that_is(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    file.write_bytes(orjson.dumps(["same"] * 5_000))
    async with asking(Door(FileResponse(file), LIMITS)) as client:
        whole = await client.get("/x")
        part = await client.get("/x", headers={"range": "bytes=0-9"})
        mixed = await client.get("/x", headers={"range": "bytes=0-9", "if-range": whole.headers["etag"]})
    assert whole.content == file.read_bytes()
    assert whole.headers["content-encoding"] == "gzip"
    assert whole.headers["etag"].startswith("W/")
    assert (part.status_code, part.content) == (206, file.read_bytes()[:10])
    assert mixed.status_code == 200


async def test_refusals_are_the_same_for_those_who_take_gzip() -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        raise Refusal(409, "chat-full", "no")

    async with asking(Door(refuse, LIMITS)) as client:
        refused = await client.get("/x")
        plain = await asking(Door(PlainTextResponse("in"), LIMITS)).get("/x")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:rapport:problem:chat-full")
    assert plain.text == "in"
