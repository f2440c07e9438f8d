"""Recordings: who spoke when, in which words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import orjson

from ..conversation import Caveat, Prediction, Voice
from .kinds import Call, Download, Pages, State, Steps, Upload, Watch, deletion, given, made

Channels = Literal["found", "speakers", "mixed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedSpeaker:
    """Somebody who speaks in a recording, counted from 0, for so many seconds in so many stretches."""

    n: int
    name: str
    seconds: float
    utterances: int
    voice: str
    """Where he can be heard alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedUtterance:
    """A stretch of one speaker, from `starts` to `ends` in seconds. Without words there is no prediction."""

    n: int
    time: str
    end: str
    starts: float
    ends: float
    speaker: str
    text: str
    confidence: float | None
    edited: bool
    """Whether a person has changed words or speaker."""
    prediction: Prediction | None
    voice: Voice | None = None
    """How the voice sounds, whatever the words; None where that was not heard."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """A recording that the service listens to in the background. Times are UTC; in a list nothing is told of what is
    said in it."""

    id: str
    created: str
    touched: str
    state: State
    filename: str
    bytes: int
    speakers_asked: int | None
    channels: Literal["found", "speakers", "mixed"]
    recogniser: str
    language: str | None
    model: str
    model_version: str | None
    started: str | None
    finished: str | None
    fraction: float
    ahead: int
    """How many recordings will be begun before this one."""
    seconds: float | None
    """How long it is; None before it was listened to."""
    error: str | None
    warnings: tuple[Caveat, ...] = ()
    speakers: tuple[RecordedSpeaker, ...] = ()
    total: int = 0
    utterances: tuple[RecordedUtterance, ...] = ()
    sound: str | None = None
    """Where it can be heard."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state in ("done", "failed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """The loudest sample of a recording in each of so many stretches of equal length, 0 to 1."""

    seconds: float
    peaks: tuple[float, ...]


def start_recording(
    sound: str | Path,
    *,
    filename: str | None = None,
    speakers: int | None = None,
    channels: Channels = "found",
    recogniser: str | None = None,
    language: str | None = None,
    model: str | None = None,
    label_set: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Upload[Recording]:
    """Uploads a recording to be listened to. It is read piece by piece, and `progress` is told the share that is
    sent; tried once only. `speakers` is how many people speak in it, where that is known."""
    options: dict[str, Any] = {"filename": filename or Path(sound).name, "channels": channels}
    options |= given(speakers=speakers, recogniser=recogniser, language=language, model=model, label_set=label_set)
    return Upload(path="/recordings", file=Path(sound), params=options, read=_recording, progress=progress)


def recording(recording_id: str) -> Steps[Recording]:
    """How far it is, who speaks in it, and all that is said."""
    utterances: list[RecordedUtterance] = []
    first: Recording | None = None
    while True:
        wanted = {"after": len(utterances)}
        page = yield Call(method="GET", path=f"/recordings/{recording_id}", params=wanted, read=_recording)
        first = first or page  # it stands as it did at the first, so that what is done has all its labels
        utterances += page.utterances
        if not page.utterances or len(utterances) >= page.total:
            return replace(first, utterances=tuple(utterances))


def recordings(
    *, state: State | None = None, filename: str | None = None, since: str | None = None, before: str | None = None
) -> Pages[Recording]:
    """All recordings of this key: those in a state, with a text in their file's name."""
    asked = {"state": state, "filename": filename, "since": since, "before": before}
    return Pages(path="/recordings", name="recordings", read=_recording, asked=asked)


def follow_recording(recording_id: str, *, every: float = 1.0) -> Watch[Recording]:
    """The recording as it is, and again whenever it is further, until it has ended."""
    return Watch(lambda: recording(recording_id), every)


def envelope(recording_id: str) -> Call[Envelope]:
    """How loud it is. ServiceError 409 before it was listened to."""
    return Call(
        method="GET",
        path=f"/recordings/{recording_id}/envelope",
        read=lambda value: made(Envelope, value, peaks=tuple(value["peaks"])),
    )


def save_sound(recording_id: str, path: str | Path) -> Download:
    """Writes all of it to a wave file."""
    return Download(f"/recordings/{recording_id}/sound", Path(path))


def save_voice(recording_id: str, n: int, path: str | Path) -> Download:
    """Writes speaker n alone, at the times at which he speaks, to a wave file."""
    return Download(f"/recordings/{recording_id}/voices/{n}", Path(path))


def save_recording(recording_id: str, path: str | Path, *, to: str = "jsonl") -> Download:
    """Writes the labelled conversation to a file. ServiceError 409 while there is none."""
    return Download(f"/recordings/{recording_id}/output?to={to}", Path(path))


def edit_utterance(
    recording_id: str, n: int, *, text: str | None = None, speaker: str | None = None
) -> Call[Recording]:
    """The recording with other words or another speaker in utterance n, labelled anew; None leaves what stands
    there. A long one is labelled in the background."""
    body = orjson.dumps(given(text=text, speaker=speaker))
    return Call(method="PATCH", path=f"/recordings/{recording_id}/utterances/{n}", content=body, read=_recording)


def name_speaker(recording_id: str, n: int, name: str) -> Call[Recording]:
    """The recording with another name for a speaker; that of another one makes both the same."""
    body = orjson.dumps({"name": name})
    return Call(method="PATCH", path=f"/recordings/{recording_id}/speakers/{n}", content=body, read=_recording)


def delete_recording(recording_id: str) -> Call[None]:
    """Stops it and deletes its sound and all that was heard. ServiceError 404 where there is none any more."""
    return deletion(f"/recordings/{recording_id}")


def _recording(value: Mapping[str, Any]) -> Recording:
    return made(
        Recording,
        value,
        warnings=tuple(Caveat.of(w) for w in value.get("warnings", ())),
        speakers=tuple(made(RecordedSpeaker, s) for s in value.get("speakers", ())),
        utterances=tuple(_utterance(u) for u in value.get("utterances", ())),
    )


def _utterance(value: Mapping[str, Any]) -> RecordedUtterance:
    said, alone = value["prediction"], value.get("voice")  # which a service before 0.1.1 does not tell
    prediction = None if said is None else Prediction.from_dict(said)
    heard = prediction.voice if prediction is not None else alone and Voice.from_dict(alone)
    return made(RecordedUtterance, value, prediction=prediction, voice=heard or None)
