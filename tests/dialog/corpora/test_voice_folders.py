"""A folder of a subfolder a voice: sound of any rate, trimmed and evened out; what cannot be read is named."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from dialog.corpora.recordings import RATE, BadRecordings
from dialog.corpora.voice_folders import LONGEST_S, folder_voices
from tests.dialog.voices import hum, write_voices


def test_a_subfolder_is_a_voice(tmp_path: Path) -> None:
    folder = write_voices(tmp_path / "voices", {"ann": 210.0, "Bö 😀": 120.0}, takes=2)
    (folder / "notes").mkdir()
    (folder / "notes" / "read me.txt").write_text("no sound")
    voices = folder_voices(folder)
    assert {name: len(ones) for name, ones in voices.items()} == {"Bö 😀": 2, "ann": 2}
    for name, ones in voices.items():
        assert {(one.set, one.speaker, one.part) for one in ones} == {("voices", name, "train")}


def test_silence_is_cut_off_and_loudness_evened_out(tmp_path: Path) -> None:
    folder = write_voices(tmp_path / "voices", {"ann": 210.0}, rate=48_000)
    for one, samples in folder_voices(folder)["ann"].items():
        assert samples.dtype == np.int16
        assert one.seconds == pytest.approx(len(samples) / RATE)
        assert 0.3 < one.seconds < 0.75  # half a second of silence is gone
        assert np.sqrt(np.mean(samples.astype(float) ** 2)) == pytest.approx(3277, rel=0.1)


def test_silence_and_clicks_are_no_recordings(tmp_path: Path) -> None:
    folder = write_voices(tmp_path / "voices", {"ann": 210.0}, takes=1)
    soundfile.write(folder / "ann" / "silence.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "ann" / "click.wav", np.ones(200), RATE)
    soundfile.write(folder / "ann" / "empty.wav", np.zeros(0), RATE)
    assert [one.file for one in folder_voices(folder)["ann"]] == ["0.wav"]


def test_an_hour_is_cut(tmp_path: Path) -> None:
    (tmp_path / "v" / "ann").mkdir(parents=True)
    stereo = np.tile(hum(200, 1.0), int(LONGEST_S) + 5)[:, None].repeat(2, 1)
    soundfile.write(tmp_path / "v" / "ann" / "long.flac", stereo, RATE)
    (one,) = folder_voices(tmp_path / "v")["ann"]
    assert one.seconds <= LONGEST_S


def test_what_is_no_folder_of_voices_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadRecordings, match="is no folder"):
        folder_voices(tmp_path / "nowhere")
    with pytest.raises(BadRecordings, match="holds no voice"):
        folder_voices(tmp_path)
    folder = write_voices(tmp_path / "voices", {"ann": 210.0}, takes=1)
    (folder / "ann" / "text.wav").write_text("this is a text")
    with pytest.raises(BadRecordings, match=r"text\.wav is no sound file"):
        folder_voices(folder)
