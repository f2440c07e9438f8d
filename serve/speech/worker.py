"""Does recordings: listens to them, one after the other in the order of their owners' turns, and labels the words.

A recording is leased in the database, so that several workers may share it and a folder. Where one is not heard of any
more, another goes on with the word that was reached. Everything about a recording lies in a folder called after its id:
what was sent until it has been listened to, then its sound and the voices that somebody asked for.
"""

import shutil
from functools import partial
from pathlib import Path

import orjson

from dialog.conversation import Caveat
from dialog.speech.transcript import speaker_named
from serve.config import RecordingsConfig
from serve.database import leases
from serve.database.keeper import Lease
from serve.database.patience import Ended, remove
from serve.database.tables import recordings
from serve.edge import logs, metrics
from serve.edge.limits import Limits
from serve.edge.reasons import reason
from serve.emotion.labeller import Labeller
from serve.leased.worker import LeasingWorker
from serve.speech import table
from serve.speech.labels import labels_of, not_labelled, to_label
from serve.speech.listening import SOUND, UPLOADED, Asked, Found, Listen
from serve.speech.process import in_a_process
from serve.speech.run import Run
from serve.speech.table import StoredPart, StoredRecording
from serve.speech.tagging import NoModel, PatientTagger
from serve.storage import RECORDINGS, Storage

_HEARD = 0.95  # of the work, roughly, until the words are labelled


class RecordingWorker(LeasingWorker):
    """Threads that do recordings."""

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
        super().__init__(RECORDINGS, storage, config.lease_seconds)
        self._most_running = limits.recordings_running
        self._config = config
        self._listen = listen or partial(in_a_process, threads=config.threads)
        self._tagger = PatientTagger(labeller, self._loop)
        for i in range(limits.recordings_running):
            self._do_over_and_over(f"recordings-{i}", self._next)

    def _knows(self, id: str) -> bool:
        return self._storage.do_now(lambda db: table.exists(db, id), writes=False)

    def _next(self) -> bool:
        """Does the recording whose turn it is. False where there is none."""
        return self._take(recordings, table.claimable, table.claim, self._do, self._most_running)

    def _do(self, recording: StoredRecording, lease: Lease) -> None:
        run = Run(recording, lease, self._storage, self._stopping)
        folder = self._folder / recording.id
        try:
            if recording.lost > leases.MOST_LOST:
                self._fail(recording, "whoever listened to this ended in the middle of it, again and again")
                return
            if recording.seconds is None:
                recording = self._heard(recording, run, folder)
            self._label(recording, run)
        except Ended:
            if not self._storage.do_now(lambda db: table.queue_again(db, recording)):
                self._let_go(recording)
        except Exception as error:
            logs.get().error("recording failed", **logs.about(error))
            self._fail(recording, reason(error))

    def _fail(self, recording: StoredRecording, why: str) -> None:
        holder = self._keeper.holder
        # First the files: where the disk is full, the database needs their room.
        if self._storage.do_now(lambda db: leases.holds(db, recordings, recording.number, holder), writes=False):
            shutil.rmtree(self._folder / recording.id, ignore_errors=True)
            self._storage.do_now(lambda db: table.failed(db, recording, why))
        else:
            self._let_go(recording)

    def _let_go(self, recording: StoredRecording) -> None:
        """It is ours no more: another worker's, or deleted, and then its files are nobody's."""
        if not self._storage.do_now(lambda db: table.exists(db, recording.id), writes=False):
            remove(self._folder / recording.id)

    def _heard(self, recording: StoredRecording, run: Run, folder: Path) -> StoredRecording:
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
                recording,
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
        for path in folder.iterdir():
            # The journal, and what somebody who was killed had begun to write.
            if path.is_file() and path.name != SOUND:
                path.unlink(missing_ok=True)
        after = self._storage.do_now(lambda db: table.get(db, recording.id), writes=False)
        if after is None or after.holder != recording.holder:
            raise Ended
        return after

    def _label(self, recording: StoredRecording, run: Run) -> None:
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
            voice=None if part.voice is None else orjson.dumps(part.voice.to_dict()).decode(),
        )
        for n, part in enumerate(found.parts)
    ]


def folder_of(storage: Storage) -> Path:
    """Where the files of all recordings lie."""
    return storage.folder / RECORDINGS


def sound_of(storage: Storage, recording_id: str) -> Path:
    """The sound of a recording that has been listened to."""
    return folder_of(storage) / recording_id / SOUND
