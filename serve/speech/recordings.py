"""The recordings of one database: read, played, corrected and deleted."""

import asyncio
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from serve.edge.limits import Limits
from serve.edge.problems import Refusal, not_found, overloaded
from serve.emotion.labeller import Labeller
from serve.speech import table
from serve.speech.labels import label, worded
from serve.speech.table import Share, StoredPart, StoredRecording
from serve.speech.wave import Stretch, write_voice
from serve.speech.worker import folder_of, sound_of
from serve.storage import Storage

Change = Callable[[Sequence[str], Sequence[StoredPart]], tuple[list[str], list[StoredPart]]]
"""From the names of the speakers and all parts to what they are to be; parts that stay the same need not be given."""
_TRIES = 8
_VOICES = "voices"


class Told(NamedTuple):
    """A recording, how many are ahead of it, what each of its speakers has, and a page of its parts."""

    recording: StoredRecording
    ahead: int
    shares: list[Share]
    parts: list[StoredPart]


class Recordings:
    """What routes do with recordings. Those of others are not there: Refusal 404."""

    def __init__(self, storage: Storage, labeller: Labeller, limits: Limits) -> None:
        self._storage = storage
        self._labeller = labeller
        self._limits = limits
        self._folder = folder_of(storage)

    async def get(self, recording_id: str, owners: Collection[str]) -> StoredRecording:
        """The recording."""
        recording = await self._storage.do(lambda db: table.get(db, recording_id), writes=False)
        if recording is None or recording.owner not in owners:
            raise not_found("recording")
        return recording

    async def heard(self, recording_id: str, owners: Collection[str]) -> StoredRecording:
        """The same once it was listened to. Refusal 409 before."""
        recording = await self.get(recording_id, owners)
        if recording.state == "failed":
            raise Refusal(409, "recording-failed", f"the recording has failed: {recording.error}")
        if recording.seconds is None:
            raise _not_done(recording)
        return recording

    async def done(self, recording_id: str, owners: Collection[str]) -> StoredRecording:
        """The same once it is labelled. Refusal 409 before."""
        recording = await self.heard(recording_id, owners)
        if recording.state != "done":
            raise _not_done(recording)
        return recording

    async def told(self, recording: StoredRecording, after: int, limit: int) -> Told:
        """All that there is to say of it, with a page of its parts. Refusal 404."""

        def look(db: Connection) -> Told | None:
            waiting = table.queued(db) if recording.state == "queued" else []
            ahead = waiting.index(recording.id) if recording.id in waiting else 0
            most = min(limit, self._limits.messages_per_page)
            shares, parts = table.shares_of(db, recording.id), table.parts_of(db, recording.id, after, most)
            # In this order: what is done has its labels, and whoever speaks has his name, whoever writes meanwhile.
            now = table.get(db, recording.id)
            return None if now is None else Told(replace(recording, names=now.names), ahead, shares, parts)

        if (told := await self._storage.do(look, writes=False)) is None:
            raise not_found("recording")
        return told

    async def parts(self, recording: StoredRecording) -> list[StoredPart]:
        """All its parts."""
        return await self._storage.do(lambda db: table.parts_of(db, recording.id), writes=False)

    async def envelope(self, recording: StoredRecording) -> bytes:
        """How loud it is."""
        return await self._storage.do(lambda db: table.envelope(db, recording.id), writes=False)

    async def voice(self, recording: StoredRecording, speaker: int) -> Path:
        """The file with one speaker alone, made where there is none yet. Refusal 404."""
        parts = [part for part in await self.parts(recording) if part.speaker == speaker]
        if not parts:
            raise not_found("speaker")
        path = self._folder / recording.id / _VOICES / f"{recording.revision}-{speaker}.wav"
        if not path.exists():
            stretches = [Stretch(part.starts, part.ends, part.channel) for part in parts]
            try:
                path.parent.mkdir(exist_ok=True, mode=0o700)
                await asyncio.to_thread(write_voice, sound_of(self._storage, recording.id), stretches, path)
            except FileNotFoundError:  # deleted meanwhile, with its folder
                raise not_found("recording") from None
        return path

    async def change(self, recording_id: str, owners: Collection[str], change: Change) -> StoredRecording:
        """The recording after a change, labelled anew: at once, or where that would take long in the background.

        Refusal 404, 409 while it is not done, and what the labeller raises; then nothing has changed.
        """
        for _ in range(_TRIES):
            recording = await self.done(recording_id, owners)
            if (after := await self._changed(recording, change)) is not None:
                await asyncio.to_thread(shutil.rmtree, self._folder / recording_id / _VOICES, ignore_errors=True)
                return after
        raise overloaded("too many requests change this recording at once")

    async def _changed(self, recording: StoredRecording, change: Change) -> StoredRecording | None:
        """The recording after a change; None where others were faster."""
        parts = await self.parts(recording)
        names, changed = change(recording.names, parts)
        by_number = {part.n: part for part in (*parts, *changed)}
        now = [by_number[n] for n in sorted(by_number)]
        later = len(worded(now)) > self._limits.messages_reread
        labels = None if later else await label(self._labeller, recording, names, now)

        def keep(db: Connection) -> StoredRecording | None:
            after = table.edit(db, recording, changed, names, queue=later)
            if after is not None and labels is not None:
                table.labelled(db, after, *labels)
            return None if after is None else table.get(db, after.id)

        # What stood there before is in no log of the database's either.
        return await self._storage.do(keep, erases=True)

    async def delete(self, recording_id: str, owners: Collection[str]) -> None:
        """Deletes it and all there is of it, for good."""
        recording = await self.get(recording_id, owners)
        if not await self._storage.do(lambda db: table.delete(db, recording_id), erases=True):
            raise not_found("recording")
        if recording.state != "running":  # else its worker still writes there, and removes everything itself
            await asyncio.to_thread(shutil.rmtree, self._folder / recording_id, ignore_errors=True)


def said_otherwise(n: int, text: str | None, speaker: str | None) -> Change:
    """Other words or another speaker in part n; None leaves what stands there. Refusal 404."""

    def change(names: Sequence[str], parts: Sequence[StoredPart]) -> tuple[list[str], list[StoredPart]]:
        part = next((part for part in parts if part.n == n), None)
        if part is None:
            raise not_found("utterance")
        after = list(names)
        if speaker is not None and speaker not in after:
            after.append(speaker)
        told = replace(part, edited=True)
        if text is not None and text != part.text:
            told = replace(told, text=text, confidence=None)  # nobody but a person has heard these words
        if speaker is not None:
            told = replace(told, speaker=after.index(speaker))
        return after, [told]

    return change


def renamed(speaker: int, name: str) -> Change:
    """Another name for a speaker; that of another one makes both the same. Refusal 404."""

    def change(names: Sequence[str], parts: Sequence[StoredPart]) -> tuple[list[str], list[StoredPart]]:
        theirs = [part for part in parts if part.speaker == speaker]
        if not theirs:
            raise not_found("speaker")
        if name not in names or names[speaker] == name:
            return [name if n == speaker else known for n, known in enumerate(names)], []
        return list(names), [replace(part, speaker=names.index(name), edited=True) for part in theirs]

    return change


def _not_done(recording: StoredRecording) -> Refusal:
    return Refusal(409, "not-done", f"the recording is not done: it is {recording.state}", retry_after=2)
