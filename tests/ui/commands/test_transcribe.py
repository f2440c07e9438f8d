"""`rapport transcribe`, and recordings among the logs of `annotate`."""

import json
from pathlib import Path

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

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        return Heard("what a lovely morning", 0.75)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(recognisers, "recogniser_of", lambda _: Parrot())
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
    assert "notes.wav: no sound in it" in told.err


def test_an_unknown_recogniser_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["transcribe", "a.wav", "-o", str(tmp_path / "a.jsonl"), "--recogniser", "dragon"]) == 1
    assert capsys.readouterr().err.startswith("rapport: unknown recogniser 'dragon'")


def test_the_recording_is_never_written_over(call: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = call.read_bytes()
    assert run(["transcribe", str(call), "-o", str(call)]) == 1
    assert "input and the output at once" in capsys.readouterr().err
    assert call.read_bytes() == before
    assert run(["annotate", str(call), "-o", str(call)]) == 1
    assert call.read_bytes() == before


def test_annotate_labels_a_recording_as_it_does_a_log(call: Path, tmp_path: Path) -> None:
    out = tmp_path / "labelled.jsonl"
    assert run(["annotate", str(call), "-o", str(out), "--speakers", "2"]) == 0
    [conversation] = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert len(conversation["utterances"]) == 4
    assert all(u["prediction"]["emotion"] and u["end"] for u in conversation["utterances"])
