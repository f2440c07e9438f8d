"""The frame around leased work: it goes on after a full disk, says when a thread has died, and leaves no strays."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serve.edge.problems import Refusal
from serve.leased.worker import LeasingWorker
from serve.storage import Storage

KNOWN, STRAY, YOUNG = "a" * 32, "b" * 32, "c" * 32


class Doing(LeasingWorker):
    def __init__(self, storage: Storage, step: Callable[[], bool]) -> None:
        super().__init__("doings", storage, lease_seconds=60.0)
        self._do_over_and_over("doing", step)

    def _knows(self, id: str) -> bool:
        return id == KNOWN


@pytest.fixture
def working(storage: Storage) -> Iterator[Callable[[Callable[[], bool]], Doing]]:
    begun: list[Doing] = []

    def work(step: Callable[[], bool]) -> Doing:
        begun.append(Doing(storage, step))
        begun[-1].start()
        return begun[-1]

    yield work
    for worker in begun:
        worker.stop()


def until(what: Callable[[], bool], seconds: float = 120.0) -> bool:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.01)
    return what()


def test_it_goes_on_where_there_was_no_room(working: Callable[[Callable[[], bool]], Doing]) -> None:
    again = threading.Event()
    faults = iter([Refusal(507, "storage-full", "the disk of the service is full")])

    def step() -> bool:
        for fault in faults:
            raise fault
        again.set()
        return False

    worker = working(step)
    assert again.wait(120)
    assert not worker.broken


def test_a_thread_that_died_is_seen(working: Callable[[Callable[[], bool]], Doing]) -> None:
    def step() -> bool:
        raise SystemExit  # ends a thread without a word

    worker = working(step)
    assert until(lambda: worker.broken)


def test_what_belongs_to_nothing_is_removed_once_it_is_old(
    storage: Storage, working: Callable[[Callable[[], bool]], Doing]
) -> None:
    folder: Path = storage.folder / "doings"
    for name in (KNOWN, STRAY, YOUNG):
        (folder / name / "in").mkdir(parents=True)
    long_ago = time.time() - 2 * 3600
    for name in (KNOWN, STRAY):
        os.utime(folder / name, (long_ago, long_ago))
    working(lambda: False)
    assert until(lambda: not (folder / STRAY).exists())
    assert {path.name for path in folder.iterdir()} == {KNOWN, YOUNG}
