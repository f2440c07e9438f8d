"""Voices in a folder: one subfolder a voice, whatever sound files lie in it."""

from collections.abc import Iterable
from math import gcd
from pathlib import Path

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from dialog.corpora.recordings import RATE, BadRecordings, Recording

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3"})
SET = "voices"
"""The set that all of a folder's voices are of."""
SHORTEST_S, LONGEST_S = 0.12, 30.0
"""What is shorter is left out, what is longer is cut."""
VOICE_S = 1500.0
"""Of one voice; what comes after is left out, so that memory is bounded by the number of voices."""

_FRAME = RATE // 100
_QUIET = 10 ** (-30 / 20)  # below the loud frames; before the first that is louder and after the last all is cut


def folder_voices(folder: Path | str) -> dict[str, dict[Recording, NDArray[np.int16]]]:
    """Voice -> its recordings with their samples, 8 kHz, loudness evened out and silence cut off at both ends.

    Sound of any rate and any number of channels; other files are not looked at. Raises BadRecordings for a folder
    without a voice and for a file that cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        raise BadRecordings(f"{root} is no folder; expected one with a subfolder a voice")
    found = {}
    for path in sorted(p for p in root.iterdir() if p.is_dir()):
        if ones := _voice(path.name, sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES), path):
            found[path.name] = ones
    if not found:
        raise BadRecordings(f"{root} holds no voice; expected subfolders with {', '.join(sorted(SUFFIXES))} in them")
    return found


def _voice(name: str, files: Iterable[Path], root: Path) -> dict[Recording, NDArray[np.int16]]:
    found: dict[Recording, NDArray[np.int16]] = {}
    seconds = 0.0
    for file in files:
        samples = _read(file)
        if samples is None or seconds >= VOICE_S:
            continue
        length = len(samples) / RATE
        seconds += length
        found[Recording(set=SET, file=str(file.relative_to(root)), speaker=name, seconds=length)] = samples
    return found


def _read(file: Path) -> NDArray[np.int16] | None:
    """Samples (n,), or None where there is nothing to hear."""
    import soundfile

    try:
        with soundfile.SoundFile(file) as sound:
            rate = sound.samplerate
            samples = sound.read(int(LONGEST_S * rate), dtype="float32", always_2d=True).mean(1)
    except (soundfile.LibsndfileError, OSError) as error:
        raise BadRecordings(f"{file} is no sound file: {error}") from error
    if rate != RATE:
        common = gcd(rate, RATE)
        samples = scipy.signal.resample_poly(samples, RATE // common, rate // common).astype(np.float32)
    n_frames = len(samples) // _FRAME
    if n_frames * _FRAME < SHORTEST_S * RATE:
        return None
    size = np.sqrt(np.mean(samples[: n_frames * _FRAME].reshape(n_frames, _FRAME) ** 2, axis=1))
    loud = float(np.quantile(size, 0.95))
    if loud < 1e-3:
        return None
    on = np.flatnonzero(size > loud * _QUIET)
    samples = samples[max(0, on[0] - 3) * _FRAME : (on[-1] + 6) * _FRAME]
    if len(samples) < SHORTEST_S * RATE:
        return None
    samples = samples - samples.mean()
    samples *= 0.1 / np.sqrt(np.mean(samples**2))
    kept: NDArray[np.int16] = (samples.clip(-1, 1) * 32767).astype(np.int16)
    return kept
