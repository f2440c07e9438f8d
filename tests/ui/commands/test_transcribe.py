"""`rapport transcribe`, and recordings among the logs of `annotate`."""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from dialog.speech import recognisers
from dialog.speech.recognisers import Heard
from tests.dialog.speech.voices_made import HIGH, LOW, talk
from ui.commands.main import run


class Parrot:
    name = "parrot"
    tired: ClassVar[bool] = False
    """Whether somebody presses Ctrl-C while it listens."""

    def __init__(self, language: str | None) -> None:
        self._said = "was für ein Morgen" if language == "de" else "what a lovely morning"

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        if self.tired:
            raise KeyboardInterrupt
        return Heard(self._said, 0.75)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(recognisers, "recogniser_of", lambda _, *, language=None: Parrot(language))
    samples, _ = talk([(HIGH, 2.5), (LOW, 2.5)] * 2)
    soundfile.write(tmp_path / "call.wav", samples, 16_000)
    return tmp_path / "call.wav"


def test_a_recording_becomes_a_line_of_jsonl(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "call.jsonl"
    assert run(["transcribe", str(call), "-o", str(out), "--speakers", "2"]) == 0
    [conversation] = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert conversation["id"] == "call"
    assert [u["speaker"] for u in conversation["utterances"]] == ["Speaker 1", "Speaker 2"] * 2
    assert {u["text"] for u in conversation["utterances"]} == {"what a lovely morning"}
    assert all(u["time"] < u["end"] and u["confidence"] == 0.75 for u in conversation["utterances"])


def test_one_that_cannot_be_read_stands_in_its_place_and_the_others_are_done(
    call: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.wav").write_text("Ann: hello")
    out = tmp_path / "out.jsonl"
    assert run(["transcribe", str(tmp_path / "notes.wav"), str(call), "-o", str(out), "--json"]) == 2
    told = capsys.readouterr()
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert "no sound in it that can be read" in lines[0]["error"]
    assert len(lines[1]["utterances"]) == 4
    assert json.loads(told.out)["recordings"][0]["utterances"] == 4
    assert json.loads(told.out)["failures"] == [{"id": "notes-0", "error": lines[0]["error"]}]
    assert "notes.wav: no sound in it" in told.err


def test_the_recording_is_never_written_over(call: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = call.read_bytes()
    assert run(["transcribe", str(call), "-o", str(call)]) == 1
    assert "input and the output at once" in capsys.readouterr().err
    assert call.read_bytes() == before
    assert run(["annotate", str(call), "-o", str(call)]) == 1
    assert call.read_bytes() == before


def test_annotate_writes_what_transcribe_and_then_annotate_write(call: Path, tmp_path: Path) -> None:
    heard, labelled, both = (tmp_path / name for name in ("heard.jsonl", "labelled.jsonl", "both.jsonl"))
    (tmp_path / "notes.wav").write_text("Ann: hello")
    how = ["--speakers", "2", "--language", "de"]
    assert run(["transcribe", str(call), "-o", str(heard), *how]) == 0
    assert run(["annotate", str(heard), "-o", str(labelled)]) == 0
    assert run(["annotate", str(tmp_path / "notes.wav"), str(call), "-o", str(both), *how]) == 2
    unread, line = both.read_text("utf-8").splitlines()
    assert line == labelled.read_text("utf-8").strip()
    assert "für ein Morgen" in line
    assert all(u["prediction"]["emotion"] and u["end"] for u in json.loads(line)["utterances"])
    assert "no sound in it that can be read" in json.loads(unread)["error"]


def test_each_channel_is_a_speaker_where_that_is_said(
    call: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples, rate = soundfile.read(call)
    soundfile.write(tmp_path / "Anruf für Jörg.wav", np.stack([samples, samples], 1), rate)
    out = tmp_path / "out.jsonl"
    speakers = {}
    for channels in ("speakers", "mixed"):
        asked = ["--channels", channels, "--speakers", "1"]
        assert run(["transcribe", str(tmp_path / "Anruf für Jörg.wav"), "-o", str(out), *asked]) == 0
        speakers[channels] = [u["speaker"] for u in json.loads(out.read_text("utf-8"))["utterances"]]
    assert speakers == {"speakers": ["Speaker 1", "Speaker 2"] * 4, "mixed": ["Speaker 1"] * 4}
    assert run(["transcribe", str(call), "-o", str(out), "--channels", "speakers"]) == 1
    assert "1 channel; expected 2, one for each speaker" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["transcribe", "annotate"])
def test_ctrl_c_ends_cleanly_and_writes_nothing(
    call: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setattr(Parrot, "tired", True)
    assert run([command, str(call), "-o", str(tmp_path / "out.jsonl")]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["transcribe", "a.wav", "--recogniser", "dragon"], "unknown recogniser 'dragon'"),
        (["transcribe", "a.wav", "--recogniser", "whisper:/no/folder"], "no folder /no/folder with a speech model"),
        (["transcribe", "a.wav", "--recogniser", "pocketsphinx", "--language", "de"], "hears English alone, not 'de'"),
        (["transcribe", "a.wav", "--channels", "left"], "unknown kind of channels 'left': expected one of found"),
        (["annotate", "a.jsonl", "--channels", "mixed", "--speakers", "2"], "takes no --speakers and no --channels"),
        (["annotate", "a.wav", "--input-format", "text", "--language", "en"], "takes no --language"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run([*arguments, "-o", str(tmp_path / "a.jsonl")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("rapport: ")
    assert said in told
    assert told.count("\n") == 1
