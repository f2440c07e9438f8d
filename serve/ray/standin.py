"""Somebody at the port while the process that listens there is begun again: an answer instead of a refused connection.

The kernel lets two processes of one user listen on a port where both say so, as Ray's proxy does. Whoever stands in
looks ten times a second who listens, and does so himself only while nobody else does. Where that is somebody it shows
in a few microseconds; the kernel's own list, which takes milliseconds, is read once a second.
"""

import contextlib
import itertools
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson

_LOOK_SECONDS = 0.1
_LIST_EVERY = 10
"""Looks."""
_READ_SECONDS = 2.0
_HEAD_BYTES = 64 * 1024
_LISTENING = "0A"


class StandIn(threading.Thread):
    """Answers 503 with Retry-After at (host, port) while nobody else listens there; to be ended by `stop`."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="stand-in", daemon=True)
        self._address = (host, port)
        self._family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        self._stopping = threading.Event()
        self._own: socket.socket | None = None

    def stop(self) -> None:
        """Ends it; the port is free then."""
        self._stopping.set()
        if self.is_alive():
            self.join(5)

    def run(self) -> None:
        try:
            for look in itertools.count():
                if self._stopping.is_set():
                    break
                if self._own is not None or look % _LIST_EVERY == 0 or not self._is_taken():
                    self._change_places(n_listening(self._address[1]) - (self._own is not None))
                if self._own is None:
                    self._stopping.wait(_LOOK_SECONDS)
                else:
                    self._answer_next(_LOOK_SECONDS)
        finally:
            self._end()

    def _change_places(self, others: int) -> None:
        if self._own is None and others <= 0:
            self._begin()
        elif self._own is not None and others > 0:
            self._end()

    def _is_taken(self) -> bool:
        """Whether somebody listens there for certain."""
        with socket.socket(self._family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(self._address)
            except OSError:
                return True
        return False

    def _begin(self) -> None:
        own = socket.socket(self._family, socket.SOCK_STREAM)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            own.bind(self._address)
            own.listen(128)
        except OSError:  # somebody has it for himself
            own.close()
            return
        self._own = own

    def _end(self) -> None:
        """Answers those who have come already, and goes."""
        while self._own is not None and self._answer_next(0.0):
            pass
        if self._own is not None:
            self._own.close()
            self._own = None

    def _answer_next(self, seconds: float) -> bool:
        assert self._own is not None
        self._own.settimeout(seconds)
        try:
            connection, _ = self._own.accept()
        except OSError:
            return False
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()
        return True


@contextlib.contextmanager
def standing_in(host: str, port: int, *, wanted: bool = True) -> Iterator[None]:
    """While the service runs. Linux only, and where `wanted`; elsewhere this does nothing."""
    if not wanted or sys.platform != "linux":
        yield
        return
    one = StandIn(host, port)
    one.start()
    try:
        yield
    finally:
        one.stop()


def n_listening(port: int) -> int:
    """How many sockets of this machine listen on a port."""
    wanted, found = f":{port:04X}", 0
    for path in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with contextlib.suppress(OSError):
            rows = (line.split(maxsplit=4) for line in path.read_text().splitlines()[1:])
            found += sum(row[1].endswith(wanted) and row[3] == _LISTENING for row in rows)
    return found


def _answer(connection: socket.socket) -> None:
    told = {"type": "urn:rapport:problem:starting", "title": "Service Unavailable", "status": 503}
    body = orjson.dumps({**told, "detail": "the service is starting again"})
    head = (
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n"
        f"cache-control: no-store\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    with contextlib.suppress(OSError), connection:
        connection.settimeout(_READ_SECONDS)
        asked = b""
        while b"\r\n\r\n" not in asked and len(asked) < _HEAD_BYTES:
            if not (more := connection.recv(8192)):
                break
            asked += more
        connection.sendall(head.encode() + body)
        # What was sent and not read would tear the connection before the answer has arrived.
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass
