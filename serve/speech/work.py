"""Work beside the requests: one process at a time does it, waits for what is away, and may be told to end."""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from serve.database.engine import AWAY
from serve.edge.problems import Refusal
from serve.storage import Storage

T = TypeVar("T")

TOLD_SECONDS = 0.5
"""How often it is looked whether work need go on, and the database hears how far it is."""
PAUSE_SECONDS = 1.0
"""Between two tries where the database does not answer, or another process has the folder."""


class Ended(Exception):
    """What was worked at is deleted, or the service stops."""


class Patient:
    """The database, which may be held or away for as long as it likes: nothing that was accepted is lost for it."""

    def __init__(self, storage: Storage, stopping: threading.Event) -> None:
        self._storage = storage
        self._stopping = stopping

    def do_now(self, work: Callable[[Connection], T], *, writes: bool = True) -> T:
        """What `work` gives of the database, once it answers. Raises Ended where the service stops before."""
        while True:
            try:
                return self._storage.do_now(work, writes=writes)
            except Refusal as refusal:
                if refusal.kind not in AWAY:
                    raise
                if self._stopping.wait(PAUSE_SECONDS):
                    raise Ended from None


class Run:
    """Something under way: raises Ended once it need not go on."""

    def __init__(self, storage: Patient, stopping: threading.Event, exists: Callable[[Connection], bool]) -> None:
        self._storage = storage
        self._stopping = stopping
        self._exists = exists

    def check(self) -> None:
        """Raises Ended where the service stops or what was worked at is deleted."""
        if self._stopping.is_set() or not self._storage.do_now(self._exists, writes=False):
            raise Ended

    def pause(self, seconds: float) -> None:
        """Waits, unless the service stops."""
        self._stopping.wait(seconds)
        self.check()


@contextlib.contextmanager
def alone_in(folder: Path, stopping: threading.Event) -> Iterator[bool]:
    """A block in which no other process works in this folder; False where the service stops before it is our turn."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / ".lock").open("a") as lock:
        while not _have(lock):
            if stopping.wait(PAUSE_SECONDS):
                yield False
                return
        yield True


def _have(lock: Any) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows, where the service does not run anyway
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove(folder: Path, seconds: float = 2.0) -> None:
    """Whoever works at a part of what lies there may write for a moment yet."""
    end = time.monotonic() + seconds
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists() or time.monotonic() > end:
            return
        time.sleep(0.05)
