"""Somebody at the port while nobody else is."""

import http.client
import http.server
import socket
import sys
import threading
import time
from collections.abc import Callable

import pytest

from serve.ray.standin import StandIn, n_listening
from tests.serve.running import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


class Other(http.server.ThreadingHTTPServer):
    """Whoever is stood in for."""

    allow_reuse_port = True

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), self.Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


def ask(port: int, body: bytes = b"") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST" if body else "GET", "/v1/x", body)
    answer = connection.getresponse()
    answer.read()
    return answer


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_answers_while_nobody_else_listens_and_makes_way_for_whoever_comes() -> None:
    port = free_port()
    one = StandIn("127.0.0.1", port)
    one.start()
    try:
        until(lambda: n_listening(port) == 1)
        for body in (b"", b"x" * 1_000_000):
            answer = ask(port, body)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert answer.headers["content-type"] == "application/problem+json"
        for _ in range(2):
            other = Other(port)
            until(lambda: one._own is None)
            assert {ask(port).status for _ in range(20)} == {200}
            other.shutdown()
            other.server_close()
            until(lambda: one._own is not None)
            assert ask(port).status == 503
    finally:
        one.stop()
    assert n_listening(port) == 0


def test_a_port_that_somebody_has_for_himself_is_left_to_him() -> None:
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))  # he does not listen yet
        one = StandIn("127.0.0.1", mine.getsockname()[1])
        one._begin()
        assert one._own is None
