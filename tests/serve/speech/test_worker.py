"""The worker of recordings: what is under way when it stops, is deleted, or dies; and whose turn it is."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import update

from serve.config import RecordingsConfig
from serve.database import leases
from serve.database.patience import Ended
from serve.database.tables import recordings
from serve.speech import table
from serve.speech.listening import Asked, Found, read, written
from serve.speech.process import Broken, Refused, in_a_process
from serve.speech.worker import folder_of
from serve.storage import Storage
from tests.serve.speech.conftest import ended
from tests.serve.speech.heard import OPENER, Counting, call

Make = Callable[..., Any]


async def begun(api: httpx.AsyncClient, wav: bytes) -> str:
    return str((await api.post("/recordings", content=wav, params={"speakers": 2})).json()["id"])


def killed_with_everything(storage: Storage) -> None:
    """As if the service had been killed a while ago: nobody put the recording back into the queue."""
    dead = {"state": "running", "holder": "dead", "held_until": time.time() - 1, "lost": 0}
    storage.do_now(lambda db: db.execute(update(recordings).values(dead)))


async def test_a_worker_that_stops_in_the_middle_goes_on_with_the_next_word(
    api: httpx.AsyncClient, make_worker: Make, wav: bytes, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping = threading.Event()

    def stop(n: int) -> None:
        if n == 3:
            stopping.set()
            assert worker._stopping.wait(30)
            raise Ended

    monkeypatch.setattr(Counting, "before", staticmethod(stop))
    worker = make_worker()
    recording = await begun(api, wav)
    assert await asyncio.to_thread(stopping.wait, 30)
    await asyncio.to_thread(worker.stop)
    assert (await api.get(f"/recordings/{recording}")).json()["state"] == "queued"
    killed_with_everything(storage)
    journal = next(folder_of(storage).glob("*/heard.jsonl"))
    journal.write_bytes(journal.read_bytes() + b"[12, ")  # torn in the middle of a line
    monkeypatch.setattr(Counting, "before", staticmethod(lambda n: None))
    make_worker()
    found = await ended(api, recording)
    assert (found["state"], found["total"]) == ("done", 4)
    assert Counting.calls == 5  # three, of which one was not done, and then two: none is heard twice


async def test_a_recording_that_was_heard_is_only_labelled_after_a_kill(
    api: httpx.AsyncClient, make_worker: Make, wav: bytes, storage: Storage
) -> None:
    first = make_worker()
    recording = await begun(api, wav)
    await ended(api, recording)
    await asyncio.to_thread(first.stop)
    killed_with_everything(storage)
    make_worker()
    found = await ended(api, recording)
    assert (found["state"], Counting.calls) == ("done", 4)


async def test_what_is_deleted_while_it_is_heard_is_dropped_at_the_next_step(
    api: httpx.AsyncClient, make_worker: Make, wav: bytes, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, deleted = threading.Event(), threading.Event()

    def wait(n: int) -> None:
        heard.set()
        assert deleted.wait(120)
        time.sleep(0.6)  # more than it is looked after, so that the next step is the last

    monkeypatch.setattr(Counting, "before", staticmethod(wait))
    make_worker()
    recording = await begun(api, wav)
    assert await asyncio.to_thread(heard.wait, 30)
    assert (await api.delete(f"/recordings/{recording}")).status_code == 204
    deleted.set()
    deadline = time.monotonic() + 120
    while (folder_of(storage) / recording).exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert Counting.calls == 1


async def test_two_workers_of_one_folder_do_not_do_the_same(
    api: httpx.AsyncClient, make_worker: Make, wav: bytes
) -> None:
    make_worker()
    make_worker()
    several = [await begun(api, wav) for _ in range(3)]
    assert [(await ended(api, one))["state"] for one in several] == ["done"] * 3
    assert Counting.calls == 12


def claims(storage: Storage, *holders: str, most: int = 9) -> list[str | None]:
    """What each of these workers gets."""
    found = [storage.do_now(lambda db, h=holder: table.claim(db, h, 60.0, most)) for holder in holders]
    return [None if one is None else one.id for one in found]


def test_a_worker_that_is_not_heard_of_loses_what_it_had_and_may_write_nothing_more(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(leases, "clock", lambda _: now)
    one, two = (table.new(name, 1, model="m", recogniser="r") for name in ("one", "two"))
    for recording in (one, two):
        storage.do_now(lambda db, r=recording: table.add(db, r, 9))
    assert claims(storage, "a", "b", most=1) == [one.id, None]  # so many run at once, of all workers together
    assert claims(storage, "b", "c") == [two.id, None]
    old = storage.do_now(lambda db: table.get(db, one.id))
    assert old is not None
    assert storage.do_now(lambda db: table.advance(db, old, 0.3))
    now += 61
    assert claims(storage, "c") == [one.id]  # what has been begun goes before what waits
    for write in (
        lambda db: table.advance(db, old, 0.9),
        lambda db: table.heard(db, old, [], seconds=1.0, envelope=b"", names=[], warnings=[]),
        lambda db: table.labelled(db, old, {}, (), None),
        lambda db: table.failed(db, old, "no"),
        lambda db: table.queue_again(db, old),
    ):
        assert not storage.do_now(write)
    new = storage.do_now(lambda db: table.get(db, one.id))
    assert new is not None
    assert (new.state, new.holder, new.fraction, new.lost) == ("running", "c", 0.3, 1)
    assert storage.do_now(lambda db: table.advance(db, new, 0.4))
    assert storage.do_now(lambda db: table.labelled(db, new, {}, (), None))
    done = storage.do_now(lambda db: table.get(db, one.id))
    assert done is not None
    assert (done.state, done.holder, done.lost) == ("done", None, 0)


async def test_what_ends_its_worker_again_and_again_is_given_up(
    api: httpx.AsyncClient, make_worker: Make, wav: bytes, storage: Storage
) -> None:
    recording = await begun(api, wav)
    killed_with_everything(storage)
    storage.do_now(lambda db: db.execute(update(recordings).values(lost=leases.MOST_LOST)))
    make_worker()
    found = await ended(api, recording)
    assert (found["state"], Counting.calls) == ("failed", 0)
    assert "again and again" in found["error"]
    assert not (folder_of(storage) / recording).exists()


def test_owners_have_their_turns_and_each_ones_own_come_in_order(storage: Storage) -> None:
    def add(owner: str, name: str) -> str:
        one = table.new(name, 1, model="m", recogniser="r", owner=owner)
        storage.do_now(lambda db: table.add(db, one, 20))
        return one.id

    a1, a2, a3 = (add("a", f"a{n}") for n in range(3))
    b1 = add("b", "b1")
    assert storage.do_now(table.queued) == [a1, b1, a2, a3]
    claimed = storage.do_now(lambda db: table.claim(db, "x", 60, 1))
    assert claimed is not None
    assert claimed.id == a1
    assert storage.do_now(table.queued) == [b1, a2, a3]
    c1 = add("c", "c1")
    assert storage.do_now(table.queued) == [b1, c1, a2, a3]


def test_what_was_left_behind_is_swept(make_worker: Make, storage: Storage) -> None:
    old, new = (folder_of(storage) / (letter * 32) for letter in "ab")
    for folder in (old, new):
        (folder / "in").mkdir(parents=True)
    os.utime(old, (0, 0))
    make_worker()
    deadline = time.monotonic() + 120
    while old.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert new.exists()


ASKED = Asked(filename="call.wav", opener=OPENER, recogniser="counting", called="counting", n_speakers=2)


def test_a_process_of_its_own_hears_the_same_and_dies_with_whoever_asked(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    call(tmp_path / "in" / "call.wav")
    told: list[float] = []
    found = in_a_process(tmp_path, ASKED, told.append)
    assert [part.speaker for part in found.parts] == [0, 1, 0, 1]
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert read(written(found)) == found

    def enough(share: float) -> None:
        raise Ended

    with pytest.raises(Ended):
        in_a_process(tmp_path, ASKED, enough)
    assert [p for p in psutil.Process().children() if "serve.speech.listening" in p.cmdline()] == []
    (tmp_path / "in" / "call.wav").write_bytes(b"RIFF and no sound")
    with pytest.raises(Refused, match=r"^no sound in it that can be read"):
        in_a_process(tmp_path, ASKED, lambda share: None)


def test_a_process_that_is_killed_is_told_from_a_recording_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.speech.process.sys.executable", "/bin/false")
    with pytest.raises(Broken):
        in_a_process(tmp_path, ASKED, lambda share: None)


async def test_a_fault_of_ours_is_told_as_one_and_leaves_nothing(
    api: httpx.AsyncClient, make_worker: Make, wav: bytes, storage: Storage
) -> None:
    def broken(folder: Path, asked: Asked, told: Any) -> Found:
        raise Broken("secret words of a user")

    make_worker(listen=broken)
    found = await ended(api, await begun(api, wav))
    assert (found["state"], found["error"]) == ("failed", "a fault of the service; its log says more")
    assert not (folder_of(storage) / found["id"]).exists()


def test_a_service_needs_a_recogniser_to_choose_from() -> None:
    with pytest.raises(ValueError, match="at least one recogniser"):
        RecordingsConfig(recognisers={})


def test_processes_that_hear_and_label_nothing_yet_hold_no_networks() -> None:
    check = "import sys, serve.batches.deployment, serve.speech.deployment; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
