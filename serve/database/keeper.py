"""What a worker has leased, renewed while he is at it."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Table

from serve.database import leases
from serve.edge import logs

T = TypeVar("T")

_RENEWALS = 3
"""So often within the time of a lease: two may fail."""


class Database(Protocol):
    """Where the leases are."""

    def do_now(self, work: Callable[[Connection], T], *, writes: bool = True) -> T:
        """What `work` gives of it."""


class Lease:
    """A row that is ours, unless `lost` is set."""

    def __init__(self) -> None:
        self.lost = threading.Event()


class Keeper:
    """The leases of one worker: `hold` one in a block, and it is renewed by the thread that is in `work`."""

    def __init__(self, storage: Database, holder: str, seconds: float) -> None:
        self._storage = storage
        self._seconds = seconds
        self._held: dict[tuple[Table, int], Lease] = {}
        self._lock = threading.Lock()
        self.holder = holder

    @property
    def seconds(self) -> float:
        """How long a lease lasts that is not renewed."""
        return self._seconds

    @contextlib.contextmanager
    def hold(self, table: Table, number: int) -> Iterator[Lease]:
        """Whoever has taken that row keeps it in this block."""
        lease = Lease()
        with self._lock:
            self._held[table, number] = lease
        try:
            yield lease
        finally:
            with self._lock:
                del self._held[table, number]

    def renew(self) -> None:
        """All of them, for the whole of their time again. Those that somebody else has taken are lost."""
        with self._lock:
            held = dict(self._held)
        if not held:
            return

        def work(db: Connection) -> set[tuple[Table, int]]:
            moment = leases.clock(db)
            kept: set[tuple[Table, int]] = set()
            for table in {table for table, _ in held}:
                numbers = [number for of, number in held if of is table]
                renewed = leases.renew(db, table, numbers, self.holder, moment, self._seconds)
                kept |= {(table, number) for number in renewed}
            return kept

        kept = self._storage.do_now(work)
        for row, lease in held.items():
            if row not in kept:
                lease.lost.set()

    def work(self, ended: threading.Event) -> None:
        """Renews them until it is told that all of them have ended."""
        while not ended.wait(self._seconds / _RENEWALS):
            try:
                self.renew()
            except Exception as error:  # a held database or a full disk: at the next turn
                logs.get().error("leases not renewed", **logs.about(error))
