"""What one client costs the others: live chats beside somebody who asks for much, and somebody who asks and leaves."""

import http.client
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from serve.bench.load import JSON, PATH, Load, ask_all, talk
from serve.ray.processes import processor_seconds

_BEGUN_SECONDS = 0.5
"""After so long a request is being worked on."""

Chats = Callable[[int], Sequence[Sequence[bytes]]]
"""The messages of live chats, from a number; no two numbers share any."""
Body = Callable[[int], bytes]
"""A request, from a number, like that."""


def beside(name: str, port: int, chats: Chats, body: Body, rounds: int) -> dict[str, Any]:
    """One row: how long messages of live chats take beside such requests, one always under way, and without them."""
    alone, together, asked = Load(), Load(), 0
    for turn in range(-1, rounds):  # the first is for warmth
        quiet = talk(port, chats(2 * turn + 2))
        with _over_and_over(port, body, 1_000 * (turn + 2)) as statuses:
            loud = talk(port, chats(2 * turn + 3))
        if set(quiet.statuses) | set(loud.statuses) != {201} or not set(statuses) <= {200}:
            raise RuntimeError(f"the service refused what it should take: {quiet.statuses} {loud.statuses} {statuses}")
        if turn >= 0:
            asked += len(statuses)
            for kept, load in ((alone, quiet), (together, loud)):
                kept.waits.setdefault(201, []).extend(load.waits[201])
    mine, peers = (load.milliseconds(95, 201) for load in (together, alone))
    return {
        "name": name,
        "p50_ms": together.milliseconds(50, 201),
        "p95_ms": mine,
        "peer": "the same chats with nobody beside them",
        "peer_p50_ms": alone.milliseconds(50, 201),
        "peer_p95_ms": peers,
        "requests_beside": asked,
        "ratio": mine / peers,
        "more_is_better": False,
    }


def abandoned(name: str, port: int, pid: int, body: Body, rounds: int) -> dict[str, Any]:
    """One row: processor seconds spent on a request after its client has hung up, to those of a whole one."""
    whole: list[float] = []
    after: list[float] = []
    for turn in range(-1, rounds):
        began, spent = time.perf_counter(), processor_seconds(pid)
        if ask_all(port, [body(2 * turn + 2)], 1).statuses != {200: 1}:
            raise RuntimeError("the service refused what it should take")
        seconds, cost = time.perf_counter() - began, processor_seconds(pid) - spent
        idle = _spent(pid, seconds)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        connection.request("POST", PATH, body(2 * turn + 3), JSON)
        time.sleep(_BEGUN_SECONDS)
        connection.close()
        left = _spent(pid, seconds)
        if turn >= 0:
            whole.append(cost - idle)
            after.append(max(0.0, left - idle))
    mine, peers = statistics.median(after), statistics.median(whole)
    return {
        "name": name,
        "processor_seconds": mine,
        "peer": "a whole request of the same size",
        "peer_processor_seconds": peers,
        "hung_up_after_seconds": _BEGUN_SECONDS,
        "ratio": mine / peers,
        "more_is_better": False,
    }


def _spent(pid: int, seconds: float) -> float:
    """Processor seconds of the service within so many seconds from now."""
    before = processor_seconds(pid)
    time.sleep(seconds)
    return processor_seconds(pid) - before


@contextmanager
def _over_and_over(port: int, body: Body, first: int) -> Iterator[list[int]]:
    """Asks one request after the other, each as soon as the last is answered; the statuses of their answers."""
    stop, statuses = threading.Event(), list[int]()

    def work() -> None:
        number = first
        while not stop.is_set():
            statuses.extend(ask_all(port, [body(number)], 1).statuses)
            number += 1

    asking = threading.Thread(target=work, daemon=True)
    asking.start()
    time.sleep(_BEGUN_SECONDS)
    try:
        yield statuses
    finally:
        stop.set()
        asking.join()
