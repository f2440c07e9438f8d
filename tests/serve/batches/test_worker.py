"""What a worker does of a batch, and what stops it: in this process, with the tagger that needs no weights."""

import asyncio
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from dialog.conversation import Conversation
from serve.batches import table as batch_table
from serve.batches.worker import Worker, folder_of
from serve.database.schema import NEWEST
from serve.edge.problems import Refusal
from serve.emotion.deployment import Taggers
from serve.emotion.long import LongJob, Stopped, take_turn
from serve.storage import Storage
from tests.serve.batches.conftest import LOG, Gate, ended, short_nap
from tests.serve.database import released
from tests.serve.fake import FakeTagger


async def test_a_disk_that_fills_up_on_the_way_fails_the_batch_and_frees_its_room(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    begun = await api.post("/batches", content=LOG)
    with monkeypatch.context() as patch:
        patch.setattr("dialog.annotation.journal.os.fsync", full)
        make_worker()
        batch = await ended(api, begun.json()["id"])
    assert (batch["state"], batch["error"]) == ("failed", "the disk of the service is full")
    assert not (folder_of(storage) / batch["id"]).exists()
    after = await api.post("/batches", content=LOG)
    assert (await ended(api, after.json()["id"]))["state"] == "done"


async def test_only_so_many_wait_and_they_are_begun_in_order(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], gate: Gate
) -> None:
    gate.open.clear()
    make_worker()
    first, *others = [(await api.post("/batches", content=LOG)).json() for _ in range(3)]
    refused = await api.post("/batches", content=LOG)
    assert (refused.status_code, refused.json()["limit"]) == (429, "batches_waiting")
    assert gate.asked.wait(60)
    listed = (await api.get("/batches")).json()["batches"]
    assert [b["id"] for b in listed] == [b["id"] for b in (*others[::-1], first)]
    assert [(b["state"], b["ahead"]) for b in listed] == [("queued", 1), ("queued", 0), ("running", 0)]
    gate.open.set()
    finished = [await ended(api, b["id"]) for b in (first, *others)]
    assert {b["state"] for b in finished} == {"done"}


async def test_a_batch_that_runs_can_be_cancelled(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], gate: Gate, storage: Storage
) -> None:
    gate.open.clear()
    make_worker()
    begun = (await api.post("/batches", content=LOG)).json()
    assert gate.asked.wait(60)
    assert (await api.delete(f"/batches/{begun['id']}")).status_code == 204
    deadline = time.monotonic() + 120
    while (folder_of(storage) / begun["id"]).exists():
        assert time.monotonic() < deadline
        await short_nap()
    gate.open.set()
    after = await api.post("/batches", content=LOG)
    assert (await ended(api, after.json()["id"]))["state"] == "done"


async def test_busy_models_are_waited_for(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], gate: Gate
) -> None:
    gate.refusals = 1
    make_worker()
    begun = await api.post("/batches", content=LOG)
    assert (await ended(api, begun.json()["id"]))["failed"] == 0
    assert gate.calls == 2


async def test_a_model_that_cannot_be_loaded_fails_the_batch_and_no_conversation(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker]
) -> None:
    make_worker()
    begun = await api.post("/batches", content=LOG, params={"model": "emotion/missing"})
    batch = await ended(api, begun.json()["id"])
    assert (batch["state"], batch["error"]) == ("failed", "the model emotion/missing cannot be loaded")


async def test_a_worker_that_stops_in_the_middle_goes_on_where_it_was(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], gate: Gate, storage: Storage
) -> None:
    lines = [json.dumps({"id": i, "utterances": [{"speaker": "a", "text": f"great {i}"}]}) for i in range(10)]
    gate.open.clear()
    gate.free = 2
    first = make_worker(together=2)
    begun = (await api.post("/batches", content="\n".join(lines).encode())).json()
    while gate.calls < 3:
        await short_nap()
    first.stop()
    assert (await api.get(f"/batches/{begun['id']}")).json()["state"] == "queued"
    # As if it had been killed: nobody put it back into the queue.
    storage.do_now(lambda db: db.exec_driver_sql("UPDATE batches SET state = 'running', holder = 'x', held_until = 1"))
    gate.open.set()
    gate.calls = 0
    make_worker(together=2)
    batch = await ended(api, begun["id"])
    assert (batch["state"], batch["conversations"]) == ("done", 10)
    assert gate.calls == 3  # the four it had done it did not do again
    output = await api.get(f"/batches/{begun['id']}/output")
    assert [json.loads(line)["id"] for line in output.text.splitlines()] == list(range(10))


async def test_a_database_that_is_away_for_a_while_loses_no_log(
    api: httpx.AsyncClient,
    make_worker: Callable[..., Worker],
    gate: Gate,
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = threading.Event()

    def away(*_: Any, **__: Any) -> None:
        asked.set()
        raise Refusal(503, "database-unusable", "it has gone")

    monkeypatch.setattr("serve.database.patience.PAUSE_SECONDS", 0.05)
    gate.open.clear()
    make_worker(together=2)
    begun = (await api.post("/batches", content=LOG)).json()
    assert gate.asked.wait(60)
    with monkeypatch.context() as gone:
        gone.setattr(storage, "do_now", away)
        gate.open.set()
        assert asked.wait(60)
        time.sleep(0.3)
    batch = await ended(api, begun["id"])
    assert (batch["state"], batch["failed"], batch["error"]) == ("done", 0, None)
    later = (await api.post("/batches", content=LOG)).json()
    assert (await ended(api, later["id"]))["state"] == "done"


async def test_a_database_of_the_release_before_gets_the_new_table(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    released.write(path, 1)
    again = Storage(path)
    assert again.do_now(batch_table.by_state, writes=False)["done"] == 0
    again.close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (NEWEST,)


def test_what_a_killed_service_left_behind_is_swept(make_worker: Callable[..., Worker], storage: Storage) -> None:
    folder = folder_of(storage)
    old, new = folder / "uploads" / ("a" * 32), folder / "uploads" / ("b" * 32)
    deleted = folder / ("c" * 32)
    old.parent.mkdir(parents=True)
    (deleted / "in").mkdir(parents=True)
    for path in (old, new):
        path.write_bytes(b"x")
    for path in (old, deleted):
        os.utime(path, (0, 0))
    make_worker()
    deadline = time.monotonic() + 120
    while old.exists() or deleted.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert new.exists()


def long_log(n: int) -> bytes:
    words = ("great", "sad", "hm")
    said = [{"speaker": f"p{i % 3}", "text": words[i % 3] if i else "slow"} for i in range(n)]
    return json.dumps({"id": "long", "utterances": said}).encode()


async def inside(api: httpx.AsyncClient, batch_id: str, beyond: int, n: int) -> dict[str, Any]:
    """The batch once more than `beyond` of its n messages are read, but not all."""
    deadline = time.monotonic() + 120
    while True:
        batch: dict[str, Any] = (await api.get(f"/batches/{batch_id}")).json()
        if beyond < batch["utterances"] < n:
            return batch
        assert batch["state"] in ("queued", "running"), batch
        assert time.monotonic() < deadline, batch
        await asyncio.sleep(0.05)


async def test_one_long_conversation_is_watched_stopped_and_gone_on_with_inside(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeTagger, "read", read := list[int]())
    n = 5_000
    first = make_worker()
    begun = (await api.post("/batches", content=long_log(n), params={"filename": "a.jsonl"})).json()
    one = await inside(api, begun["id"], 0, n)
    two = await inside(api, begun["id"], one["utterances"], n)
    assert 0 < one["fraction"] < two["fraction"] < 1
    await asyncio.to_thread(first.stop)
    stopped = -1
    while sum(read) != stopped:  # the thread it has left behind may do one more piece, and must then have stopped
        stopped = sum(read)
        await asyncio.sleep(1)
    assert stopped < n
    # As if the service had been killed: nobody put the batch back into the queue.
    storage.do_now(lambda db: db.exec_driver_sql("UPDATE batches SET state = 'running', holder = 'x', held_until = 1"))
    make_worker()
    batch = await ended(api, begun["id"])
    assert (batch["state"], batch["conversations"], batch["utterances"]) == ("done", 1, n)
    assert sum(read) == n  # what it had read it did not read again
    output = (await api.get(f"/batches/{begun['id']}/output")).json()
    (whole,) = FakeTagger("emotion/ekman").tag([Conversation.from_dict(json.loads(long_log(n)))])
    assert [u["prediction"] for u in output["utterances"]] == [
        u.prediction.to_dict() for u in whole.utterances if u.prediction
    ]
    assert [p.name for p in (folder_of(storage) / batch["id"]).iterdir()] == ["out.jsonl"]


async def test_a_batch_can_be_cancelled_inside_a_long_conversation(
    api: httpx.AsyncClient, make_worker: Callable[..., Worker], storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeTagger, "read", read := list[int]())
    make_worker()
    begun = (await api.post("/batches", content=long_log(5_000), params={"filename": "a.jsonl"})).json()
    await inside(api, begun["id"], 0, 5_000)
    assert (await api.delete(f"/batches/{begun['id']}")).status_code == 204
    deadline = time.monotonic() + 120
    while (folder_of(storage) / begun["id"]).exists():
        assert time.monotonic() < deadline
        await short_nap()
    assert sum(read) < 5_000
    after = await api.post("/batches", content=LOG)
    assert (await ended(api, after.json()["id"]))["state"] == "done"


def test_a_reading_that_nobody_waits_for_ends_when_another_takes_its_turn(taggers: Taggers, tmp_path: Path) -> None:
    keep = tmp_path / "reading"
    turns = tuple(("Ann", "great") for _ in range(1_000))
    job = LongJob(turns=turns, model="emotion/ekman", mode="offline", causes=True, keep=keep, turn=take_turn(keep))
    orphan: list[int] = []

    def overtaken(n: int) -> None:
        orphan.append(n)
        if n == 500:  # here its caller is killed, and a new one comes
            job_again.append(replace(job, turn=take_turn(keep)))

    job_again: list[LongJob] = []
    with pytest.raises(Stopped):
        taggers.label_long(job, overtaken)
    assert orphan[-1] == 500
    told: list[int] = []
    answer = taggers.label_long(job_again[0], told.append)
    assert told == [0, 1000]
    assert len(answer.conversations[0].predictions) == 1_000
