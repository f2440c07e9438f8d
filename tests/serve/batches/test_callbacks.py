"""Batches that say when they have ended: to whom, signed, again where nobody answers, and never to anybody else."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from sqlalchemy import update

from serve.batches import callbacks
from serve.batches import table as batch_table
from serve.batches.caller import Caller
from serve.batches.worker import Worker
from serve.config import AppConfig, BatchesConfig, CallbacksConfig, UnusableConfig
from serve.database.tables import batches
from serve.edge.limits import Limits
from serve.edge.problems import Refusal
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.storage import Storage
from tests.serve.conftest import client_of

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef").decode()
HERE = ("localhost", "127.0.0.1")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Receiver:
    """A server that answers with one status after the other, the last one for ever, and remembers what it was told."""

    def __init__(self, *statuses: int) -> None:
        self.told: list[tuple[dict[str, str], bytes]] = []
        statuses_left = list(statuses)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.told.append(({k.lower(): v for k, v in self.headers.items()}, body))
                status = statuses_left.pop(0) if len(statuses_left) > 1 else statuses_left[0]
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                if status == 429:
                    self.send_header("retry-after", "3600")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://localhost:{self.port}/hook?to=me"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    begun: list[Receiver] = []

    def start(*statuses: int) -> Receiver:
        begun.append(Receiver(*statuses))
        return begun[-1]

    yield start
    for receiver in begun:
        receiver.stop()


class Clock:
    """A time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)


def calling(storage: Storage, clock: Clock, *, hosts: tuple[str, ...] = HERE, **settings: Any) -> Caller:
    return Caller(storage, CallbacksConfig(hosts=hosts, secret=SECRET, **settings), clock=clock)  # type: ignore[arg-type]


def begin(storage: Storage, url: str, *, ended: bool = True) -> str:
    batch = batch_table.new("log.txt", "auto", "jsonl", "m", False, 1)

    def work(db: Any) -> None:
        batch_table.add(db, batch, 99)
        callbacks.add(db, batch.id, url)
        if ended:
            db.execute(update(batches).where(batches.c.id == batch.id).values(holder="me"))
            kept = batch_table.get(db, batch.id)
            assert kept is not None
            assert batch_table.finish(db, kept, "me", model_version="m@1")

    storage.do_now(work)
    return batch.id


def state(storage: Storage, batch_id: str) -> callbacks.StoredCallback:
    return storage.do_now(lambda db: callbacks.of(db, [batch_id]), writes=False)[batch_id]


def test_whoever_is_to_know_is_told_once_and_can_check_who_says_it(storage: Storage, receive: Any) -> None:
    receiver, clock = receive(204), Clock()
    batch_id, running = begin(storage, receiver.url), begin(storage, receiver.url, ended=False)
    caller = calling(storage, clock)
    caller.call_all()
    caller.call_all()
    ((headers, body),) = receiver.told
    assert headers["host"] == f"localhost:{receiver.port}"
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == (batch_id, str(int(NOON.timestamp())))
    told = f"{batch_id}.{headers['webhook-timestamp']}.".encode() + body
    expected = hmac.new(b"0123456789abcdef", told, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
    message = json.loads(body)
    assert (message["type"], message["data"]["id"], message["data"]["state"]) == ("batch.done", batch_id, "done")
    found = state(storage, batch_id)
    assert (found.state, found.tries, found.status, found.error) == ("delivered", 1, 204, None)
    assert state(storage, running).tries == 0


def test_it_is_tried_again_later_and_later_and_in_the_end_given_up(storage: Storage, receive: Any) -> None:
    receiver, clock = receive(500), Clock()
    batch_id = begin(storage, receiver.url)
    pauses = []
    for n in range(3):
        calling(storage, clock, tries=4).call_all()  # another process every time, as after restarts
        found = state(storage, batch_id)
        assert (found.state, found.tries, found.error) == ("waiting", n + 1, "HTTP 500")
        pauses.append((datetime.fromisoformat(found.due) - clock.now).total_seconds())
        clock.later(seconds=pauses[-1] - 2)
        calling(storage, clock, tries=4).call_all()
        assert len(receiver.told) == n + 1
        clock.later(seconds=2)
    assert all(3 < later / earlier < 8 for earlier, later in itertools.pairwise(pauses))
    calling(storage, clock, tries=4).call_all()
    assert state(storage, batch_id).state == "failed"
    clock.later(days=9)
    calling(storage, clock, tries=4).call_all()
    assert len(receiver.told) == 4
    assert len({headers["webhook-id"] for headers, _ in receiver.told}) == 1


def test_a_receiver_says_when_to_come_back_and_that_it_is_gone(storage: Storage, receive: Any) -> None:
    receiver, clock = receive(429, 410), Clock()
    batch_id = begin(storage, receiver.url)
    calling(storage, clock).call_all()
    assert datetime.fromisoformat(state(storage, batch_id).due) >= NOON + timedelta(hours=1)
    clock.later(hours=2)
    calling(storage, clock).call_all()
    assert (state(storage, batch_id).state, state(storage, batch_id).status) == ("failed", 410)


def test_a_redirect_is_not_followed(storage: Storage, receive: Any) -> None:
    receiver = receive(302, 204)
    batch_id = begin(storage, receiver.url)
    calling(storage, Clock()).call_all()
    assert len(receiver.told) == 1
    assert state(storage, batch_id).error == "HTTP 302: redirects are not followed"


@pytest.mark.parametrize(
    ("hosts", "error"),
    [
        (("localhost",), "the host has a private address, which callbacks.hosts does not list"),
        (("localhost", "10.0.0.0/8"), "the host has a private address, which callbacks.hosts does not list"),
        (("example.org",), "the host is on the list no more"),
    ],
)
def test_a_private_address_is_called_only_where_it_is_listed(
    storage: Storage, receive: Any, hosts: tuple[str, ...], error: str
) -> None:
    receiver = receive(204)
    batch_id = begin(storage, receiver.url)
    calling(storage, Clock(), hosts=hosts).call_all()
    assert receiver.told == []
    assert (state(storage, batch_id).state, state(storage, batch_id).error) == ("waiting", error)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "::1",
            "fe80::1",
            "fd00::1",
        ),
        *("::ffff:10.1.2.3", "64:ff9b::a9fe:a9fe", "2002:a01:203::1"),
    ],
)
def test_what_leads_inside_is_private_however_it_is_written(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    entry = (family, socket.SOCK_STREAM, 6, "", (address, 443))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry])
    with pytest.raises(callbacks.NotAllowed, match="private"):
        callbacks.place_of("https://hook.example.org/", ("hook.example.org",))
    public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 443))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry, public])
    assert callbacks.place_of("https://hook.example.org/", ("hook.example.org",)) == "93.184.215.14"


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://hook.example.org/x", None),
        ("http://HOOK.example.org:8080", None),
        ("http://10.1.2.3/x", None),
        ("https://hook.example.org.evil.example/", 403),
        ("https://evil.example/?hook.example.org", 403),
        ("http://127.0.0.1/", 403),
        ("http://2130706433/", 403),
        ("http://[::1]/", 403),
        ("https://me:secret@hook.example.org/", 422),
        ("ftp://hook.example.org/", 422),
        ("hook.example.org", 422),
        ("https://hook.example.org:x/", 422),
        ("https://hook.example.org/a b", 422),
        ("https://[/", 422),
    ],
)
def test_only_hosts_on_the_list_can_be_named(url: str, status: int | None) -> None:
    hosts = ("hook.example.org", "10.0.0.0/8")
    if status is None:
        callbacks.expect_allowed(url, hosts)
        return
    with pytest.raises(Refusal) as refused:
        callbacks.expect_allowed(url, hosts)
    assert refused.value.status == status


async def test_a_batch_shows_what_became_of_its_callback(make_api: Callable[..., Any], storage: Storage) -> None:
    async with client_of(make_api(may_call=("hook.example.org",))) as client:
        asked = {"callback": "https://hook.example.org/x"}
        begun = await client.post("/batches", content=b"Ann: hi\n", params=asked)
        form = await client.post("/batches", files={"file": ("a.txt", b"Ann: hi\n")}, data=asked)
        plain = await client.post("/batches", content=b"Ann: hi\n")
        listed = (await client.get("/batches")).json()["batches"]
        waiting = {**dict.fromkeys(("tried", "status", "error", "due")), **asked, "state": "waiting", "tries": 0}
        waiting["url"] = waiting.pop("callback")
        assert begun.json()["callback"] == form.json()["callback"] == waiting
        assert plain.json()["callback"] is None
        assert [b["callback"] for b in listed] == [None, waiting, waiting]
        await client.delete(f"/batches/{begun.json()['id']}")
        assert storage.do_now(lambda db: callbacks.of(db, [begun.json()["id"]]), writes=False) == {}
    async with client_of(make_api()) as client:
        refused = await client.post("/batches", content=b"Ann: hi\n", params=asked)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:rapport:problem:callback-not-allowed")
    assert "callbacks.hosts" in refused.json()["detail"]


async def test_a_log_is_labelled_and_whoever_waits_for_it_is_told(
    make_api: Callable[..., Any], storage: Storage, taggers: Taggers, receive: Any
) -> None:
    receiver = receive(200)
    caller = Caller(storage, CallbacksConfig(hosts=HERE, secret=SECRET), root_path="/mood")  # type: ignore[arg-type]
    worker = Worker(storage, LocalLabeller(taggers), Limits(), BatchesConfig(), caller=caller)
    worker.start()
    try:
        async with client_of(make_api(may_call=HERE)) as client:
            begun = await client.post("/batches", content=b"Ann: great\n", params={"callback": receiver.url})
            batch_id = begun.json()["id"]
            while (told := (await client.get(f"/batches/{batch_id}")).json())["callback"]["state"] == "waiting":
                await asyncio.sleep(0.05)
    finally:
        worker.stop()
    assert (told["state"], told["callback"]["state"], told["callback"]["status"]) == ("done", "delivered", 200)
    ((_, body),) = receiver.told
    data = json.loads(body)["data"]
    assert (data["conversations"], data["utterances"]) == (1, 1)
    assert data["output"] == f"/mood/v1/batches/{batch_id}/output"


def test_hosts_without_a_secret_are_refused() -> None:
    with pytest.raises(UnusableConfig, match=r"callbacks\.hosts needs callbacks\.secret"):
        AppConfig.load(callbacks={"hosts": ["hook.example.org"]})
