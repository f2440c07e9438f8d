"""The service watches itself by what its processes wrote; whatever becomes of the watch, the service answers."""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from serve.config import AppConfig, WatchConfig
from serve.edge import logs
from serve.ray.app import _watching
from serve.watch import told
from serve.watch.figures import Counted, Sample, Sampler, counted, disk_share, memory_share
from serve.watch.watching import SAMPLES, Watching
from tests.serve.conftest import client_of


def written(folder: Path, name: str, route: str, n: int, seconds: float, failed: int = 0) -> None:
    """The figures of one process."""
    folder.mkdir(exist_ok=True)
    labels = {"method": "POST", "route": route}
    rows = [
        ("rapport_requests", "counter", "", [
            ("rapport_requests_total", {**labels, "status": "200"}, n - failed),
            ("rapport_requests_total", {**labels, "status": "503"}, failed),
        ]),
        ("rapport_request_seconds", "histogram", "", [
            ("rapport_request_seconds_sum", {"route": route}, seconds),
            ("rapport_request_seconds_count", {"route": route}, n),
            ("rapport_request_seconds_bucket", {"route": route, "le": "1.0"}, n),
        ]),
        ("rapport_queue_seconds", "histogram", "", [
            ("rapport_queue_seconds_sum", {}, 0.5 * seconds), ("rapport_queue_seconds_count", {}, n),
        ]),
        ("rapport_messages", "counter", "", [("rapport_messages_total", {"model": "m", "through": "once"}, 3 * n)]),
    ]  # fmt: skip
    (folder / name).write_bytes(orjson.dumps(rows))


def test_the_figures_of_all_processes_are_added_but_not_those_of_operators(tmp_path: Path) -> None:
    written(tmp_path, "1.json", "/emotions", 10, 2.0, failed=1)
    written(tmp_path, "2.json", "/chats/{chat_id}/messages", 5, 1.0)
    written(tmp_path, "3.json", "/health/ready", 100, 0.1)
    (tmp_path / "4.json").write_text("{ half")
    found = counted(tmp_path)
    assert found[:4] == (15, 3.0, 1, 115)
    assert found.waited == pytest.approx(1.55)
    assert found.messages == 345
    assert found.since(Counted(answers=20, seconds=1.0)).answers == 0
    assert counted(tmp_path / "nowhere") == Counted()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of processes is read on Linux")
def test_memory_and_disk_are_shares_of_what_there_is(tmp_path: Path) -> None:
    share = memory_share([os.getpid(), 2**22 + 1])
    assert share is not None
    assert 0 < share < 1
    limited = memory_share([os.getpid()], 100 * 1024**3)
    assert limited is not None
    assert 0 < limited < 1
    assert memory_share([]) is None
    disk = disk_share(tmp_path)
    assert disk is not None
    assert 0 < disk <= 1
    assert disk_share(tmp_path / "nowhere") is None


class Leaking:
    """Samples of a service whose memory runs full, ten seconds apart."""

    def __init__(self, pace: float = 0.02) -> None:
        self.n, self._pace = 0, pace

    def __call__(self) -> Sample:
        self.n += 1
        done = Counted(answers=20.0 * self.n, seconds=2.0 * self.n, calls=20.0 * self.n, messages=40.0 * self.n)
        return Sample(done, min(1.0, 0.3 + self._pace * self.n / SAMPLES), None)

    def clock(self) -> float:
        return 10.0 * self.n


def test_a_leak_is_told_in_the_log_in_health_and_in_the_figures(tmp_path: Path) -> None:
    logs.configure("watch", tmp_path / "logs")
    try:
        leak = Leaking()
        watching = Watching(leak, tmp_path, clock=leak.clock)
        for _ in range(SAMPLES):
            watching.step()
        assert told.read(tmp_path) is None  # the first point is not whole
        for _ in range(20 * SAMPLES):
            watching.step()
    finally:
        logs.configure("test", None, "error")
    said = told.read(tmp_path)
    assert said is not None
    (advice,) = said["advice"]
    assert (advice["what"], advice["why"], said["state"]) == ("memory", "limit", "learning")
    assert advice["earliest_minutes"] <= advice["left_minutes"] <= advice["latest_minutes"]
    assert advice["left_minutes"] == pytest.approx((1.0 - said["shares"]["memory"]) / 0.02, abs=2.0)
    assert "memory" in advice["text"]
    lines = [json.loads(line) for line in (tmp_path / "logs" / "watch.jsonl").read_text().splitlines()]
    (line,) = [line for line in lines if line["event"] == "watch"]
    assert (line["watched"], line["reason"], line["level"]) == ("memory", "limit", "warning")
    assert "dropped" not in line
    figures = told.gauges(tmp_path)
    assert figures["rapport_watch_alarm"][2]["memory"] == 1.0
    assert figures["rapport_watch_alarm"][2]["latency"] == 0.0
    assert "disk" not in figures["rapport_watch_share"][2]  # nobody could say


async def test_health_says_what_is_advised_and_that_nobody_watches(
    make_api: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    async with client_of(make_api(metrics_folder=folder)) as client:
        before = (await client.get("/health")).json()
        assert before["watch"] is None
        assert "rapport_watch" not in (await client.get("/metrics")).text
        leak = Leaking()
        watching = Watching(leak, folder, clock=leak.clock)
        for _ in range(20 * SAMPLES):
            watching.step()
        answer = await client.get("/health")
        assert answer.status_code == 200
        assert answer.json()["watch"]["advice"][0]["what"] == "memory"
        page = (await client.get("/metrics")).text
        assert 'rapport_watch_alarm{what="memory"} 1.0' in page
        assert "rapport_watch_age_seconds 0." in page
        said = orjson.loads((folder / told.STATE).read_bytes())
        told.write(folder, said | {"at": time.time() - 3600})
        old = (await client.get("/health")).json()["watch"]
        assert (old["state"], old["advice"]) == ("silent", [])
        (folder / told.STATE).write_text("[broken")
        assert (await client.get("/health")).json()["watch"] is None


async def still_answers(make_api: Callable[..., Any], folder: Path) -> httpx.Response:
    async with client_of(make_api(metrics_folder=folder)) as client:
        said = {"conversations": [{"utterances": [{"speaker": "Ann", "text": "great"}]}]}
        answer = await client.post("/emotions", json=said)
        assert answer.status_code == 200
        return await client.get("/health")


async def test_a_watch_that_fails_begins_anew_and_disturbs_nobody(make_api: Callable[..., Any], tmp_path: Path) -> None:
    failed, recovered, leak = threading.Event(), threading.Event(), Leaking()

    def sample() -> Sample:
        if leak.n == 2 and not failed.is_set():
            failed.set()
            raise RuntimeError("the disk is gone")
        if failed.is_set() and leak.n > 4 * SAMPLES:
            recovered.set()
        return leak()

    stop = threading.Event()
    Watching(sample, tmp_path, WatchConfig(seconds=0.1), clock=leak.clock).start(stop)
    try:
        assert failed.wait(120)
        assert (await still_answers(make_api, tmp_path)).status_code == 200
        assert recovered.wait(60)
    finally:
        stop.set()


async def test_a_watch_that_hangs_disturbs_nobody_and_its_word_is_believed_no_more(
    make_api: Callable[..., Any], tmp_path: Path
) -> None:
    hung, release, stop = threading.Event(), threading.Event(), threading.Event()

    def sample() -> Sample:
        hung.set()
        release.wait(60)
        raise OSError("at last")

    told.write(tmp_path, {"at": time.time() - 60, "seconds": 0.1, "moment": "", "state": "watching", "shares": {},
                          "busy_share": 0.0, "advice": []})  # fmt: skip
    Watching(sample, tmp_path, WatchConfig(seconds=0.1)).start(stop)
    try:
        assert hung.wait(120)
        health = (await still_answers(make_api, tmp_path)).json()
        assert health["watch"]["state"] == "silent"
    finally:
        stop.set()
        release.set()


def test_processes_are_looked_for_once_a_minute(tmp_path: Path) -> None:
    asked: list[int] = []
    sampler = Sampler(tmp_path, lambda: asked.append(1) or [os.getpid()])  # type: ignore[func-returns-value]
    for _ in range(2 * SAMPLES + 1):
        sampler()
    assert len(asked) == 3


def test_the_service_is_watched_with_its_own_files_and_processes(tmp_path: Path) -> None:
    config = AppConfig(data_dir=tmp_path, watch=WatchConfig(on=True))
    written(tmp_path / "metrics", "1.json", "/emotions", 10, 2.0)
    try:
        watching = _watching(config)
        for _ in range(2 * SAMPLES):
            watching.step()
    finally:
        logs.configure("test", None, "error")
    said = told.read(tmp_path / "metrics")
    assert said is not None
    assert said["shares"]["disk"] > 0
    assert (tmp_path / "logs").is_dir()


def test_it_is_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert not AppConfig(data_dir=tmp_path).watch.on
    file = tmp_path / "own.yaml"
    file.write_text("watch:\n  latency_seconds: 1.5\n")
    both = AppConfig.load(file, watch={"on": True})
    assert (both.watch.on, both.watch.latency_seconds) == (True, 1.5)
