"""The part of the client from memory about recordings: two people in turn, half heard each time somebody looks."""

import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dialog.conversation import Prediction
from serve.client import Envelope, RecordedSpeaker, RecordedUtterance, Recording, ServiceError

SAID = (("Speaker 1", "I got the job!!"), ("Speaker 2", "That means leaving you"), ("Speaker 1", ""))


@dataclass
class RecordingsInMemory:
    """Hears the same in every recording; `sounds` are the bytes that were sent."""

    recorded: dict[str, Recording] = field(default_factory=dict)
    sounds: dict[str, bytes] = field(default_factory=dict)

    def _check(self) -> None:
        raise NotImplementedError

    def _predict(self, text: str) -> Prediction:
        raise NotImplementedError

    def start_recording(self, path: Path, *, filename: str, speakers: int | None) -> Recording:
        self._check()
        told: dict[str, Any] = dict.fromkeys(("language", "model_version", "started", "finished", "error", "seconds"))
        told |= {"id": uuid.uuid4().hex, "filename": filename, "bytes": path.stat().st_size, "state": "queued"}
        told |= dict.fromkeys(("created", "touched"), "2026-11-23T12:00:00Z")
        told |= {
            "channels": "found",
            "recogniser": "pocketsphinx",
            "model": "emotion/ekman",
            "fraction": 0.0,
            "ahead": 0,
        }
        begun = Recording(speakers_asked=speakers, **told)
        self.recorded = {begun.id: begun, **self.recorded}
        self.sounds[begun.id] = path.read_bytes()
        return begun

    def recordings(self) -> tuple[Recording, ...]:
        self._check()
        self.recorded = {i: self._hear_on(one) for i, one in self.recorded.items()}
        return tuple(replace(one, utterances=(), speakers=()) for one in self.recorded.values())

    def recording(self, recording_id: str) -> Recording:
        self._check()
        if recording_id not in self.recorded:
            raise ServiceError(404, "not-found", "no such recording")
        return self.recorded[recording_id]

    def envelope(self, recording_id: str) -> Envelope:
        return Envelope(seconds=6.0, peaks=tuple(abs((n % 40) - 20) / 20 for n in range(400)))

    def edit_utterance(
        self, recording_id: str, n: int, *, text: str | None = None, speaker: str | None = None
    ) -> Recording:
        before = self.recording(recording_id)
        said = [(u.speaker, u.text) for u in before.utterances]
        said[n] = (said[n][0] if speaker is None else speaker, said[n][1] if text is None else text)
        return self._keep(before, said)

    def name_speaker(self, recording_id: str, n: int, name: str) -> Recording:
        before = self.recording(recording_id)
        old = before.speakers[n].name
        return self._keep(before, [(name if u.speaker == old else u.speaker, u.text) for u in before.utterances])

    def save_recording(self, recording_id: str, path: Path, *, to: str = "jsonl") -> None:
        path.write_text(f"{to} of {self.recording(recording_id).filename}", "utf-8")

    def delete_recording(self, recording_id: str) -> None:
        self._check()
        if self.recorded.pop(recording_id, None) is None:
            raise ServiceError(404, "not-found", "no such recording")

    def _hear_on(self, one: Recording) -> Recording:
        if one.state == "queued":
            return replace(one, state="running", fraction=0.5)
        return self._keep(one, SAID) if one.state == "running" else one

    def _keep(self, one: Recording, said: Any) -> Recording:
        utterances = tuple(
            RecordedUtterance(
                n=n,
                time="",
                end="",
                starts=2.0 * n,
                ends=2.0 * n + 1.5,
                speaker=who,
                text=text,
                confidence=None,
                edited=False,
                prediction=self._predict(text) if text else None,
            )
            for n, (who, text) in enumerate(said)
        )
        here = f"/v1/recordings/{one.id}"
        speakers = tuple(
            RecordedSpeaker(n=n, name=name, seconds=1.5, utterances=1, voice=f"{here}/voices/{n}")
            for n, name in enumerate(dict.fromkeys(who for who, _ in said))
        )
        now: dict[str, Any] = {"state": "done", "fraction": 1.0, "seconds": 6.0, "sound": f"{here}/sound"}
        now |= {"utterances": utterances, "total": len(utterances), "speakers": speakers}
        self.recorded[one.id] = replace(one, **now)
        return self.recorded[one.id]
