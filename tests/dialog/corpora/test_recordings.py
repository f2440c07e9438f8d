"""Recordings and the mixtures made of them."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from dialog.corpora.mixtures import Mixture, mixed, mixtures, talk
from dialog.corpora.recordings import TEST, VALIDATION, BadRecordings, Recording, by_voice, recordings, sounds
from tests.dialog.voices import hum, write_recordings

VOICES = {("fsdd", "ann"): 210.0, ("fsdd", "nicolas"): 110.0, ("emodb", "09"): 190.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_recordings(tmp_path / "audio", VOICES)


def test_every_recording_is_read_with_its_sound(folder: Path) -> None:
    listed = recordings(folder)
    heard = sounds(folder, listed)
    assert len(heard) == 9
    first = next(r for r in listed if r.file == "ann_0")
    np.testing.assert_allclose(heard[first] / 32768, hum(210.0, 0.3), atol=1e-4)
    assert list(by_voice(listed)) == [("emodb", "09"), ("fsdd", "ann"), ("fsdd", "nicolas")]


def test_no_voice_is_in_two_parts() -> None:
    assert not TEST & VALIDATION
    assert len({speaker for name, speaker in TEST if name == "fsdd"}) == 2  # or there is no mixture of unseen ones


def test_a_speaker_belongs_to_one_part(folder: Path) -> None:
    assert {r.speaker: r.part for r in recordings(folder)} == {"ann": "train", "nicolas": "test", "09": "validation"}


def test_a_folder_that_is_none_says_what_is_missing(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(BadRecordings, match=r"cannot read .*recordings.jsonl.gz"):
        recordings(tmp_path)
    gone = recordings(folder)
    (folder / "emodb.tar").unlink()
    with pytest.raises(BadRecordings, match=r"cannot read .*emodb.tar"):
        sounds(folder, gone)


def test_a_line_that_is_no_recording_is_named(folder: Path) -> None:
    with gzip.open(folder / "recordings.jsonl.gz", "at") as file:
        file.write('{"set": "fsdd", "file": "x"}\n')
    with pytest.raises(BadRecordings, match=r"line 10: .* is no recording"):
        recordings(folder)


def test_a_recording_that_is_listed_and_not_there_is_named(folder: Path) -> None:
    absent = Recording(set="fsdd", file="ann_9", speaker="ann", seconds=1.0)
    with pytest.raises(BadRecordings, match=r"lacks 1 .*ann_9.flac"):
        sounds(folder, [*recordings(folder), absent])


def test_a_file_that_is_no_sound_is_named(folder: Path) -> None:
    import io
    import tarfile

    with tarfile.open(folder / "fsdd.tar", "a") as tar:
        info = tarfile.TarInfo("bad.flac")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    with pytest.raises(BadRecordings, match=r"bad.flac is no sound file"):
        sounds(folder, [Recording(set="fsdd", file="bad", speaker="ann", seconds=1.0)])


def _made(folder: Path, seed: int) -> list[Mixture]:
    listed = recordings(folder)
    voices = by_voice(listed)
    pairs = [(voices["fsdd", "ann"], voices["fsdd", "nicolas"])]
    return mixtures(pairs, sounds(folder, listed), count=16, seconds=1.0, seed=seed)


def test_the_same_seed_gives_the_same_mixtures(folder: Path) -> None:
    for one, again in zip(_made(folder, 3), _made(folder, 3), strict=True):
        np.testing.assert_array_equal(one.sources, again.sources)
    assert not np.array_equal(_made(folder, 3)[0].sources, _made(folder, 4)[0].sources)


def test_one_voice_is_louder_by_0_to_5_db(folder: Path) -> None:
    gains = []
    for one in _made(folder, 0):
        power = np.square(one.sources).mean(1)
        gains.append(10 * np.log10(power[0] / power[1]))
        assert np.abs(one.mixed).max() <= 1
        assert one.sources.shape == (2, 8000)
    assert max(np.abs(gains)) <= 5.01
    assert min(gains) < 0 < max(gains)


def test_the_shorter_one_decides_the_length() -> None:
    assert mixed(np.random.default_rng(0), hum(100, 1.0), hum(150, 0.5)).shape == (2, 4000)


def test_talk_of_silent_recordings_ends() -> None:
    silent = Recording(set="x", file="x", speaker="x", seconds=0.0)
    for n in (0, 100):
        said = talk(np.random.default_rng(0), [silent], {silent: np.zeros(n, np.int16)}, 8000)
        assert said.shape == (8000,)
        assert not said.any()
