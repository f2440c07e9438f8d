"""Sound as the service keeps it: wave files of 16-bit samples at 16 kHz, of a recording and of each voice in it."""

import os
import struct
import uuid
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dialog.speech.sound import RATE

STRETCHES = 1_600
"""Of equal length, into which the envelope divides a recording."""
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_FADE = RATE // 200  # samples; a voice that begins in the middle of a wave would click
_PART = RATE * 60


class Stretch(NamedTuple):
    """From when to when, in seconds, and in which channel."""

    start: float
    end: float
    channel: int


def write_sound(samples: NDArray[np.int16], path: Path) -> None:
    """(n, C) samples as a wave file, which is there whole or not at all."""
    fresh = path.with_suffix(f".{uuid.uuid4().hex}")
    try:
        with fresh.open("wb") as file:
            file.write(_header(*samples.shape))
            for start in range(0, len(samples), _PART):
                file.write(np.ascontiguousarray(samples[start : start + _PART], "<i2").tobytes())
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def read_samples(path: Path) -> NDArray[np.int16]:
    """(n, C) samples of such a file, mapped."""
    with path.open("rb") as file:
        header = _HEADER.unpack(file.read(_HEADER.size))
    channels, n_bytes = header[6], header[12]
    if not n_bytes:
        return np.zeros((0, channels), np.int16)
    return np.memmap(path, "<i2", "r", _HEADER.size, (n_bytes // (2 * channels), channels))


def write_voice(sound: Path, stretches: Iterable[Stretch], path: Path) -> None:
    """One voice of a recording: as long as it, silent but for these stretches. Silence takes no room on the disk."""
    samples = read_samples(sound)
    fresh = path.with_suffix(f".{uuid.uuid4().hex}")
    try:
        with fresh.open("wb") as file:
            file.write(_header(len(samples), 1))
            file.truncate(_HEADER.size + 2 * len(samples))
            for stretch in stretches:
                start = max(0, round(stretch.start * RATE))
                voice = samples[start : round(stretch.end * RATE), stretch.channel].astype(np.float32)
                n = min(_FADE, len(voice) // 2)
                rise = np.linspace(0, 1, n, endpoint=False, dtype=np.float32)
                voice[:n] *= rise
                voice[len(voice) - n :] *= rise[::-1]
                file.seek(_HEADER.size + 2 * start)
                file.write(voice.astype("<i2").tobytes())
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def envelope_of(samples: NDArray[np.int16]) -> bytes:
    """How loud (n, C) samples are at their loudest in each of at most STRETCHES stretches, 0 to 255."""
    edges = np.linspace(0, len(samples), min(STRETCHES, len(samples)) + 1).astype(int)
    found = (np.abs(samples[a:b].astype(np.int32)).max() for a, b in pairwise(edges))
    return bytes(min(255, int(loudest) * 255 // 32767) for loudest in found)


def _header(n: int, channels: int) -> bytes:
    size = 2 * n * channels
    frame = 2 * channels
    return _HEADER.pack(
        *(b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, channels, RATE, RATE * frame, frame, 16, b"data", size)
    )
