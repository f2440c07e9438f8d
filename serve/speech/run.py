"""A recording under way: its worker goes on as long as it is his."""

import threading
import time

from serve.database.keeper import Lease
from serve.database.patience import TOLD_SECONDS, Ended, Held, Patient
from serve.speech import table
from serve.speech.table import StoredRecording


class Run(Held):
    """One recording under way: tells the database how far it is, and raises Ended once it need not go on."""

    def __init__(self, recording: StoredRecording, lease: Lease, storage: Patient, stopping: threading.Event) -> None:
        super().__init__(lease, stopping)
        self._recording = recording
        self._storage = storage
        self._told = 0.0

    def at(self, fraction: float) -> None:
        """So far it is."""
        now = time.monotonic()
        if now - self._told < TOLD_SECONDS:
            return
        self._told = now
        if not self._storage.do_now(lambda db: table.advance(db, self._recording, fraction)):
            raise Ended
        self.check()

    def check(self) -> None:
        """Raises Ended where the service stops, or the recording is deleted or another worker's."""
        super().check()
        if not self._storage.do_now(lambda db: table.exists(db, self._recording.id), writes=False):
            raise Ended
