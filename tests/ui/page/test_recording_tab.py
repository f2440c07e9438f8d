"""The Recording tab: a recording in, its wave, its voices and its words; corrected and labelled anew."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dialog.conversation import Caveat, Prediction
from serve.client import Envelope, RecordedSpeaker, RecordedUtterance, Recording, ServiceError
from ui.page.people import people_of
from ui.page.recording_render import clock, messages_of, shown
from ui.page.recording_tab import RecordingState, begin, correct, delete, look, save

JOY = Prediction(emotion="joy", probability=0.8, probabilities={"joy": 0.8, "fear": 0.2}, sentiment="positive")


def utterance(n: int, speaker: str, text: str) -> RecordedUtterance:
    prediction = JOY if text else None
    told: dict[str, Any] = {"time": "", "end": "", "confidence": 0.5, "edited": False, "prediction": prediction}
    return RecordedUtterance(n=n, starts=2.0 * n, ends=2.0 * n + 1.5, speaker=speaker, text=text, **told)


def recording(state: Any = "done", *, name: str = "call.wav", who: str = "Speaker 1", **told: Any) -> Recording:
    utterances = (utterance(0, who, "great"), utterance(1, "Speaker 2", "")) if state == "done" else ()
    speakers = tuple(
        RecordedSpeaker(n=n, name=one, seconds=1.5, utterances=1, voice=f"/v1/recordings/r/voices/{n}")
        for n, one in enumerate((who, "Speaker 2"))
        if utterances
    )
    given: dict[str, Any] = {
        **dict.fromkeys(("speakers_asked", "language", "model_version", "started", "finished", "error")),
        **{"id": "r", "created": "", "touched": "", "filename": name, "bytes": 9, "channels": "found"},
        **{"recogniser": "r", "model": "m", "fraction": 0.4, "ahead": 0, "seconds": 4.0 if utterances else None},
        **{"speakers": speakers, "utterances": utterances, "total": len(utterances), "sound": "/v1/recordings/r/sound"},
    }
    return Recording(state=state, **{**given, **told})


class Service(SimpleNamespace):
    """A client that answers from memory; what is asked is kept."""

    def __init__(self, now: Any = None) -> None:
        super().__init__(now=now or recording(), asked=[])

    def limits(self) -> dict[str, float]:
        return {"recording_bytes": 1000}

    def start_recording(self, path: Path, **how: Any) -> Recording:
        self.asked.append((path.name, how["speakers"]))
        return recording("queued", ahead=2)

    def recording(self, recording_id: str) -> Recording:
        if isinstance(self.now, ServiceError):
            raise self.now
        found: Recording = self.now
        return found

    def envelope(self, recording_id: str) -> Envelope:
        return Envelope(seconds=4.0, peaks=(0.1, 0.9, 0.0, 0.5))

    def edit_utterance(self, recording_id: str, n: int, **how: Any) -> Recording:
        self.asked.append((n, how))
        return recording()

    def save_recording(self, recording_id: str, path: Path, *, to: str) -> None:
        path.write_text(to)

    def delete_recording(self, recording_id: str) -> None:
        self.asked.append("deleted")


def sent(tmp_path: Path, content: bytes = b"RIFF") -> str:
    path = tmp_path / "call.wav"
    path.write_bytes(content)
    return str(path)


def test_a_recording_is_sent_followed_shown_and_deleted(tmp_path: Path) -> None:
    service: Any = Service(recording("running"))
    path = sent(tmp_path)
    state = begin(RecordingState(), path, 2, service)
    assert not Path(path).exists()  # the upload is deleted, whatever came of it
    assert service.asked == [("call.wav", 2)]
    assert state.waiting
    assert "2 recordings before it" in state.notice
    state = look(state, service)
    assert 'value="40"' in state.notice
    service.now = recording(warnings=(Caveat("words-missing", "words are missing", (1,)),))
    state = look(state, service)
    assert state.done
    assert "stretch 2: words are missing" in state.notice
    assert save(state, "csv", service) == ("call-emotions.csv", "csv")
    assert delete(state, service).recording is None
    assert service.asked[-1] == "deleted"


def test_words_and_speakers_are_corrected_where_they_differ() -> None:
    service: Any = Service()
    state = look(RecordingState(recording=recording()), service)
    for text, who, told in (
        ("great", "Speaker 1", None),
        ("I hate it", "Speaker 1", {"text": "I hate it", "speaker": None}),
        ("great", "Ann", {"text": None, "speaker": "Ann"}),
    ):
        service.asked.clear()
        after = correct(RecordingState(recording=state.recording, selected=0), text, who, service)
        assert after.selected is None
        assert service.asked == ([] if told is None else [(0, told)])


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (ServiceError(415, "unsupported-media-type", "m4a needs ffmpeg"), "m4a needs ffmpeg"),
        (ServiceError(422, "invalid", "1 fault", faults=[("/file", "the recording is empty")]), "recording is empty"),
        (ServiceError(0, "unreachable", "no answer"), "rp-notice"),
    ],
)
def test_what_is_refused_is_said(tmp_path: Path, error: ServiceError, word: str) -> None:
    service: Any = Service()

    def refuse(*_: Any, **__: Any) -> Recording:
        raise error

    service.start_recording = refuse
    assert word in begin(RecordingState(), sent(tmp_path), None, service).notice


def test_what_is_too_large_fails_or_is_gone_is_said(tmp_path: Path) -> None:
    service: Any = Service(recording("failed", error="no sound in it"))
    assert "too large" in begin(RecordingState(), sent(tmp_path, b"x" * 1001), None, service).notice
    assert service.asked == []
    state = look(RecordingState(recording=recording("running")), service)
    assert "no sound in it" in state.notice
    assert save(state, "csv", service) == ("", "")
    service.now = ServiceError(404, "not-found", "gone")
    assert "was deleted" in look(state, service).notice


def test_the_wave_has_each_speaker_in_colour_and_by_name_and_escapes_what_strangers_wrote() -> None:
    one = recording(name="<b>x.wav", who="<i>Ann")
    messages = messages_of(one)
    page = str(shown(one, Envelope(seconds=4.0, peaks=(0.1, 0.9, 0.0, 0.5)), people_of((), messages)))
    assert page.count("<audio") == 3
    assert "<b>x" not in page
    assert "<i>Ann" not in page
    assert "&lt;i&gt;Ann speaks 2 seconds" in page
    assert [m.text for m in messages] == ["great", "(no words heard)"]
    nothing = recording("done", utterances=(), speakers=(), total=0, seconds=0.0)
    assert "nobody speaks" in shown(nothing, Envelope(seconds=0.0, peaks=()), {})


def test_times_are_written_as_people_read_them() -> None:
    assert [clock(s) for s in (0, 61.4, 3_725)] == ["0:00", "1:01", "1:02:05"]
