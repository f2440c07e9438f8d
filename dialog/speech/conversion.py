"""Kinds of sound that libsndfile does not read, as wave files: by the machine's ffmpeg, or the one PyAV carries."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import soundfile

from dialog.speech.names import NotSound


def can_convert() -> bool:
    """Whether anything here reads them."""
    return shutil.which("ffmpeg") is not None or find_spec("av") is not None


def converted(path: Path, folder: Path, longest_s: float) -> Path:
    """A wave file in `folder` with the sound of `path`, cut after so many seconds. NotSound says what is missing."""
    out = folder / "sound.wav"
    if (ffmpeg := shutil.which("ffmpeg")) is not None:
        _by_ffmpeg(ffmpeg, path, out, longest_s)
    elif find_spec("av") is not None:
        _by_av(path, out, longest_s)
    else:
        raise NotSound(
            f"{path.name}: {path.suffix[1:].lower()} needs ffmpeg, which is not installed; pip install "
            "'rapport[whisper]' brings one, or save it as wav, flac, ogg or mp3"
        )
    return out


def _by_ffmpeg(ffmpeg: str, path: Path, out: Path, longest_s: float) -> None:
    command = [ffmpeg, "-nostdin", "-v", "error", "-i", str(path.absolute()), "-vn", "-t", str(longest_s), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode or not out.exists():
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise NotSound(f"{path.name}: ffmpeg could not read it: {said[:200]}")


def _by_av(path: Path, out: Path, longest_s: float) -> None:
    """What was decoded before a fault is kept, as ffmpeg keeps it."""
    import av

    written, why = 0, "it ends before any"
    try:
        with av.open(str(path)) as box:
            stream: Any = next(iter(box.streams.audio), None)
            if stream is None:
                raise NotSound(f"{path.name}: no sound in it")
            rate, channels = stream.rate, stream.channels
            plain = av.AudioResampler(format="s16", layout=stream.layout, rate=rate)
            # RF64: a wave file that may be longer than 4 GB.
            with soundfile.SoundFile(out, "w", rate, channels, "PCM_16", format="RF64") as file:
                for frame in box.decode(stream):
                    for whole in plain.resample(frame):
                        samples = whole.to_ndarray().reshape(-1, channels)
                        file.write(samples)
                        written += len(samples)
                    if written > longest_s * rate:
                        break
    except av.FFmpegError as error:
        why = error.strerror
    if not written:
        raise NotSound(f"{path.name}: no sound in it that can be read ({why})")
