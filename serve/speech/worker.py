"""Does recordings: listens to them, one after the other in the order of their owners' turns, and labels the words.

A recording that was under way when this process was killed is queued again at the next start, and goes on with the word
it had reached. Everything about one lies in a folder called after its id: what was sent until it has been listened to,
then its sound and the voices that somebody asked for.
"""

import asyncio
import contextlib
import shutil
import threading
import time
from functools import partial
from pathlib import Path

from dialog.conversation import Caveat
from dialog.speech.transcript import speaker_named
from serve.config import RecordingsConfig
from serve.edge import logs, metrics
from serve.edge.limits import Limits
from serve.edge.reasons import reason
from serve.emotion.labeller import Labeller
from serve.speech import table
from serve.speech.labels import labels_of, not_labelled, to_label
from serve.speech.listening import JOURNAL, SOUND, UPLOADED, Asked, Found, Listen
from serve.speech.process import in_a_process
from serve.speech.table import StoredPart, StoredRecording
from serve.speech.tagging import NoModel, PatientTagger
from serve.speech.work import TOLD_SECONDS, Ended, Patient, Run, alone_in, remove
from serve.storage import RECORDINGS, Storage

_POLL_SECONDS = 0.3
_OLD_SECONDS = 3600.0
_HEARD = 0.95  # of the work, roughly, until the words are labelled


class RecordingWorker:
    """Threads that do recordings until `stop`. One process at a time works in a folder; others wait for it to end."""

    def __init__(
        self,
        storage: Storage,
        labeller: Labeller,
        limits: Limits,
        config: RecordingsConfig,
        *,
        listen: Listen | None = None,
    ) -> None:
        """`listen` hears what is in a recording: by default a process for each."""
        self._stopping = threading.Event()
        self._storage = Patient(storage, self._stopping)
        self._config = config
        self._listen = listen or partial(in_a_process, threads=config.threads)
        self._folder = folder_of(storage)
        self._loop = asyncio.new_event_loop()
        self._tagger = PatientTagger(labeller, self._loop)
        self._calls = threading.Thread(target=self._loop.run_forever, name="calls", daemon=True)
        self._threads = [
            threading.Thread(target=self._work, name=f"recordings-{i}", daemon=True)
            for i in range(limits.recordings_running)
        ]
        self._begin = threading.Thread(target=self._begin_work, name="recordings", daemon=True)

    def start(self) -> None:
        """Begins, in the background."""
        self._calls.start()
        self._begin.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Ends the threads; a recording that is under way is queued again."""
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
        with alone_in(self._folder, self._stopping) as ours:
            if not ours:
                return
            with contextlib.suppress(Ended):
                self._storage.do_now(table.queue_again)
                self._sweep()
            for thread in self._threads:
                thread.start()
            self._stopping.wait()
            for thread in self._threads:
                thread.join()

    def _sweep(self) -> None:
        """Removes the folders of recordings that were deleted while nobody was there to do it."""
        for path in self._folder.glob("?" * 32):
            known = self._storage.do_now(partial(table.exists, recording_id=path.name), writes=False)
            with contextlib.suppress(OSError):
                if not known and time.time() - path.stat().st_mtime > _OLD_SECONDS:
                    shutil.rmtree(path)

    def _work(self) -> None:
        with contextlib.suppress(Ended):
            while not self._stopping.wait(_POLL_SECONDS):
                # Looking costs nothing; taking one would write to the disk each time.
                if self._storage.do_now(table.queued, writes=False):
                    recording = self._storage.do_now(table.claim)
                    if recording is not None:
                        self._do(recording)

    def _do(self, recording: StoredRecording) -> None:
        run = _Run(recording, self._storage, self._stopping)
        folder = self._folder / recording.id
        try:
            if recording.seconds is None:
                recording = self._heard(recording, run, folder)
            self._label(recording, run)
        except Ended:
            if self._stopping.is_set():
                self._storage.do_now(lambda db: table.queue_again(db, recording.id))
            else:  # it was deleted
                remove(folder)
        except Exception as error:
            logs.get().error("recording failed", **logs.about(error))
            # First the files: where the disk is full, the database needs their room.
            shutil.rmtree(folder, ignore_errors=True)
            why = reason(error)
            self._storage.do_now(lambda db: table.failed(db, recording.id, why))

    def _heard(self, recording: StoredRecording, run: "_Run", folder: Path) -> StoredRecording:
        """The recording once it was listened to."""
        asked = Asked(
            filename=next((folder / UPLOADED).iterdir()).name,
            opener=self._config.opener,
            recogniser=self._config.recognisers.get(recording.recogniser, recording.recogniser),
            called=recording.recogniser,
            language=recording.language,
            n_speakers=recording.n_speakers,
            channels=recording.channels,
        )
        found = self._listen(folder, asked, lambda share: run.at(_HEARD * share))
        names = [speaker_named(n) for n in range(1 + max((part.speaker for part in found.parts), default=-1))]
        if not self._storage.do_now(
            lambda db: table.heard(
                db,
                recording.id,
                _stored(found),
                seconds=round(found.seconds, 3),
                envelope=found.envelope,
                names=names,
                warnings=found.warnings,
            )
        ):
            raise Ended
        metrics.RECORDED_SECONDS.labels(recording.recogniser).inc(found.seconds)
        # What was sent is kept no longer than it is needed.
        shutil.rmtree(folder / UPLOADED, ignore_errors=True)
        (folder / JOURNAL).unlink(missing_ok=True)
        after = self._storage.do_now(lambda db: table.get(db, recording.id), writes=False)
        if after is None:
            raise Ended
        return after

    def _label(self, recording: StoredRecording, run: "_Run") -> None:
        parts = self._storage.do_now(lambda db: table.parts_of(db, recording.id), writes=False)
        conversation = to_label(recording.names, parts)
        predictions: dict[int, str] = {}
        warnings: tuple[Caveat, ...] = ()
        version = None
        if conversation.utterances:
            try:
                answer = self._tagger.tag(conversation, recording.model, recording.owner, run)
                predictions, warnings = labels_of(parts, answer.conversations[0])
                version = answer.model_version
            except NoModel as error:  # who spoke when, and what, is worth having all the same
                warnings = (not_labelled(str(error)),)
        if not self._storage.do_now(lambda db: table.labelled(db, recording, predictions, warnings, version)):
            raise Ended
        logs.get().info("recording done", model=recording.model, utterances=len(predictions))


class _Run(Run):
    """One recording under way: tells the database how far it is."""

    def __init__(self, recording: StoredRecording, storage: Patient, stopping: threading.Event) -> None:
        super().__init__(storage, stopping, lambda db: table.exists(db, recording.id))
        self._id = recording.id
        self._told = 0.0

    def at(self, fraction: float) -> None:
        """So far it is."""
        now = time.monotonic()
        if now - self._told < TOLD_SECONDS:
            return
        self._told = now
        if not self._storage.do_now(lambda db: table.advance(db, self._id, fraction)):
            raise Ended
        self.check()


def _stored(found: Found) -> list[StoredPart]:
    return [
        StoredPart(
            n=n,
            starts=part.start,
            ends=part.end,
            channel=part.channel,
            speaker=part.speaker,
            text=part.text,
            confidence=part.confidence,
        )
        for n, part in enumerate(found.parts)
    ]


def folder_of(storage: Storage) -> Path:
    """Where the files of all recordings lie."""
    return storage.folder / RECORDINGS


def sound_of(storage: Storage, recording_id: str) -> Path:
    """The sound of a recording that has been listened to."""
    return folder_of(storage) / recording_id / SOUND
