"""What the document of the API says of recordings by example, and of their bytes."""

from typing import Any

from models.catalogue import EMOTION
from serve.emotion.routes import PREDICTION
from serve.speech.schemas import RecordingOptions

_ID = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
_BASE = {
    "id": _ID,
    "created": "2026-01-31T12:00:00Z",
    "touched": "2026-01-31T12:00:30Z",
    "state": "done",
    "filename": "call.wav",
    "bytes": 960_044,
    "speakers_asked": 2,
    "channels": "found",
    "recogniser": "pocketsphinx",
    "language": None,
    "model": EMOTION,
    "model_version": f"{EMOTION}@1f0c7ad2b3e4",
    "started": "2026-01-31T12:00:01Z",
    "finished": "2026-01-31T12:00:30Z",
    "fraction": 1.0,
    "ahead": 0,
    "seconds": 30.0,
    "error": None,
}
_VOICE = {
    "emotion": "joy",
    "probability": 0.81,
    "probabilities": {
        **{"anger": 0.12, "boredom": 0.0, "disgust": 0.01, "fear": 0.04},
        **{"joy": 0.81, "neutral": 0.02, "sadness": 0.0},
    },
}
_UTTERANCE = {
    "n": 0,
    "time": "00:00:00.400",
    "end": "00:00:03.200",
    "starts": 0.4,
    "ends": 3.2,
    "speaker": "Speaker 1",
    "text": "i finally got the job",
    "confidence": 0.61,
    "edited": False,
    "prediction": {**PREDICTION, "causes": [], "voice": _VOICE},
    "voice": None,
}
STATE: dict[str, Any] = {
    **_BASE,
    "warnings": [],
    "speakers": [
        {"n": 0, "name": "Speaker 1", "seconds": 2.8, "utterances": 1, "voice": f"/v1/recordings/{_ID}/voices/0"}
    ],
    "total": 1,
    "utterances": [_UTTERANCE],
    "sound": f"/v1/recordings/{_ID}/sound",
    "request_id": "6f1d8c3e9b7a4d22",
}
ACCEPTED = {
    **STATE,
    **{"state": "queued", "model_version": None, "started": None, "finished": None, "fraction": 0.0, "seconds": None},
    **{"speakers": [], "total": 0, "utterances": [], "sound": None},
}
_BYTES = {"type": "string", "format": "binary"}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {**_BYTES, "description": "The recording: wav, flac, ogg, mp3; m4a with ffmpeg"},
                        **{name: {"type": "string"} for name in RecordingOptions.model_fields},
                    },
                    "additionalProperties": False,
                },
                "example": {"file": "RIFF...", "speakers": "2"},
            },
            "audio/wav": {"schema": {**_BYTES, "minLength": 1}, "example": "RIFF..."},
            "application/octet-stream": {"schema": {**_BYTES, "minLength": 1}, "example": "fLaC..."},
        },
    }
}
SOUND: dict[int | str, dict[str, Any]] = {
    200: {"description": "A wave file of 16-bit samples at 16 kHz", "content": {"audio/wav": {"schema": _BYTES}}},
    206: {"description": "The part of it that the header Range asks for", "content": {"audio/wav": {"schema": _BYTES}}},
}
