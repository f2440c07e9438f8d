"""Both doors and the API behind them on a real socket: what only a server and bad manners bring to light."""

import contextlib
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from serve.api import create_api
from serve.config import AppConfig, RecordingsConfig
from serve.edge.access import Access
from serve.edge.door import Door
from serve.edge.drain import Drain
from serve.edge.heads import watched
from serve.edge.keys import Keys
from serve.edge.limits import Limits
from serve.edge.spool import Spool
from serve.emotion.choice import Choice
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.pictures.deployment import Pictures
from serve.pictures.viewer import LocalViewer
from serve.replies.answerer import LocalAnswerer
from serve.replies.deployment import Responders
from serve.storage import Storage
from tests.serve.conftest import CATALOGUE, NO_ENGINE, OPENER, TAGGER

LIMITS = Limits(waiting_requests=8, idle_seconds=1.5, upload_seconds=5, head_seconds=1.5, heads_arriving_per_client=40)
TURN = {"conversations": [{"utterances": [{"speaker": "Ann", "text": "great"}]}]}


class Served:
    """A server in a thread, and where it is."""

    def __init__(
        self,
        folder: Path,
        *,
        engine: str = NO_ENGINE["engine"],
        keys: Keys | None = None,
        catalogue: str = CATALOGUE,
        recordings: RecordingsConfig | None = None,
    ) -> None:
        parts: Any = {"visual": {"engine": engine, "threads": 1}, "replies": {"opener": OPENER}}
        config = AppConfig(tagger=TAGGER, catalogue=catalogue, data_dir=folder, **parts)
        self.storage = Storage(folder / "test.sqlite")
        labeller, viewer = LocalLabeller(Taggers(TAGGER)), LocalViewer(Pictures(config))
        answerer, choice = LocalAnswerer(Responders(config)), Choice.of(config)
        given: dict[str, Any] = {"keys": keys, "recordings": recordings}
        api = create_api(labeller, viewer, answerer, choice, self.storage, LIMITS, **given)
        self.stopping = folder / "stopping"
        spool = Spool(folder, LIMITS)
        access = Access(host="127.0.0.1")
        front = Door(api, LIMITS, spool=spool, front=True, drain=Drain(self.stopping), access=access, keys=keys)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(front, log_level="critical", lifespan="off", http=watched(LIMITS)))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}/v1", timeout=30)

    def stop(self) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()
        self.storage.close()

    def half(self) -> socket.socket:
        """A sender of half a body, who then falls silent."""
        sender = socket.create_connection(("127.0.0.1", self.port), 20)
        head = f"POST /v1/emotions HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: application/json\r\n"
        sender.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
        return sender


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served"))
    yield served
    served.stop()


def test_it_answers(served: Served) -> None:
    answer = served.client.post("/emotions", json=TURN)
    assert answer.status_code == 200
    assert "total;dur=" in answer.headers["server-timing"]
    assert served.client.head("/models").content == b""
    assert served.client.get("/models", headers={"host": "evil.example"}).status_code == 403
    assert served.client.get("/models", headers={"x": "y" * 6_500, "z": "y" * 6_500}).status_code == 431


def test_senders_of_half_a_body_take_nobodys_place_and_are_given_up(served: Served) -> None:
    senders = [served.half() for _ in range(4 * LIMITS.waiting_requests)]
    try:
        assert [served.client.post("/emotions", json=TURN).status_code for _ in range(5)] == [200] * 5
        told = []
        for sender in senders:
            sender.settimeout(60)
            told.append(sender.recv(4096))
            while sender.recv(4096):  # until it is closed from the other side
                pass
        assert all(answer.startswith(b"HTTP/1.1 408") for answer in told)
    finally:
        for sender in senders:
            sender.close()


def test_who_sends_half_a_head_is_hung_up_on_and_nobody_else(served: Served) -> None:
    whole = b"GET /v1/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    most = LIMITS.heads_arriving_per_client
    with contextlib.ExitStack() as stack:

        def connect() -> socket.socket:
            made = stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            made.settimeout(60)
            return made

        patient = connect()
        patient.sendall(whole)
        assert patient.recv(4096).startswith(b"HTTP/1.1 200")
        half = [connect() for _ in range(most)]
        for n, one in enumerate(half):
            one.sendall(whole[: n % len(whole)])  # of some nothing at all
        one_more = connect()
        assert half[0].recv(4096) == b"", "whoever took longest"
        one_more.sendall(whole)
        assert one_more.recv(4096).startswith(b"HTTP/1.1 200")
        assert all(one.recv(4096) == b"" for one in half)
        # What has asked before may be silent for longer, but not in the middle of what it asks then.
        patient.sendall(whole)
        assert patient.recv(4096).startswith(b"HTTP/1.1 200")
        patient.sendall(whole[:20])
        assert patient.recv(4096) == b""
        late = connect()
        late.sendall(whole[:30])
        late.sendall(whole[30:])
        assert late.recv(4096).startswith(b"HTTP/1.1 200")


def test_probes_are_quick_while_everything_else_is_turned_away(served: Served) -> None:
    slow = {"conversations": [{"utterances": [{"speaker": "Ann", "text": "slow"}]}]}
    stop, statuses = threading.Event(), list[int]()

    def ask() -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{served.port}/v1", timeout=60) as client:
            while not stop.is_set():
                statuses.append(client.post("/emotions", json=slow).status_code)

    crowd = [threading.Thread(target=ask) for _ in range(3 * LIMITS.waiting_requests)]
    for one in crowd:
        one.start()
    try:
        deadline = time.monotonic() + 120
        while served.client.get("/health/ready").status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.05)  # a part nobody has looked at yet is not ready
        while 429 not in statuses and time.monotonic() < deadline:
            time.sleep(0.05)
        answers = [served.client.get(path) for path in ("/health/live", "/health/ready") * 10]
    finally:
        stop.set()
        for one in crowd:
            one.join(60)
    assert {200, 429} <= set(statuses) <= {200, 429}
    assert {answer.status_code for answer in answers} == {200}
    # Three dozen threads share the machine with the server; whoever asks for a probe gives up after some seconds.
    assert statistics.median(answer.elapsed.total_seconds() for answer in answers) < 10.0


def test_a_log_goes_in_and_its_state_comes_out(served: Served) -> None:
    begun = served.client.post("/batches", content=b"Ann: great\n", headers={"idempotency-key": "a"})
    again = served.client.post("/batches", content=b"Ann: great\n", headers={"idempotency-key": "a"})
    assert (begun.status_code, again.status_code) == (202, 202)
    assert begun.json()["id"] == again.json()["id"]
    assert served.client.delete(f"/batches/{begun.json()['id']}").status_code == 204


def test_a_stop_is_told_and_what_is_under_way_is_counted(served: Served) -> None:
    served.stopping.touch()
    time.sleep(0.3)
    try:
        ready, work = served.client.get("/health/ready"), served.client.post("/emotions", json=TURN)
        assert (ready.status_code, ready.headers["x-rapport-under-way"]) == (503, "0")
        assert (work.status_code, work.json()["type"]) == (503, "urn:rapport:problem:stopping")
    finally:
        served.stopping.unlink()
    time.sleep(0.3)
    assert served.client.post("/emotions", json=TURN).status_code == 200
