"""Work beside the requests, which waits for what is away and may be told to end."""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from serve.database.engine import AWAY
from serve.database.keeper import Database, Lease
from serve.edge.problems import Refusal

T = TypeVar("T")

TOLD_SECONDS = 0.5
"""How often it is looked whether work need go on, and the database hears how far it is."""
PAUSE_SECONDS = 1.0
"""Between two tries where the database does not answer."""


class Ended(KeyboardInterrupt):
    """What was worked at is deleted or another worker's, the service stops, or no model answers. `annotate` takes it
    for Ctrl-C: it keeps its journal and returns."""


class Patient:
    """The database, which may be held or away for as long as it likes: nothing that was accepted is lost for it."""

    def __init__(self, storage: Database, stopping: threading.Event) -> None:
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


class Held:
    """Leased work under way: it goes on as long as it is its worker's."""

    def __init__(self, lease: Lease, stopping: threading.Event) -> None:
        self._lease = lease
        self._stopping = stopping

    def check(self) -> None:
        """Raises Ended where the service stops, or the work is another worker's."""
        if self._stopping.is_set() or self._lease.lost.is_set():
            raise Ended

    def pause(self, seconds: float) -> None:
        """Waits, unless the service stops."""
        self._stopping.wait(seconds)
        self.check()


def remove(folder: Path, seconds: float = 2.0) -> None:
    """Removes a folder where whoever works at a part of what lies there may write for a moment yet."""
    end = time.monotonic() + seconds
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists() or time.monotonic() > end:
            return
        time.sleep(0.05)
