"""Labels batches: takes them from the database in the order they came, and has dialog.annotation do the work.

A batch that was running when this process was killed is queued again at the next start, and goes on where its journal
ends. Everything about one batch lies in a folder called after its id: `in/` holds the log until it is labelled.
"""

import asyncio
import contextlib
import errno
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ray import serve as ray_serve
from sqlalchemy import Connection

from dialog.annotation.annotate import AnnotationProgress, Summary, annotate
from dialog.annotation.output import NoSpace
from dialog.formats import WRITERS
from serve.batches import table as batch_table
from serve.batches.caller import Caller
from serve.batches.table import StoredBatch
from serve.batches.tagger import TOLD_SECONDS, Ended, ServiceTagger
from serve.config import AppConfig
from serve.database.engine import AWAY
from serve.edge import logs, metrics
from serve.edge.limits import Limits
from serve.edge.problems import Refusal
from serve.emotion.deployment import taggers_of
from serve.emotion.labeller import Labeller, LocalLabeller, RemoteLabeller
from serve.storage import BATCHES, DATABASE, Storage

T = TypeVar("T")

_POLL_SECONDS = 0.3
_PAUSE_SECONDS = 1.0
"""Between two tries where the database does not answer."""
_TOGETHER = 512
"""Utterances labelled by one call; live requests run beside it."""
_FAILURES_KEPT = 20
_LONGEST_CALL_SECONDS = 6 * 3600.0
"""A conversation of 100,000 messages is one call."""
_NICE = 2
"""How far a log stands back behind what somebody waits for, where both are labelled on one machine."""


class Worker:
    """Threads that do batches until `stop`. One process at a time works in a folder; others wait for it to end."""

    def __init__(
        self,
        storage: Storage,
        labeller: Labeller,
        limits: Limits,
        *,
        together: int = _TOGETHER,
        caller: Caller | None = None,
    ) -> None:
        self._stopping = threading.Event()
        self._storage = _Patient(storage, self._stopping)
        self._labeller = labeller
        self._together = together
        self._folder = folder_of(storage)
        self._loop = asyncio.new_event_loop()
        self._calls = threading.Thread(target=self._loop.run_forever, name="calls", daemon=True)
        self._threads = [
            threading.Thread(target=self._work, name=f"batches-{i}", daemon=True) for i in range(limits.batches_running)
        ]
        if caller is not None:
            self._threads.append(
                threading.Thread(target=caller.work, args=(self._stopping,), name="callbacks", daemon=True)
            )
        self._begin = threading.Thread(target=self._begin_work, name="batches", daemon=True)

    def start(self) -> None:
        """Begins, in the background."""
        self._calls.start()
        self._begin.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Ends the threads; a batch that runs is queued again."""
        self._stopping.set()
        for thread in (self._begin, *self._threads):
            if thread.ident is not None:
                thread.join(seconds)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._calls.join(seconds)

    @property
    def broken(self) -> bool:
        """Whether a thread has ended by itself."""
        return not self._stopping.is_set() and any(t.ident is not None and not t.is_alive() for t in self._threads)

    def _begin_work(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._folder / ".lock").open("a") as lock:
            while not self._alone(lock):
                if self._stopping.wait(1.0):
                    return
            with contextlib.suppress(Ended):
                self._storage.do_now(batch_table.queue_again)
                self._sweep()
            for thread in self._threads:
                thread.start()
            self._stopping.wait()
            for thread in self._threads:
                thread.join()

    @staticmethod
    def _alone(lock: Any) -> bool:
        try:
            import fcntl
        except ImportError:  # Windows, where the service does not run anyway
            return True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _sweep(self, seconds: float = 3600.0) -> None:
        """Removes what belongs to no batch: logs whose upload broke off, folders of batches that were deleted."""
        for path in (*self._folder.glob("uploads/*"), *self._folder.glob("?" * 32)):
            known = self._storage.do_now(partial(batch_table.exists, batch_id=path.name), writes=False)
            with contextlib.suppress(OSError):
                if not known and time.time() - path.stat().st_mtime > seconds:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _work(self) -> None:
        with contextlib.suppress(Ended):
            while not self._stopping.wait(_POLL_SECONDS):
                # Looking costs nothing; taking one would write to the disk each time.
                if self._storage.do_now(batch_table.waiting, writes=False):
                    batch = self._storage.do_now(batch_table.claim)
                    if batch is not None:
                        self._do(batch)

    def _do(self, batch: StoredBatch) -> None:
        folder = self._folder / batch.id
        run = _Run(batch, self._storage, self._stopping)
        tagger = ServiceTagger(batch.model, self._labeller, self._loop, run)
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
                batch_utterances=self._together,
                columns=batch.columns,
                encoding=batch.encoding,
            )
        except KeyboardInterrupt:  # before or after the part in which annotate expects it
            summary = None
        except Exception as error:
            logs.get().error("batch failed", model=batch.model, **logs.about(error))
            self._fail(batch, _reason(error))
            return
        if summary is not None and not summary.interrupted:
            self._succeed(batch, summary, tagger.version)
        elif run.fault is not None:
            self._fail(batch, run.fault)
        elif self._stopping.is_set():
            self._storage.do_now(lambda db: batch_table.queue_again(db, batch.id))
        else:  # it was deleted
            _remove(folder)

    def _succeed(self, batch: StoredBatch, summary: Summary, version: str) -> None:
        if summary.exit_code == 1:
            self._fail(batch, summary.failures[0].error)
            return
        failures = [asdict(failure) for failure in summary.failures[:_FAILURES_KEPT]]
        done, failed = summary.done + summary.skipped, summary.failed
        utterances = summary.utterances + summary.skipped_utterances

        def keep(db: Any) -> bool:
            batch_table.count(db, batch.id, done=done, failed=failed, utterances=utterances)
            batch_table.finish(db, batch.id, failures=failures, model_version=version)
            return batch_table.exists(db, batch.id)

        folder = self._folder / batch.id
        kept = self._storage.do_now(keep)
        # What people wrote is kept no longer than it is needed.
        shutil.rmtree(folder / "in" if kept else folder, ignore_errors=True)
        logs.get().info("batch done", model=batch.model, conversations=done + failed, utterances=summary.utterances)

    def _fail(self, batch: StoredBatch, reason: str) -> None:
        # First the files: where the disk is full, the database needs their room.
        shutil.rmtree(self._folder / batch.id, ignore_errors=True)
        self._storage.do_now(lambda db: batch_table.finish(db, batch.id, error=reason))


class _Patient:
    """The database, which may be held or away for as long as it likes: no log is lost for it."""

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
                if self._stopping.wait(_PAUSE_SECONDS):
                    raise Ended from None


class _Run:
    """One batch under way: tells the database how far it is, and raises Ended once it need not go on."""

    def __init__(self, batch: StoredBatch, storage: _Patient, stopping: threading.Event) -> None:
        self._batch = batch
        self._storage = storage
        self._stopping = stopping
        self._told = 0.0
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
                self._batch.id,
                fraction=min(progress.fraction, 0.999),
                done=done,
                failed=progress.failed,
                utterances=progress.utterances + progress.skipped_utterances,
            )
        ):
            raise Ended
        self.check()

    def check(self) -> None:
        """Raises Ended where the service stops or the batch was deleted."""
        if self._stopping.is_set():
            raise Ended
        if not self._storage.do_now(lambda db: batch_table.exists(db, self._batch.id), writes=False):
            raise Ended

    def pause(self, seconds: float) -> None:
        """Waits, unless the service stops."""
        self._stopping.wait(seconds)
        self.check()


def _reason(error: Exception) -> str:
    """What its sender may know."""
    if isinstance(error, NoSpace) or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
        return "the disk of the service is full"
    return str(error) if isinstance(error, ValueError) else "a fault of the service; its log says more"


def _remove(folder: Path, seconds: float = 2.0) -> None:
    """Whoever labels a part of what lies there may write for a moment yet."""
    end = time.monotonic() + seconds
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists() or time.monotonic() > end:
            return
        time.sleep(0.05)


def folder_of(storage: Storage) -> Path:
    """Where the files of all batches lie."""
    return storage.folder / BATCHES


def output_of(folder: Path, batch: StoredBatch) -> Path:
    """The labelled log in the folder of a batch."""
    return folder / f"out.{WRITERS[batch.output_format].ending}"


class Batches:
    """The deployment: a worker in a process of its own, so that reading and writing logs delays no answer."""

    def __init__(self, config: AppConfig, emotion: Any, *_beside: Any) -> None:
        # What stands beside us comes so that Ray starts it too.
        logs.configure(f"batches-{os.getpid()}", config.data_folder() / "logs", config.log_level)
        metrics.Written.begin(config.data_folder() / metrics.FOLDER)
        storage = Storage(config.data_folder() / DATABASE, url=config.database_url)
        caller = Caller(storage, config.callbacks, root_path=config.root_path)
        self._worker = Worker(storage, _labeller(config, emotion), config.limits, caller=caller)
        self._worker.start()

    def check_health(self) -> None:
        """Ray asks this now and then, and begins anew where it raises."""
        if self._worker.broken:
            raise RuntimeError("a thread of the batches has ended")


def _labeller(config: AppConfig, emotion: Any) -> Labeller:
    if emotion is not None:
        return RemoteLabeller(emotion, _LONGEST_CALL_SECONDS)
    # The process that listens has the models to itself. Logs have others, loaded with the first, and wait for people.
    os.nice(_NICE)
    return LocalLabeller(taggers_of(config), _LONGEST_CALL_SECONDS)


def batches_deployment(config: AppConfig, options: dict[str, Any]) -> Any:
    """The deployment, to be bound with the configuration and the emotion deployment."""
    return ray_serve.deployment(
        Batches,
        name="Batches",
        num_replicas=1,
        ray_actor_options=options,
        graceful_shutdown_timeout_s=1,
        graceful_shutdown_wait_loop_s=0.2,
        max_constructor_retry_count=3,
    )
