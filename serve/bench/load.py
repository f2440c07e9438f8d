"""Load on a running service, from threads of this process: as fast as it answers, or at a pace of its own."""

import http.client
import itertools
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

PATH, CHATS = "/v1/emotions", "/v1/chats"
JSON = {"Content-Type": "application/json"}


@dataclass(kw_only=True, slots=True)
class Load:
    """What came back: seconds in all, and of each answer by its status (0: none came)."""

    seconds: float = 0.0
    waits: dict[int, list[float]] = field(default_factory=dict)

    @property
    def statuses(self) -> Counter[int]:
        """How many answers of each status there were."""
        return Counter({status: len(waits) for status, waits in self.waits.items()})

    def milliseconds(self, percent: float, status: int = 200) -> float:
        """The time within which so many per cent of the answers with this status came; nan for none."""
        waits = sorted(self.waits.get(status, ()))
        return 1000 * waits[min(len(waits) - 1, math.ceil(len(waits) * percent / 100) - 1)] if waits else math.nan


def ask_all(port: int, bodies: Sequence[bytes], at_once: int) -> Load:
    """Every body once, always `at_once` of them under way."""
    return _run(port, bodies, at_once, lambda i: i < len(bodies), lambda i: 0.0)


def ask_at(port: int, bodies: Sequence[bytes], per_second: float, seconds: float, threads: int) -> Load:
    """Bodies in turn, begun at this rate whatever comes back, as long as one of the `threads` is free."""
    n = math.ceil(per_second * seconds)
    return _run(port, bodies, threads, lambda i: i < n, lambda i: i / per_second)


def talk(port: int, chats: Sequence[Sequence[bytes]]) -> Load:
    """A live chat for each of them, all at once, message by message; what came back for the messages."""
    load, lock = Load(), threading.Lock()
    everybody = threading.Barrier(len(chats) + 1)

    def work(bodies: Sequence[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        status, begun = _ask(connection, CHATS, b"{}")
        everybody.wait()
        path = f"{CHATS}/{json.loads(begun)['id']}/messages" if status == 201 else CHATS
        for body in bodies:
            began = time.perf_counter()
            status, _ = _ask(connection, path, body)
            with lock:
                load.waits.setdefault(status, []).append(time.perf_counter() - began)
        connection.close()

    running = [threading.Thread(target=work, args=(bodies,), daemon=True) for bodies in chats]
    for thread in running:
        thread.start()
    everybody.wait()
    start = time.perf_counter()
    for thread in running:
        thread.join()
    load.seconds = time.perf_counter() - start
    return load


def _run(
    port: int, bodies: Sequence[bytes], threads: int, more: Callable[[int], bool], begin: Callable[[int], float]
) -> Load:
    load, numbers, lock = Load(), itertools.count(), threading.Lock()
    start = time.perf_counter()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        while more(i := next(numbers)):
            time.sleep(max(0.0, start + begin(i) - time.perf_counter()))
            began = time.perf_counter()
            status, _ = _ask(connection, PATH, bodies[i % len(bodies)])
            with lock:
                load.waits.setdefault(status, []).append(time.perf_counter() - began)
        connection.close()

    running = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    load.seconds = time.perf_counter() - start
    return load


def _ask(connection: http.client.HTTPConnection, path: str, body: bytes) -> tuple[int, bytes]:
    try:
        connection.request("POST", path, body, JSON)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0, b""
