"""Labels batches: leases them from the database in the order of their turns, and has dialog.annotation do the work.

Several workers share a batch: one of them has it, reads the log and writes what comes out; all of them label its parts.
Where one is not heard of any more, another goes on where its journal ends. Everything about one batch lies in a folder
called after its id: `in/` holds the log until it is labelled, `parts/` what is being labelled.
"""

import asyncio
import contextlib
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from dialog.annotation.annotate import AnnotationProgress, Summary, annotate
from dialog.annotation.journal import BusyOutput
from dialog.formats import WRITERS
from serve.batches import table as batch_table
from serve.batches.bell import Bell
from serve.batches.caller import Caller
from serve.batches.sharing import FOLDER, Helper, Sharing
from serve.batches.table import StoredBatch
from serve.batches.tagger import Models, ServiceTagger
from serve.config import BatchesConfig
from serve.database import leases
from serve.database.keeper import Keeper, Lease
from serve.database.patience import PAUSE_SECONDS, TOLD_SECONDS, Ended, Held, Patient, remove
from serve.database.tables import batches
from serve.edge import logs
from serve.edge.limits import Limits
from serve.edge.problems import Refusal
from serve.edge.reasons import reason
from serve.emotion.labeller import Labeller
from serve.storage import BATCHES, Storage

_POLL_SECONDS = 0.3
_TOGETHER = 512
"""Utterances labelled by one call; live requests run beside it."""
_FAILURES_KEPT = 20


class Worker:
    """Threads that do batches, and parts of them, until `stop`. Any number of workers may share a database and a
    folder."""

    def __init__(
        self,
        storage: Storage,
        labeller: Labeller,
        limits: Limits,
        config: BatchesConfig,
        *,
        together: int = _TOGETHER,
        caller: Caller | None = None,
    ) -> None:
        self._stopping, self._ended = threading.Event(), threading.Event()
        self._storage = Patient(storage, self._stopping)
        self._most_running = limits.batches_running
        at_once = config.replicas * config.ongoing
        # With two parts for each of those who label, none of them waits long for the slowest.
        self._round = together * (1 if at_once == 1 else 2 * at_once)
        self._together = together
        self._folder = folder_of(storage)
        self._loop = asyncio.new_event_loop()
        self._models = Models(labeller, self._loop)
        self._bell = Bell()
        self._keeper = Keeper(storage, uuid.uuid4().hex, config.lease_seconds)
        self._helper = Helper(self._storage, self._keeper, self._models, self._folder, self._bell, self._stopping)
        self._calls = self._thread("calls", self._loop.run_forever)
        self._keeping = self._thread("leases", self._keeper.work, self._ended)
        self._sweeping = self._thread("sweep", self._sweep)
        self._threads = [
            self._thread(f"batches-{i}", self._over_and_over, self._work) for i in range(limits.batches_running)
        ]
        self._threads += [
            self._thread(f"parts-{i}", self._over_and_over, self._helper.label_one) for i in range(config.ongoing)
        ]
        if caller is not None:
            self._threads.append(self._thread("callbacks", caller.work, self._stopping))

    def start(self) -> None:
        """Begins, in the background."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for thread in (self._calls, self._keeping, self._sweeping, *self._threads):
            thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Ends the threads; a batch that runs is queued again, a part is free for others."""
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

    @staticmethod
    def _thread(name: str, work: Callable[..., None], *given: Any) -> threading.Thread:
        return threading.Thread(target=work, args=given, name=name, daemon=True)

    def _sweep(self, seconds: float = 3600.0) -> None:
        """Removes what belongs to no batch: logs whose upload broke off, folders of batches that were deleted."""
        for path in (*self._folder.glob("uploads/*"), *self._folder.glob("?" * 32)):
            with contextlib.suppress(OSError, Ended):
                known = self._storage.do_now(partial(batch_table.exists, batch_id=path.name), writes=False)
                if not known and time.time() - path.stat().st_mtime > seconds:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _over_and_over(self, step: Callable[[], bool]) -> None:
        """Until the service stops; again at once where there was something to do."""
        with contextlib.suppress(Ended):
            while not self._stopping.is_set():
                rung = self._bell.rung
                try:
                    if not step():
                        self._bell.wait(rung, _POLL_SECONDS)
                except Refusal as refusal:  # a full disk: there may be room again
                    logs.get().error("batches wait", kind=refusal.kind)
                    self._stopping.wait(PAUSE_SECONDS)

    def _work(self) -> bool:
        """Does the batch whose turn it is. False where there is none."""
        holder, seconds, most = self._keeper.holder, self._keeper.seconds, self._most_running
        # Looking costs nothing; taking one would write to the disk each time.
        if not self._storage.do_now(lambda db: batch_table.claimable(db, leases.clock(db), most), writes=False):
            return False
        batch = self._storage.do_now(lambda db: batch_table.claim(db, holder, seconds, most))
        if batch is None:
            return False
        with self._keeper.hold(batches, batch.number) as lease:
            self._do(batch, lease)
        return True

    def _do(self, batch: StoredBatch, lease: Lease) -> None:
        if batch.lost > leases.MOST_LOST:
            self._fail(batch, "whoever labelled this ended in the middle of it, again and again")
            return
        folder = self._folder / batch.id
        run = _Run(batch, self._keeper.holder, lease, self._storage, self._stopping)
        sharing = Sharing(batch, self._keeper.holder, self._storage, folder, self._together, self._bell, run)
        tagger = ServiceTagger(batch.model, self._models, sharing, run)
        summary = None
        try:
            tagger.find_version()
            summary = annotate(
                [folder / "in" / batch.filename],
                output_of(folder, batch),
                tagger=tagger,
                input_format=batch.input_format,
                to=batch.output_format,
                resume=True,
                anonymise=batch.anonymise,
                progress=run.at,
                batch_utterances=self._round,
                columns=batch.columns,
                encoding=batch.encoding,
            )
        except KeyboardInterrupt:  # before or after the part in which annotate expects it
            pass
        except BusyOutput:  # whoever had it before is not heard of, and yet lives: it ends when he does
            self._stopping.wait(self._keeper.seconds)
        except Exception as error:
            logs.get().error("batch failed", model=batch.model, **logs.about(error))
            self._fail(batch, reason(error))
            return
        if summary is not None and not summary.interrupted:
            self._succeed(batch, summary, tagger.version)
        elif run.fault is not None:
            self._fail(batch, run.fault)
        elif not self._storage.do_now(lambda db: batch_table.queue_again(db, batch, self._keeper.holder)):
            self._let_go(batch)

    def _succeed(self, batch: StoredBatch, summary: Summary, version: str) -> None:
        if summary.exit_code == 1:
            self._fail(batch, summary.failures[0].error)
            return
        failures = [asdict(failure) for failure in summary.failures[:_FAILURES_KEPT]]
        done, failed = summary.done + summary.skipped, summary.failed
        utterances = summary.utterances + summary.skipped_utterances
        holder = self._keeper.holder

        def keep(db: Connection) -> bool:
            batch_table.count(db, batch, holder, done=done, failed=failed, utterances=utterances)
            return batch_table.finish(db, batch, holder, failures=failures, model_version=version)

        if not self._storage.do_now(keep):
            self._let_go(batch)
            return
        # What people wrote is kept no longer than it is needed.
        for name in ("in", FOLDER):
            shutil.rmtree(self._folder / batch.id / name, ignore_errors=True)
        logs.get().info("batch done", model=batch.model, conversations=done + failed, utterances=summary.utterances)

    def _fail(self, batch: StoredBatch, why: str) -> None:
        holder = self._keeper.holder
        # First the files: where the disk is full, the database needs their room.
        if self._storage.do_now(lambda db: leases.holds(db, batches, batch.number, holder), writes=False):
            shutil.rmtree(self._folder / batch.id, ignore_errors=True)
            self._storage.do_now(lambda db: batch_table.finish(db, batch, holder, error=why))
        else:
            self._let_go(batch)

    def _let_go(self, batch: StoredBatch) -> None:
        """It is ours no more: another worker's, or deleted, and then its files are nobody's."""
        if not self._storage.do_now(lambda db: batch_table.exists(db, batch.id), writes=False):
            remove(self._folder / batch.id)


class _Run(Held):
    """One batch under way: tells the database how far it is, and raises Ended once it need not go on."""

    def __init__(
        self, batch: StoredBatch, holder: str, lease: Lease, storage: Patient, stopping: threading.Event
    ) -> None:
        super().__init__(lease, stopping)
        self._batch = batch
        self._holder = holder
        self._storage = storage
        self._told = self._looked = 0.0
        self.fault: str | None = None

    def at(self, progress: AnnotationProgress) -> None:
        """So far it is."""
        now = time.monotonic()
        if now - self._told < TOLD_SECONDS:
            return
        self._told = now
        done = progress.done + progress.skipped
        if not self._storage.do_now(
            lambda db: batch_table.advance(
                db,
                self._batch,
                self._holder,
                fraction=min(progress.fraction, 0.999),
                done=done,
                failed=progress.failed,
                utterances=progress.utterances + progress.skipped_utterances,
            )
        ):
            raise Ended
        self.check()

    def check(self) -> None:
        """Raises Ended where the service stops, the batch was deleted, or is ours no more."""
        super().check()
        now = time.monotonic()
        if now - self._looked >= TOLD_SECONDS:
            self._looked = now
            if not self._storage.do_now(lambda db: batch_table.exists(db, self._batch.id), writes=False):
                raise Ended


def folder_of(storage: Storage) -> Path:
    """Where the files of all batches lie."""
    return storage.folder / BATCHES


def output_of(folder: Path, batch: StoredBatch) -> Path:
    """The labelled log in the folder of a batch."""
    return folder / f"out.{WRITERS[batch.output_format].ending}"
