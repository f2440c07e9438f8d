"""Labels batches: leases them from the database in the order of their turns, and has dialog.annotation do the work.

Several workers share a batch: one of them has it, reads the log and writes what comes out; all of them label its parts.
Where one is not heard of any more, another goes on where its journal ends. Everything about one batch lies in a folder
called after its id: `in/` holds the log until it is labelled, `parts/` what is being labelled.
"""

import shutil
import threading
import time
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import Connection

from dialog.annotation.annotate import AnnotationProgress, Summary, annotate
from dialog.annotation.journal import BusyOutput
from dialog.formats import WRITERS
from serve.batches import table as batch_table
from serve.batches.caller import Caller
from serve.batches.sharing import FOLDER, Helper, Sharing
from serve.batches.table import StoredBatch
from serve.batches.tagger import Models, ServiceTagger
from serve.config import BatchesConfig
from serve.database import leases
from serve.database.keeper import Lease
from serve.database.patience import TOLD_SECONDS, Ended, Held, Patient, remove
from serve.database.tables import batches
from serve.edge import logs
from serve.edge.limits import Limits
from serve.edge.reasons import reason
from serve.emotion.labeller import Labeller
from serve.leased.worker import LeasingWorker
from serve.storage import BATCHES, Storage

_TOGETHER = 512
"""Utterances labelled by one call; live requests run beside it."""
_FAILURES_KEPT = 20


class Worker(LeasingWorker):
    """Threads that do batches, and parts of them."""

    strays = ("uploads/*", *LeasingWorker.strays)

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
        super().__init__(BATCHES, storage, config.lease_seconds)
        self._most_running = limits.batches_running
        at_once = config.replicas * config.ongoing
        # With two parts for each of those who label, none of them waits long for the slowest.
        self._round = together * (1 if at_once == 1 else 2 * at_once)
        self._together = together
        self._models = Models(labeller, self._loop)
        self._helper = Helper(self._storage, self._keeper, self._models, self._folder, self._bell, self._stopping)
        for i in range(limits.batches_running):
            self._do_over_and_over(f"batches-{i}", self._work)
        for i in range(config.ongoing):
            self._do_over_and_over(f"parts-{i}", self._helper.label_one)
        if caller is not None:
            self._threads.append(self._thread("callbacks", caller.work, self._stopping))

    def _knows(self, id: str) -> bool:
        return self._storage.do_now(lambda db: batch_table.exists(db, id), writes=False)

    def _work(self) -> bool:
        """Does the batch whose turn it is. False where there is none."""
        return self._take(batches, batch_table.claimable, batch_table.claim, self._do, self._most_running)

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
