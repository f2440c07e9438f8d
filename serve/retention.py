"""What is kept no longer than wanted: chats, pictures, logs, recordings and units end so many days after their last
use."""

import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

from sqlalchemy import Connection, Table, delete

from serve.batches import table as batch_table
from serve.batches.worker import folder_of as folder_of_batches
from serve.config import KeepConfig
from serve.database.tables import chats, telemetry_units, visual_dialogs
from serve.edge import logs
from serve.speech import table as recordings_table
from serve.speech.worker import folder_of as folder_of_recordings
from serve.storage import STAMP, Storage

_EVERY_SECONDS = 600.0
_FIRST_SECONDS = 30.0


class Retention:
    """Deletes what is older than the settings say, now and then. Several processes may do it on one database."""

    def __init__(
        self, storage: Storage, keep: KeepConfig, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._storage = storage
        self._keep = keep
        self._clock = clock

    def start(self) -> None:
        """Begins, in the background, where anything is to end at all."""
        if any(days is not None for _, days in self._keep):
            threading.Thread(target=self._go_on, name="retention", daemon=True).start()

    def sweep(self) -> dict[str, int]:
        """How much was deleted of each, for good: overwritten on disk."""
        gone = {
            "chats": self._delete(chats, self._keep.chat_days),
            "visual_dialogs": self._delete(visual_dialogs, self._keep.picture_days),
            "batches": self._delete_files(batch_table, folder_of_batches(self._storage), self._keep.batch_days),
            "recordings": self._delete_files(
                recordings_table, folder_of_recordings(self._storage), self._keep.recording_days
            ),
            "units": self._delete(telemetry_units, self._keep.unit_days),
        }
        if any(gone.values()):
            self._storage.erase()
            logs.get().info("expired", **{f"n_{name}": n for name, n in gone.items()})
        return gone

    def _go_on(self) -> None:
        pause = threading.Event()
        pause.wait(_FIRST_SECONDS)
        while True:
            try:
                self.sweep()
            except Exception as error:  # a held database or a full disk: at the next turn
                logs.get().error("nothing expired", **logs.about(error))
            pause.wait(_EVERY_SECONDS)

    def _delete(self, table: Table, days: float | None) -> int:
        if days is None:
            return 0
        moment = self._before(days)
        wanted = delete(table).where(table.c.created < moment, table.c.touched < moment)
        return self._storage.do_now(lambda db: db.execute(wanted).rowcount)

    def _delete_files(self, table: ModuleType, folder: Path, days: float | None) -> int:
        """Of things with files in a folder of their own."""
        if days is None:
            return 0

        def work(db: Connection) -> list[str]:
            ids: list[str] = table.ended_before(db, self._before(days))
            for thing in ids:
                table.delete(db, thing)
            return ids

        gone = self._storage.do_now(work)
        for thing in gone:
            shutil.rmtree(folder / thing, ignore_errors=True)
        return len(gone)

    def _before(self, days: float) -> str:
        return (self._clock() - timedelta(days=days)).strftime(STAMP)
