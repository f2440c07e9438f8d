"""The load test: what it counts, and in the long form a whole run of it."""

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from serve.bench import suite as bench
from serve.bench.company import beside
from serve.bench.load import Load, ask_all, ask_at, talk
from serve.edge.limits import Limits
from serve.ray.processes import processor_seconds, resident_bytes


class Handler(BaseHTTPRequestHandler):
    """200 after 20 ms; 429 for `no` and nothing at all for `break`; live chats too."""

    said: ClassVar[list[tuple[str, bytes]]] = []

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if body == b"break":
            self.close_connection = True
            return
        time.sleep(0.02)
        begins, said = self.path == "/v1/chats", self.path.endswith("/messages")
        if said:  # before the answer, or who waits for it may look too soon
            self.said.append((self.path, body))
        answer = b'{"id": "%d"}' % threading.get_ident() if begins else b""
        self.send_response(429 if body == b"no" else 201 if begins or said else 200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


def test_every_body_is_asked_once_and_answers_are_counted_by_their_status(port: int) -> None:
    load = ask_all(port, [b"yes"] * 6 + [b"no"] * 3 + [b"break"], 4)
    assert load.statuses == {200: 6, 429: 3, 0: 1}
    assert 20 <= load.milliseconds(50) <= load.milliseconds(99)


def test_chats_go_on_beside_one_another_and_each_in_its_order(port: int) -> None:
    Handler.said.clear()
    load = talk(port, [[b"a0", b"a1", b"a2"], [b"b0", b"b1"]])
    assert load.statuses == {201: 5}
    of = {name: [(path, body) for path, body in Handler.said if body.startswith(name)] for name in (b"a", b"b")}
    assert [body for _, body in of[b"a"]] == [b"a0", b"a1", b"a2"]
    assert len({path for path, _ in of[b"a"]}) == 1
    assert of[b"a"][0][0] != of[b"b"][0][0]


def test_chats_are_timed_with_and_without_somebody_beside_them(port: int) -> None:
    row = beside("x", port, lambda n: [[b"%d" % n] * 5] * 2, lambda n: b"long", rounds=1)
    assert row["requests_beside"] > 0
    assert row["p50_ms"] >= 20
    assert row["peer_p50_ms"] >= 20
    with pytest.raises(RuntimeError, match="refused what it should take"):
        beside("x", port, lambda n: [[b"a"]], lambda n: b"no", rounds=1)


def test_requests_are_as_large_as_is_allowed_and_no_larger() -> None:
    for make in (bench._one_long, bench._many):
        asked = json.loads(make(1, 0))["conversations"]
        assert sum(len(c["utterances"]) for c in asked) == Limits().utterances_per_request
    assert len(bench._talks(1, 0)) == 16


def test_a_pace_is_kept_whatever_comes_back(port: int) -> None:
    load = ask_at(port, [b"yes", b"no"], per_second=50, seconds=0.4, threads=20)
    assert load.statuses == {200: 10, 429: 10}
    assert load.seconds >= 19 / 50


def test_percentiles_are_of_the_answers_there_are() -> None:
    load = Load(waits={200: [0.001 * i for i in range(1, 101)]})
    assert [load.milliseconds(p) for p in (50, 95, 99, 100)] == pytest.approx([50, 95, 99, 100])
    assert math.isnan(load.milliseconds(50, 503))


def test_what_a_process_and_those_below_it_spend_is_seen() -> None:
    before, memory = processor_seconds(os.getpid()), resident_bytes(os.getpid())
    code = "import time; x = bytearray(50_000_000); t = time.process_time()\nwhile time.process_time() < t + 0.3: pass"
    child = subprocess.Popen([sys.executable, "-c", f"{code}\nprint('now', flush=True); input()"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert child.stdout is not None
    child.stdout.readline()
    assert processor_seconds(os.getpid()) - before >= 0.3
    assert resident_bytes(os.getpid()) - memory >= 50_000_000
    child.communicate(b"\n")


def test_no_text_of_one_row_stands_in_another() -> None:
    seen: set[str] = set()
    for row, make in enumerate((bench._chats, bench._hundreds, bench._messages)):
        for turn in range(2):
            texts = {u.text for request in make(row, turn, 300) for c in request for u in c.utterances}
            assert len(texts & seen) < 30  # `lol` and the like
            seen |= texts


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_of_it() -> None:
    result = bench.measure(n_utterances=300, rounds=1, seconds=3)
    *throughput, beside_one, beside_many, abandoned, overload = result["rows"]
    assert len(throughput) == 7
    for row in (beside_one, beside_many):
        assert row["requests_beside"] > 0
        assert 0 < row["p50_ms"] <= row["p95_ms"]
    assert 0 <= abandoned["ratio"] < 0.7
    assert all(row["ratio"] > 0 and row["p50_ms"] <= row["p99_ms"] for row in throughput)
    assert set(overload["statuses"]) <= {"200", "429"}
    assert overload["recovered_seconds"] < 5
