"""The Recording tab: a recording in, its wave, its voices and its words; corrected and labelled anew."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dialog.conversation import Caveat, Prediction
from serve.client import Envelope, RecordedSpeaker, RecordedUtterance, Recording, ServiceError
from ui.page.drawing.people import people_of
from ui.page.recording.rendering import clock, listed, messages_of, shown
from ui.page.recording.state import RecordingState, begin, correct, delete, kept, look, restore, save, show

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
        super().__init__(now=now or recording(), listed=(), asked=[])

    def limits(self) -> dict[str, float]:
        return {"recording_bytes": 1000}

    def start_recording(self, path: Path, **how: Any) -> Recording:
        self.asked.append((path.name, how["speakers"]))
        return recording("queued", ahead=2)

    def recordings(self) -> tuple[Recording, ...]:
        if isinstance(self.listed, ServiceError):
            raise self.listed
        found: tuple[Recording, ...] = self.listed
        return found

    def recording(self, recording_id: str) -> Recording:
        self.asked.append(("look", recording_id))
        if isinstance(self.now, ServiceError):
            raise self.now
        found: Recording = self.now
        return found

    def envelope(self, recording_id: str) -> Envelope:
        return Envelope(seconds=4.0, peaks=(0.1, 0.9, 0.0, 0.5))

    def edit_utterance(self, recording_id: str, n: int, **how: Any) -> Recording:
        self.asked.append((n, how))
        return recording()

    def name_speaker(self, recording_id: str, n: int, name: str) -> Recording:
        self.asked.append(("name", n, name))
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
    service.listed = (recording("queued", ahead=2),)
    path = sent(tmp_path)
    state = begin(RecordingState(), path, 2, service)
    assert not Path(path).exists()  # the upload is deleted, whatever came of it
    assert service.asked[0] == ("call.wav", 2)
    assert state.waiting
    assert "2 before it" in listed(state.recordings)
    service.listed = (recording("running"),)
    state = look(state, service)
    assert 'value="40"' in listed(state.recordings)
    service.now = recording(warnings=(Caveat("words-missing", "words are missing", (1,)),))
    service.listed = (recording(utterances=(), speakers=()),)
    state = look(state, service)
    assert (state.done, state.waiting) == (True, False)
    assert "stretch 2: words are missing" in state.notice
    assert save(state, "csv", service) == ("call-emotions.csv", "csv")
    service.listed = ()
    state = delete(state, "r", service)
    assert (state.recording, state.own, state.recordings) == (None, (), ())
    assert "deleted" in service.asked
    assert "No recording yet" in listed(state.recordings, known=state.known)


def test_words_and_speakers_are_corrected_where_they_differ() -> None:
    service: Any = Service()
    state = look(RecordingState(recording=recording()), service)
    for text, who, everywhere, told in (
        ("great", "Speaker 1", False, []),
        ("great", "Speaker 1", True, []),
        ("I hate it", "Speaker 1", False, [(0, {"text": "I hate it", "speaker": None})]),
        ("great", "Ann", False, [(0, {"text": None, "speaker": "Ann"})]),
        ("great", "Ann", True, [("name", 0, "Ann")]),
        ("hm", "Ann", True, [("name", 0, "Ann"), (0, {"text": "hm", "speaker": None})]),
    ):
        service.asked.clear()
        chosen = RecordingState(recording=state.recording, selected=0)
        after = correct(chosen, text, who, service, everywhere=everywhere)
        assert after.selected is None
        assert service.asked == [*told, *([("look", "r")] if told else [])]


def test_a_reload_brings_back_what_was_open_and_all_that_was_sent() -> None:
    service: Any = Service()
    service.listed = (recording(utterances=()),)
    state = restore(kept(RecordingState(own=("r", "s"), recording=recording())), service)
    assert (state.own, state.done) == (("r", "s"), True)
    service.listed = ServiceError(403, "forbidden", "not listed")  # then what this browser remembers
    service.asked.clear()
    assert len(restore(kept(RecordingState(own=("r", "s"))), service).recordings) == 2
    assert service.asked == [("look", "r"), ("look", "s")]
    for strange in (None, "r", [], ["r"], [[1], {}]):
        assert restore(strange, service).own == ()


def test_of_several_one_is_shown_and_a_deletion_is_confirmed_first() -> None:
    service: Any = Service(recording(utterances=(utterance(0, "Ann", "hi"),), total=1))
    state = show(RecordingState(selected=1, leaf=2, asked="x"), "r", service)
    assert (state.done, state.selected, state.leaf, state.asked) == (True, None, 0, None)
    page = str(listed((recording(), recording("failed", id="s", error="no sound")), shown="r", asked="s"))
    assert 'data-act="show"' not in page  # the one is shown, the other has failed
    assert "failed: no sound" in page
    assert page.count('data-act="delete"') == 1
    service.now = ServiceError(404, "not-found", "gone")
    assert "was deleted" in show(state, "r", service).notice


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
    assert "was deleted" in look(RecordingState(recording=recording("running")), service).notice


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
