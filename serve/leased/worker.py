"""Threads that do leased work, over and over: the frame that each kind of such work fills in."""

import asyncio
import contextlib
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Table

from serve.database import leases
from serve.database.keeper import Keeper, Lease
from serve.database.patience import PAUSE_SECONDS, Ended, Patient
from serve.edge import logs
from serve.edge.problems import Refusal
from serve.leased.bell import Bell
from serve.storage import Storage

_POLL_SECONDS = 0.3
_OLD_SECONDS = 3600.0
"""Files that belong to nothing are removed at this age, and looked for as often."""


class Numbered(Protocol):
    """A piece of work, as it stands in its table."""

    @property
    def number(self) -> int: ...


W = TypeVar("W", bound=Numbered)


class LeasingWorker:
    """Threads that do work of one kind until `stop`. Any number of workers may share a database and a folder.

    Everything about one piece of work lies in a folder called after its id."""

    strays: tuple[str, ...] = ("?" * 32,)
    """Where in the folder something may lie that belongs to nothing that is known any more."""

    def __init__(self, kind: str, storage: Storage, lease_seconds: float) -> None:
        """`kind` is the name of the folder, and what threads and log lines are called."""
        self._kind = kind
        self._stopping, self._ended = threading.Event(), threading.Event()
        self._storage = Patient(storage, self._stopping)
        self._folder = storage.folder / kind
        self._loop = asyncio.new_event_loop()
        self._bell = Bell()
        self._keeper = Keeper(storage, uuid.uuid4().hex, lease_seconds)
        self._calls = self._thread("calls", self._loop.run_forever)
        self._keeping = self._thread("leases", self._keeper.work, self._ended)
        self._sweeping = self._thread("sweep", self._sweep)
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begins, in the background."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for thread in (self._calls, self._keeping, self._sweeping, *self._threads):
            thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Ends the threads; what is under way is queued again."""
        self._stopping.set()
        self._bell.ring()
        for thread in self._threads:
            thread.join(seconds)
        self._ended.set()
        self._keeping.join(seconds)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._calls.join(seconds)

    @property
    def broken(self) -> bool:
        """Whether a thread has ended by itself."""
        return not self._stopping.is_set() and any(t.ident is not None and not t.is_alive() for t in self._threads)

    def _knows(self, id: str) -> bool:
        """Whether there is work of that id."""
        raise NotImplementedError

    def _take(
        self,
        work: Table,
        claimable: Callable[[Connection, float, int], list[str]],
        claim: Callable[[Connection, str, float, int], W | None],
        do: Callable[[W, Lease], None],
        most: int,
    ) -> bool:
        """Does the piece of work whose turn it is, so that at most `most` are under way. False where there is none."""
        # Looking costs nothing; taking one would write to the disk each time.
        if not self._storage.do_now(lambda db: claimable(db, leases.clock(db), most), writes=False):
            return False
        taken = self._storage.do_now(lambda db: claim(db, self._keeper.holder, self._keeper.seconds, most))
        if taken is None:
            return False
        with self._keeper.hold(work, taken.number) as lease:
            do(taken, lease)
        return True

    def _do_over_and_over(self, name: str, step: Callable[[], bool]) -> None:
        """Has a thread do that; at once again where there was something to do."""
        self._threads.append(self._thread(name, self._over_and_over, step))

    def _over_and_over(self, step: Callable[[], bool]) -> None:
        with contextlib.suppress(Ended):
            while not self._stopping.is_set():
                rung = self._bell.rung
                try:
                    if not step():
                        self._bell.wait(rung, _POLL_SECONDS)
                except Refusal as refusal:  # a full disk: there may be room again
                    logs.get().error(f"{self._kind} wait", kind=refusal.kind)
                    self._stopping.wait(PAUSE_SECONDS)

    def _sweep(self) -> None:
        """Now and then removes what was left behind while nobody was there to do it: uploads that broke off, folders
        of what was deleted."""
        while True:
            for path in (path for stray in self.strays for path in self._folder.glob(stray)):
                with contextlib.suppress(OSError, Ended):
                    if not self._knows(path.name) and time.time() - path.stat().st_mtime > _OLD_SECONDS:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
            if self._stopping.wait(_OLD_SECONDS):
                return

    @staticmethod
    def _thread(name: str, work: Callable[..., None], *given: Any) -> threading.Thread:
        return threading.Thread(target=work, args=given, name=name, daemon=True)
