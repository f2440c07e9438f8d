"""A recording becomes a conversation; words do not matter here, so a recogniser that counts answers."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from dialog.conversation import Caveat
from dialog.speech import conversion
from dialog.speech import sound as sound_module
from dialog.speech.activity import LONGEST_S, find_speech
from dialog.speech.names import NotSound
from dialog.speech.recognisers import Heard
from dialog.speech.sound import RATE, Sound, read_sound
from dialog.speech.transcript import clock, transcribe
from dialog.speech.voices import who_speaks
from tests.dialog.speech.voices_made import DEEP, HIGH, LOW, MIDDLE, said, talk


class Counting:
    """Says how many hundredths of a second it was given."""

    name = "counting"

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        return Heard(f"{len(samples) * 100 // RATE} hundredths", 0.5)


class Deaf:
    name = "deaf"

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        return Heard("")


def written(path: Path, samples: Any, rate: int = RATE, subtype: str | None = None) -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def codes(warnings: tuple[str, ...]) -> set[str]:
    return {Caveat.of(warning).code for warning in warnings}


def made(samples: Any) -> Sound:
    return Sound(name="made", samples=(np.asarray(samples) * 32767).astype(np.int16).reshape(len(samples), -1))


def test_every_turn_of_two_people_is_found_with_its_time_and_its_speaker(tmp_path: Path) -> None:
    turns = [(HIGH, 2.5), (LOW, 2.5)] * 3
    samples, spans = talk(turns)
    conversation = transcribe(written(tmp_path / "call.wav", samples), Counting(), n_speakers=2)
    assert [u.speaker for u in conversation.utterances] == ["Speaker 1", "Speaker 2"] * 3
    for utterance, (start, end) in zip(conversation.utterances, spans, strict=True):
        assert utterance.time is not None
        assert float(utterance.time[-6:]) == pytest.approx(start, abs=0.25)
        assert float(utterance.extra["end"][-6:]) == pytest.approx(end, abs=0.25)
        assert utterance.extra["confidence"] == 0.5
    assert conversation.id == "call"


@pytest.mark.parametrize("voices", [(LOW,), (HIGH, LOW), (HIGH, LOW, MIDDLE, DEEP)])
def test_speakers_that_are_given_are_told_apart(voices: tuple[Any, ...]) -> None:
    samples, _ = talk([(voice, 3.0) for voice in voices * 3])
    sound = made(samples)
    turns = who_speaks(sound, find_speech(sound), n_speakers=len(voices))
    assert [turn.speaker for turn in turns] == list(range(len(voices))) * 3


def test_two_different_voices_are_found_to_be_two() -> None:
    samples, _ = talk([(HIGH, 3.0), (LOW, 3.0)] * 3)
    sound = made(samples)
    assert {turn.speaker for turn in who_speaks(sound, find_speech(sound))} == {0, 1}


def test_a_stereo_call_takes_the_channel_for_the_speaker_even_where_both_talk(tmp_path: Path) -> None:
    left = np.concatenate([said(HIGH, 3.0), np.zeros(RATE * 3), said(HIGH, 1.0, seed=1), np.zeros(RATE)])
    right = np.concatenate([np.zeros(RATE * 2), said(HIGH, 3.0, seed=2), np.zeros(RATE * 3)])
    path = written(tmp_path / "call.flac", np.stack([left, right], 1))
    found = transcribe(path, Counting()).utterances
    assert [u.speaker for u in found] == ["Speaker 1", "Speaker 2", "Speaker 1"]
    assert found[1].time is not None
    assert found[0].extra["end"] > found[1].time, "they overlap"


@pytest.mark.parametrize(
    ("rate", "channels", "ending", "subtype"),
    [(96_000, 1, "wav", "PCM_24"), (48_000, 6, "wav", "PCM_16"), (8_000, 2, "ogg", None), (22_050, 1, "mp3", None)],
)
def test_any_rate_depth_and_number_of_channels_is_read(
    tmp_path: Path, rate: int, channels: int, ending: str, subtype: str | None
) -> None:
    samples, spans = talk([(LOW, 2.0)], rate)
    path = written(tmp_path / f"a.{ending}", np.repeat(samples[:, None], channels, 1), rate, subtype)
    sound = read_sound(path)
    assert sound.samples.shape[1] == 1
    assert sound.seconds == pytest.approx(len(samples) / rate, abs=0.2)
    [span] = find_speech(sound)
    assert span.start == pytest.approx(spans[0][0], abs=0.3)


def test_resampling_in_parts_leaves_no_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_module, "_PART_S", 2)
    seconds = 7.3
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(44_100 * seconds)) / 44_100)
    sound = read_sound(written(tmp_path / "tone.wav", tone, 44_100))
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(sound.samples)) / RATE)
    assert len(sound.samples) == round(seconds * RATE)
    inside = slice(RATE // 10, -RATE // 10)
    assert np.abs(sound.samples[inside, 0] / 32768 - expected[inside]).max() < 0.005


@pytest.mark.parametrize("seconds", [0.0, 3.0])
def test_silence_gives_no_utterance_and_says_so(tmp_path: Path, seconds: float) -> None:
    conversation = transcribe(written(tmp_path / "still.wav", np.zeros(int(RATE * seconds))), Counting())
    assert conversation.utterances == ()
    assert codes(conversation.warnings) == {"no-speech"}


def test_a_steady_chord_or_noise_is_no_speech(tmp_path: Path) -> None:
    at = np.arange(RATE * 4) / RATE
    chord = 0.1 * sum(np.sin(2 * np.pi * f * at) for f in (220, 277, 330, 440))
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE * 4)
    for name, samples in (("chord", chord), ("noise", noise)):
        conversation = transcribe(written(tmp_path / f"{name}.wav", samples), Counting())
        assert codes(conversation.warnings) == {"no-speech"}


def test_a_tune_without_words_is_left_out_and_counted(tmp_path: Path) -> None:
    at = np.arange(RATE // 2) / RATE
    notes = [np.concatenate([0.3 * np.sin(2 * np.pi * f * at), np.zeros(RATE)]) for f in (220, 330, 440)]
    conversation = transcribe(written(tmp_path / "tune.wav", np.concatenate(notes)), Deaf())
    assert conversation.utterances == ()
    assert codes(conversation.warnings) == {"no-words", "left-out", "speakers-guessed"}
    assert conversation.extra["left_out"] == {"sound without words": 3}


def test_three_seconds_of_one_speaker_are_one_utterance(tmp_path: Path) -> None:
    samples, _ = talk([(LOW, 2.0)], pause=0.5)
    conversation = transcribe(written(tmp_path / "note.ogg", samples), Counting())
    assert [u.speaker for u in conversation.utterances] == ["Speaker 1"]


def test_an_overdriven_recording_is_heard_and_said_to_be_one(tmp_path: Path) -> None:
    samples, _ = talk([(LOW, 3.0)])
    conversation = transcribe(written(tmp_path / "loud.wav", np.clip(8 * samples, -1, 1)), Counting())
    assert len(conversation.utterances) == 1
    assert codes(conversation.warnings) == {"recording-clipped", "speakers-guessed"}


def test_samples_that_are_no_numbers_are_silence_and_mentioned(tmp_path: Path) -> None:
    samples, _ = talk([(LOW, 3.0)])
    samples[:100] = np.nan
    conversation = transcribe(written(tmp_path / "odd.wav", samples, subtype="FLOAT"), Counting())
    assert len(conversation.utterances) == 1
    assert codes(conversation.warnings) == {"recording-not-finite", "speakers-guessed"}


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_truncated_file_is_read_as_far_as_it_goes_or_refused_in_words(tmp_path: Path, ending: str) -> None:
    samples, _ = talk([(LOW, 6.0), (HIGH, 6.0)])
    path = written(tmp_path / f"cut.{ending}", samples)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    sound = None
    with suppress(NotSound):
        sound = read_sound(path)
    assert sound is None or 0 < sound.seconds < len(samples) / RATE


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.wav", b"Ann: this is a text\n" * 50, "no sound in it that can be read"),
        ("empty.mp3", b"", "the file is empty"),
        ("head.wav", b"RIFF\x24\0\0\0WAVE", "no sound in it that can be read"),
    ],
)
def test_what_holds_no_sound_is_refused_in_words(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NotSound, match=f"{name}: {reason}"):
        read_sound(tmp_path / name)


def test_m4a_without_ffmpeg_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memo.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    monkeypatch.setattr(conversion.shutil, "which", lambda _: None)
    monkeypatch.setattr(conversion, "find_spec", lambda _: None)
    with pytest.raises(NotSound, match="needs ffmpeg, which is not installed"):
        read_sound(tmp_path / "memo.m4a")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_m4a_is_read_where_ffmpeg_is_there(tmp_path: Path) -> None:
    samples, _ = talk([(HIGH, 1.5), (LOW, 1.5)])
    wav = written(tmp_path / "memo.wav", samples)
    made_by = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(wav), str(tmp_path / "memo.m4a")]
    subprocess.run(made_by, check=True)
    _is_heard_as(tmp_path / "memo.m4a", wav)


@pytest.mark.parametrize(("ending", "codec"), [("m4a", "aac"), ("webm", "libopus"), ("mp4", "aac")])
def test_m4a_is_read_by_pyav_where_ffmpeg_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, codec: str
) -> None:
    av = pytest.importorskip("av", reason="needs pip install 'rapport[whisper]'")
    monkeypatch.setattr(conversion.shutil, "which", lambda _: None)
    samples, _ = talk([(HIGH, 1.5), (LOW, 1.5)])
    wav, memo = written(tmp_path / "memo.wav", samples), tmp_path / f"memo.{ending}"
    with av.open(str(memo), "w") as box, av.open(str(wav)) as there:
        stream = box.add_stream(codec, rate=48_000)
        fit = av.AudioResampler(format=stream.format, layout=stream.layout, rate=48_000)
        for frame in [*there.decode(audio=0), None]:
            for whole in fit.resample(frame):
                box.mux(stream.encode(whole))
        box.mux(stream.encode(None))
    _is_heard_as(memo, wav)
    whole = memo.read_bytes()
    (tmp_path / f"torn.{ending}").write_bytes(whole[:200])
    with pytest.raises(NotSound, match=f"torn.{ending}"):
        read_sound(tmp_path / f"torn.{ending}")


def _is_heard_as(memo: Path, wav: Path) -> None:
    found, there = read_sound(memo), read_sound(wav)
    assert found.seconds == pytest.approx(there.seconds, abs=0.15)  # a codec adds some milliseconds
    assert len(find_speech(found)) == len(find_speech(there)) == 2


def test_a_recording_that_is_too_long_is_refused_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_module, "LONGEST_S", 2.0)
    with pytest.raises(NotSound, match="expected at most 12"):
        read_sound(written(tmp_path / "long.wav", np.zeros(RATE * 3)))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_long_recording_is_not_held_in_memory(tmp_path: Path) -> None:
    """Five minutes of 48 kHz stereo are 115 MB as floats; what the process holds by itself may grow by 90 MB."""
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 48_000, 2) as file:
        for _ in range(5):
            file.write(np.zeros((48_000 * 60, 2), np.int16))
    program = (
        "import sys\n"
        "from dialog.speech.sound import read_sound\n"
        "from dialog.speech.activity import find_speech\n"
        "def held():\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    return int(next(l for l in lines if l.startswith('RssAnon')).split()[1]) // 1024\n"
        "before = held()\n"
        "sound = read_sound(sys.argv[1])\n"
        "read = held()\n"
        "find_speech(sound)\n"
        "print(sound.seconds, max(read, held()) - before)\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True, env=environment
    )
    seconds, grown = done.stdout.split()
    assert float(seconds) == 300.0
    assert int(grown) < 90


def test_speech_without_a_pause_is_cut_and_loses_nothing() -> None:
    sound = made(np.concatenate([np.zeros(RATE), said(LOW, 50.0), np.zeros(RATE)]))
    spans = find_speech(sound)
    assert all(span.end - span.start <= LONGEST_S + 0.5 for span in spans)
    assert sum(span.end - span.start for span in spans) == pytest.approx(50.0, abs=1.0)
    assert all(a.end <= b.start for a, b in pairwise(spans))


def test_progress_goes_from_nothing_to_the_whole_and_never_back() -> None:
    samples, _ = talk([(HIGH, 2.0), (LOW, 2.0)])
    seen: list[float] = []
    transcribe(made(samples), Counting(), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_fewer_than_one_speaker_is_refused() -> None:
    with pytest.raises(ValueError, match="0 speakers, expected at least 1"):
        transcribe(made(np.zeros(10)), Counting(), n_speakers=0)


def test_times_are_written_as_subtitles_write_them() -> None:
    assert clock(3723.9996) == "01:02:04.000"
