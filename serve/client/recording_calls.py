"""The calls about recordings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import orjson

from .calls import Call, Pages, Steps
from .conversation import Caveat, Prediction, Voice
from .things import Envelope, RecordedSpeaker, RecordedUtterance, Recording, State, made

Channels = Literal["found", "speakers", "mixed"]


def start(
    sound: str | Path,
    *,
    filename: str | None,
    speakers: int | None,
    channels: Channels,
    recogniser: str | None,
    language: str | None,
    model: str | None,
    label_set: str | None,
) -> Call[Recording]:
    """Begins a recording; the sound itself is for the client to send."""
    told = {"speakers": speakers, "recogniser": recogniser, "language": language, "model": model}
    options: dict[str, Any] = {"filename": filename or Path(sound).name, "channels": channels}
    options |= {name: value for name, value in {**told, "label_set": label_set}.items() if value is not None}
    return Call(method="POST", path="/recordings", params=options, kind="application/octet-stream", read=_recording)


def look(recording_id: str) -> Steps[Recording]:
    """Reads a recording, page by page. It stands as it did at the first, so that what is done has all its labels."""
    utterances: list[RecordedUtterance] = []
    first: Recording | None = None
    while True:
        wanted = {"after": len(utterances)}
        page = yield Call(method="GET", path=f"/recordings/{recording_id}", params=wanted, read=_recording)
        first = first or page
        utterances += page.utterances
        if not page.utterances or len(utterances) >= page.total:
            known = {name: getattr(first, name) for name in Recording.__slots__}
            return made(Recording, known, utterances=tuple(utterances))


def listed(*, state: State | None, filename: str | None, since: str | None, before: str | None) -> Pages[Recording]:
    """Lists recordings."""
    asked = {"state": state, "filename": filename, "since": since, "before": before}
    return Pages(path="/recordings", name="recordings", read=_recording, asked=asked)


def envelope(recording_id: str) -> Call[Envelope]:
    """Reads how loud a recording is."""
    return Call(
        method="GET",
        path=f"/recordings/{recording_id}/envelope",
        read=lambda value: made(Envelope, value, peaks=tuple(value["peaks"])),
    )


def edit(recording_id: str, n: int, *, text: str | None, speaker: str | None) -> Call[Recording]:
    """Changes what was said."""
    given = {"text": text, "speaker": speaker}
    body = orjson.dumps({name: value for name, value in given.items() if value is not None})
    return Call(method="PATCH", path=f"/recordings/{recording_id}/utterances/{n}", content=body, read=_recording)


def rename(recording_id: str, n: int, name: str) -> Call[Recording]:
    """Names a speaker."""
    body = orjson.dumps({"name": name})
    return Call(method="PATCH", path=f"/recordings/{recording_id}/speakers/{n}", content=body, read=_recording)


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
