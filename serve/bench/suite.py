"""`rapport bench serve`: a service started for it, beside the same model called in this process, and overloaded.

Throughput and its peer take turns, round by round, on texts nobody has seen yet: a cache helps neither. Beside the
ratio of times each row has that of processor seconds, of all processes of the service together, which a busy machine
disturbs less. Here more is better: 1 means that HTTP, JSON and the hops between processes cost nothing.
"""

import itertools
import math
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson
import torch

from dialog.bench.chats import made_up_chats
from dialog.bench.timing import suite
from dialog.conversation import Conversation, Utterance
from dialog.emotion.tagger import EmotionTagger
from models.catalogue import EMOTION
from serve.bench.company import abandoned, beside
from serve.bench.load import Load, ask_all, ask_at, talk
from serve.edge.limits import Limits
from serve.ray.processes import processor_seconds, resident_bytes

TOGETHER = 32
"""Conversations in one call of the peer, which is what the service has waiting when as many clients ask at once."""
_MAIN = "import sys; from serve.ray.app import run; from serve.config import AppConfig; sys.exit(run(AppConfig.load()))"
_OVERLOAD = 10
_BESIDE, _LONG = 16, Limits().utterances_per_request


def measure(
    *,
    model: str | Path = EMOTION,
    n_utterances: int = 2_000,
    rounds: int = 3,
    seconds: float = 20.0,
    threads: int | None = None,
    device: str | None = None,
    only: str | None = None,
) -> dict[str, Any]:
    """The object of `rapport bench serve --json`; of the rows whose names contain `only`, where it is given.

    Each round labels n_utterances on either side, with `threads` threads of the model on either side (by default as
    many as there are cores for us); `seconds` is how long the overload lasts.
    """
    threads = threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    tagger = EmotionTagger.load(model, device=device)
    with _service(str(model), threads, device or "auto") as service:
        measured: dict[str, Callable[[], dict[str, Any]]] = {}
        # Each row has texts of its own: none may stand in a cache because of another row.
        for seed, (what, make, n, at_once, together) in enumerate(
            (
                ("a chat", _chats, n_utterances, TOGETHER, TOGETHER),
                ("100 messages", _hundreds, n_utterances, 4, TOGETHER),
                ("a message", _messages, n_utterances // 5, TOGETHER, TOGETHER),
                ("a message", _messages, n_utterances // 5, 8, 8),
                ("a message", _messages, n_utterances // 10, 1, 1),
                ("a chat", _chats, n_utterances // 5, 1, 1),
            ),
            start=1,
        ):
            name = f"throughput, {at_once} at once, {what} a request"
            measured[name] = partial(
                _throughput, name, service, tagger, partial(make, seed), max(at_once, n), at_once, together, rounds
            )
        name = f"live, {TOGETHER} chats at once"
        measured[name] = partial(_live, name, service, tagger, n_utterances, rounds)
        for seed, (what, request) in enumerate((("a conversation", _one_long), ("many chats", _many)), start=10):
            name = f"live, {_BESIDE} chats beside {what} of {_LONG:,} messages a request"
            body = partial(request, seed)
            measured[name] = partial(beside, name, service.port, partial(_talks, seed), body, rounds)
        name = f"abandoned, a request of {_LONG:,} messages"
        measured[name] = partial(abandoned, name, service.port, service.pid, partial(_many, 12), rounds)
        name = f"overload, {_OVERLOAD} times capacity, 100 messages a request"
        measured[name] = partial(_overload, name, service, seconds)
        rows = [row() for name, row in measured.items() if only is None or only in name]
    return suite(
        "serve",
        rows,
        where=tagger.device,
        model=tagger.version,
        n_utterances=n_utterances,
        rounds=rounds,
        model_threads=threads,
    )


Make = Callable[[int, int], list[list[Conversation]]]
"""Requests from the number of a round, and that of their utterances together."""


def _chats(row: int, turn: int, n_utterances: int) -> list[list[Conversation]]:
    return [[chat] for chat in made_up_chats(n_utterances, 1_000 * row + turn)]


def _messages(row: int, turn: int, n_utterances: int) -> list[list[Conversation]]:
    utterances = [u for [chat] in _chats(row, turn, n_utterances) for u in chat.utterances]
    return [[Conversation(id=str(i), utterances=(u,))] for i, u in enumerate(utterances)]


def _hundreds(row: int, turn: int, n_utterances: int) -> list[list[Conversation]]:
    requests: list[list[Conversation]] = [[]]
    for [chat] in _chats(row, turn, n_utterances):
        if sum(len(c.utterances) for c in requests[-1]) >= 100:
            requests.append([])
        requests[-1].append(chat)
    return requests


def _many(row: int, turn: int) -> bytes:
    """A request of as many messages as are allowed, in many chats."""
    chats = [chat for [chat] in _chats(row, turn, _LONG)]
    over = sum(len(c.utterances) for c in chats) - _LONG
    last = chats[-1]
    return _body([*chats[:-1], Conversation(id=last.id, utterances=last.utterances[: len(last.utterances) - over])])


def _one_long(row: int, turn: int) -> bytes:
    """The same in one conversation."""
    said = [u for [chat] in _chats(row, turn, _LONG) for u in chat.utterances]
    return _body([Conversation(id="long", utterances=tuple(said[:_LONG]))])


def _talks(row: int, turn: int) -> list[list[bytes]]:
    """What is said in live chats."""
    said = [u for [chat] in _chats(20 + row, turn, 20 * _BESIDE) for u in chat.utterances]
    return [[_message(u) for u in said[i::_BESIDE]] for i in range(_BESIDE)]


def _message(utterance: Utterance) -> bytes:
    return orjson.dumps({"speaker": utterance.speaker, "text": utterance.text})


def _throughput(
    name: str, service: "_Service", tagger: EmotionTagger, make: Make, n: int, at_once: int, together: int, rounds: int
) -> dict[str, Any]:
    """One row: utterances a second of the service and of the peer, and how long an answer took."""
    ours: list[tuple[float, float]] = []  # seconds and processor seconds for one utterance
    theirs: list[tuple[float, float]] = []
    loads: list[Load] = []
    for turn in range(-1, rounds):  # the first is for warmth
        requests = make(turn + 1, n)
        total = sum(len(c.utterances) for request in requests for c in request)
        bodies = [_body(request) for request in requests]
        before = processor_seconds(service.pid)
        load = ask_all(service.port, bodies, at_once)
        spent = processor_seconds(service.pid) - before
        if load.statuses[200] != len(bodies):
            raise RuntimeError(f"the service refused what it should take: {dict(load.statuses)}")
        seconds, processor = _in_process(tagger, requests, together)
        if turn >= 0:
            loads.append(load)
            ours.append((load.seconds / total, spent / total))
            theirs.append((seconds / total, processor / total))
    mine, peers = (1 / statistics.median(s for s, _ in side) for side in (ours, theirs))
    waits = Load(waits={200: [w for load in loads for w in load.waits[200]]})
    return {
        "name": name,
        "utterances_per_second": mine,
        "peer": f"the same model called in this process, {together} of the requests a call",
        "peer_utterances_per_second": peers,
        "ratio": statistics.median(p[0] / o[0] for o, p in zip(ours, theirs, strict=True)),
        "ratio_of_processor_seconds": statistics.median(p[1] / o[1] for o, p in zip(ours, theirs, strict=True)),
        **{f"p{percent}_ms": waits.milliseconds(percent) for percent in (50, 95, 99)},
        "more_is_better": True,
    }


def _live(name: str, service: "_Service", tagger: EmotionTagger, n: int, rounds: int) -> dict[str, Any]:
    """One row: messages a second of live chats that go on at once, beside the same steps in this process."""
    ours: list[tuple[float, float]] = []  # seconds and processor seconds for one message
    theirs: list[tuple[float, float]] = []
    loads: list[Load] = []
    for turn in range(-1, rounds):  # the first is for warmth
        said = [u for [chat] in _chats(8, turn + 1, n) for u in chat.utterances]
        chats = [said[i::TOGETHER] for i in range(TOGETHER)]
        bodies = [[_message(u) for u in chat] for chat in chats]
        before = processor_seconds(service.pid)
        load = talk(service.port, bodies)
        spent = processor_seconds(service.pid) - before
        if load.statuses[201] != len(said):
            raise RuntimeError(f"the service refused what it should take: {dict(load.statuses)}")
        seconds, processor = _steps_in_process(tagger, chats)
        if turn >= 0:
            loads.append(load)
            ours.append((load.seconds / len(said), spent / len(said)))
            theirs.append((seconds / len(said), processor / len(said)))
    mine, peers = (1 / statistics.median(s for s, _ in side) for side in (ours, theirs))
    waits = Load(waits={201: [w for load in loads for w in load.waits[201]]})
    return {
        "name": name,
        "utterances_per_second": mine,
        "peer": f"the same model called in this process, a message of {TOGETHER} chats a call, nothing kept",
        "peer_utterances_per_second": peers,
        "ratio": statistics.median(p[0] / o[0] for o, p in zip(ours, theirs, strict=True)),
        "ratio_of_processor_seconds": statistics.median(p[1] / o[1] for o, p in zip(ours, theirs, strict=True)),
        **{f"p{percent}_ms": waits.milliseconds(percent, 201) for percent in (50, 95, 99)},
        "more_is_better": True,
    }


def _steps_in_process(tagger: EmotionTagger, chats: Sequence[Sequence[Utterance]]) -> tuple[float, float]:
    """Seconds and processor seconds for all messages, one of every chat at a time."""
    states = [tagger.start() for _ in chats]
    began, spent = time.perf_counter(), time.process_time()
    for n in range(max(map(len, chats))):
        there = [i for i, chat in enumerate(chats) if n < len(chat)]
        said = [chats[i][n] for i in there]
        stepped = tagger.steps([states[i] for i in there], [(u.speaker, u.text) for u in said])
        for i, (_, state) in zip(there, stepped, strict=True):
            states[i] = state
    return time.perf_counter() - began, time.process_time() - spent


def _in_process(tagger: EmotionTagger, requests: Sequence[list[Conversation]], together: int) -> tuple[float, float]:
    """Seconds and processor seconds for all requests, `together` in a call."""
    began, spent = time.perf_counter(), time.process_time()
    for first in range(0, len(requests), together):
        tagger.tag([c for request in requests[first : first + together] for c in request])
    return time.perf_counter() - began, time.process_time() - spent


def _overload(name: str, service: "_Service", seconds: float) -> dict[str, Any]:
    """One row: ten times the requests it can answer. The ratio is what it still answers to what it can."""
    fresh = map(_body, itertools.chain.from_iterable(_hundreds(9, turn, 1_000) for turn in itertools.count()))

    def some(n: float) -> list[bytes]:
        """Requests that nobody has sent yet: what is encoded already would be answered out of turn."""
        return list(itertools.islice(fresh, math.ceil(n)))

    calm = ask_all(service.port, some(30), 4)
    capacity = calm.statuses[200] / calm.seconds
    rate, free = _OVERLOAD * capacity, 2 * Limits().waiting_requests
    ask_at(service.port, some(rate * seconds / 4), rate, seconds / 4, free)  # what grows once has grown after this
    early = resident_bytes(service.pid)
    load = ask_at(service.port, some(rate * seconds), rate, seconds, free)
    late = resident_bytes(service.pid)
    began = time.perf_counter()
    while ask_all(service.port, some(1), 1).statuses[200] != 1 and time.perf_counter() - began < 60:
        time.sleep(0.1)
    answered = load.statuses[200] / load.seconds
    return {
        "name": name,
        "requests_per_second": answered,
        "peer": "its own capacity, 4 at once",
        "peer_requests_per_second": capacity,
        "ratio": answered / capacity,
        "offered_to_capacity": sum(load.statuses.values()) / load.seconds / capacity,
        "statuses": {str(status): n for status, n in sorted(load.statuses.items())},
        **{f"p{percent}_ms": load.milliseconds(percent) for percent in (50, 95, 99)},
        "p99_ms_of_429": load.milliseconds(99, 429),
        "memory_mb": [round(early / 2**20), round(late / 2**20)],
        "recovered_seconds": time.perf_counter() - began,
        "more_is_better": True,
    }


def _body(conversations: list[Conversation]) -> bytes:
    return orjson.dumps({"conversations": [c.to_dict() for c in conversations]})


@dataclass(frozen=True, slots=True)
class _Service:
    """A service of our own in other processes."""

    pid: int
    port: int


@contextmanager
def _service(model: str, threads: int, device: str) -> Iterator[_Service]:
    """Starts one on a free port, with a data folder of its own, and stops it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as folder:
        settings = {"PORT": port, "DATA_DIR": folder, "MODEL": model, "EMOTION__THREADS": threads}
        settings |= {
            "EMOTION__DEVICE": device,
            "EMOTION__GPUS": 0 if device == "cpu" else min(1, torch.cuda.device_count()),
        }
        environment = {**os.environ, **{f"RAPPORT_{name}": str(value) for name, value in settings.items()}}
        console = Path(folder) / "console.txt"
        with console.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", _MAIN], env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )
        try:
            _wait_until_ready(process, port, console)
            yield _Service(process.pid, port)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, console: Path, seconds: float = 600.0) -> None:
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if client.get("/v1/health/ready", timeout=10.0).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.5)
    raise RuntimeError(f"the service did not start: {console.read_text()[-2000:]}")
