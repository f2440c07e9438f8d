"""Several workers of one batch: what each does, and what becomes of it where one is killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from serve.batches import table as batch_table
from serve.batches.sharing import FOLDER
from serve.batches.worker import Worker, folder_of
from serve.config import BatchesConfig
from serve.database.tables import batch_parts, batches
from serve.edge.limits import Limits
from serve.emotion.deployment import Job, JobAnswer, Taggers
from serve.emotion.labeller import LocalLabeller
from serve.storage import Storage
from tests.serve.batches.conftest import ended
from tests.serve.database.conftest import make_database, server  # noqa: F401
from tests.serve.running import ROOT

N = 24


def log_of(n: int, text: str = "great") -> bytes:
    """Conversations of three messages, the last of which is their number."""
    said = [{"speaker": "a", "text": text}, {"speaker": "b", "text": "I hate it"}]
    lines = ({"id": i, "utterances": [*said, {"speaker": "a", "text": str(i)}]} for i in range(n))
    return "\n".join(map(json.dumps, lines)).encode()


class Counting(LocalLabeller):
    """Labels, and remembers which conversations it was asked for; `deaf` it never answers, and with others not before
    they have been asked too."""

    def __init__(self, taggers: Taggers) -> None:
        super().__init__(taggers)
        self.seen: list[str] = []
        self.deaf = False
        self.others: list[Counting] = []
        self.asked = threading.Event()

    async def label_log(self, job: Job) -> JobAnswer:
        self.asked.set()
        while self.deaf or not all(other.asked.is_set() for other in self.others):
            await asyncio.sleep(0.01)
        self.seen += [turns[-1][1] for turns in job.conversations]
        return await super().label_log(job)


@pytest.fixture
def start(storage: Storage, taggers: Taggers) -> Iterator[Callable[..., tuple[Worker, Counting]]]:
    begun: list[tuple[Worker, Counting]] = []

    def start(deaf: bool = False, **further: Any) -> tuple[Worker, Counting]:
        labeller = Counting(taggers)
        labeller.deaf = deaf
        config = BatchesConfig(**{"replicas": 2, "lease_seconds": 1.0, **further})
        begun.append((Worker(storage, labeller, Limits(), config, together=6), labeller))
        begun[-1][0].start()
        return begun[-1]

    yield start
    for worker, labeller in begun:
        labeller.deaf = False
        worker.stop()


async def output(api: httpx.AsyncClient, batch_id: str) -> list[str]:
    lines = (await api.get(f"/batches/{batch_id}/output")).text.splitlines()
    assert all(u["prediction"] for line in lines for u in json.loads(line)["utterances"])
    return [json.loads(line)["utterances"][-1]["text"] for line in lines]


async def test_two_workers_share_one_batch(
    api: httpx.AsyncClient, start: Callable[..., tuple[Worker, Counting]], storage: Storage
) -> None:
    both = [start()[1] for _ in range(2)]
    for labeller in both:
        labeller.others = both
    begun = (await api.post("/batches", content=log_of(N), params={"filename": "a.jsonl"})).json()
    batch = await ended(api, begun["id"])
    assert (batch["state"], batch["conversations"], batch["failed"]) == ("done", N, 0)
    assert await output(api, begun["id"]) == [str(i) for i in range(N)]
    assert sorted(map(int, both[0].seen + both[1].seen)) == list(range(N))  # nothing twice
    assert both[0].seen
    assert both[1].seen
    deadline = time.monotonic() + 120
    while [p.name for p in (folder_of(storage) / begun["id"]).iterdir()] != ["out.jsonl"]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert storage.do_now(lambda db: db.execute(select(batch_parts)).all(), writes=False) == []


def killed(worker: Worker) -> None:
    """As far as others can see: it renews nothing any more, and what it labels is never done."""
    worker._ended.set()
    worker._keeping.join()


@pytest.mark.parametrize("leads", [True, False], ids=["the one that has the batch", "one that helps"])
async def test_what_a_killed_worker_had_is_taken_over(
    api: httpx.AsyncClient, start: Callable[..., tuple[Worker, Counting]], storage: Storage, leads: bool
) -> None:
    if leads:
        dead, labeller = start(deaf=True)
    begun = (await api.post("/batches", content=log_of(N), params={"filename": "a.jsonl"})).json()
    if leads:
        assert await asyncio.to_thread(labeller.asked.wait, 10)
        killed(dead)
        dead._bell.ring = lambda: None  # type: ignore[method-assign]
        # Its file is given free with its process.
        dead._stopping.set()
        await asyncio.to_thread(dead._threads[0].join)
        was = update(batches).values(state="running", holder=dead._keeper.holder, held_until=1.0)
        storage.do_now(lambda db: db.execute(was))
    _, alive = start(deaf=not leads)
    if not leads:
        # It has the batch, and does not end it before somebody else has a part.
        assert await asyncio.to_thread(alive.asked.wait, 10)
        dead, labeller = start(deaf=True)
        assert await asyncio.to_thread(labeller.asked.wait, 10)
        killed(dead)
        alive.deaf = False
    batch = await ended(api, begun["id"])
    assert (batch["state"], batch["conversations"], batch["failed"]) == ("done", N, 0)
    assert await output(api, begun["id"]) == [str(i) for i in range(N)]
    assert sorted(map(int, alive.seen)) == list(range(N))


async def test_what_ends_every_worker_that_labels_it_is_given_up_alone(
    api: httpx.AsyncClient, start: Callable[..., tuple[Worker, Counting]], storage: Storage
) -> None:
    worker, labeller = start(replicas=1)
    labeller.deaf = True
    begun = (await api.post("/batches", content=log_of(2), params={"filename": "a.jsonl"})).json()
    assert await asyncio.to_thread(labeller.asked.wait, 10)
    # Four workers have taken it and were not heard of again.
    dead = update(batch_parts).values(holder="dead", held_until=1.0, lost=4)
    storage.do_now(lambda db: db.execute(dead))
    labeller.deaf = False
    batch = await ended(api, begun["id"])
    assert (batch["state"], batch["conversations"], batch["failed"]) == ("done", 2, 0)
    del worker


async def test_a_batch_that_ends_its_workers_fails(
    api: httpx.AsyncClient, start: Callable[..., tuple[Worker, Counting]], storage: Storage
) -> None:
    begun = (await api.post("/batches", content=log_of(2), params={"filename": "a.jsonl"})).json()
    dead = update(batches).values(state="running", holder="dead", held_until=1.0, lost=3)
    storage.do_now(lambda db: db.execute(dead))
    start()
    batch = await ended(api, begun["id"])
    assert batch["state"] == "failed"
    assert "again and again" in batch["error"]
    assert not (folder_of(storage) / begun["id"]).exists()


async def test_what_was_made_of_a_part_and_is_not_there_is_made_again(
    api: httpx.AsyncClient, start: Callable[..., tuple[Worker, Counting]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that goes down may have told the database of a file that its disk never got."""
    from serve.batches import sharing

    written, broken = sharing._write, list[Path]()

    def write(path: Path, data: bytes) -> None:
        if path.suffix == ".out" and not broken:
            broken.append(path)
            data = data[:-1]
        written(path, data)

    monkeypatch.setattr(sharing, "_write", write)
    _, labeller = start(replicas=1)
    begun = (await api.post("/batches", content=log_of(4), params={"filename": "a.jsonl"})).json()
    assert (await ended(api, begun["id"]))["conversations"] == 4
    assert await output(api, begun["id"]) == list("0123")
    assert broken
    assert len(labeller.seen) > 4


_WORKER = """
import sys, time
from pathlib import Path
from serve.batches.worker import Worker
from serve.config import BatchesConfig
from serve.edge.limits import Limits
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.storage import Storage
storage = Storage(Path(sys.argv[1]), url=sys.argv[2] or None)
config = BatchesConfig(replicas=2, lease_seconds=2.0)
Worker(storage, LocalLabeller(Taggers("tests.serve.fake:FakeTagger")), Limits(), config, together=3).start()
print("begun", flush=True)
time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("leads", [True, False], ids=["the one that has the batch", "one that helps"])
def test_a_worker_that_is_killed_loses_nothing_and_doubles_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, leads: bool
) -> None:
    url = request.getfixturevalue("make_database")() if kind == "postgresql" else ""
    path, n = tmp_path / "test.sqlite", 120
    storage = Storage(path, url=url or None)
    batch = batch_table.new("a.jsonl", "auto", "jsonl", "emotion/ekman", False, 1)
    folder = folder_of(storage) / batch.id
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a.jsonl").write_bytes(log_of(n, "slow"))  # 0.2 s a part
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    workers: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        told = [sys.executable, "-c", _WORKER, str(path), url]
        workers.append(subprocess.Popen(told, env=environment, stdout=subprocess.PIPE))
        out = workers[-1].stdout
        assert out is not None
        assert out.readline() == b"begun\n"

    def look() -> batch_table.StoredBatch:
        found = storage.do_now(lambda db: batch_table.get(db, batch.id), writes=False)
        assert found is not None
        return found

    def wait(until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not until():
            assert time.monotonic() < deadline, look()
            time.sleep(0.05)

    try:
        begin()
        storage.do_now(lambda db: batch_table.add(db, batch, 9))
        wait(lambda: look().state == "running")  # the first has it
        begin()
        wait(lambda: look().done > 20)
        os.kill(workers[0 if leads else 1].pid, signal.SIGKILL)
        wait(lambda: look().state in ("done", "failed"))
        found = look()
        assert (found.state, found.done, found.failed, found.error) == ("done", n, 0, None)
        lines = (folder / "out.jsonl").read_text().splitlines()
        assert [json.loads(line)["id"] for line in lines] == list(range(n))
        assert all(u["prediction"] for line in lines for u in json.loads(line)["utterances"])
        wait(lambda: not (folder / FOLDER).exists())
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        storage.close()
