"""A recording as samples: any file that libsndfile reads, at 16 kHz, one microphone or a channel for each speaker.

The samples lie in a temporary file that is mapped, so that three hours cost no more memory than three minutes.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from dialog.conversation import Caveat
from dialog.speech.conversion import converted
from dialog.speech.names import CONVERTED, Channels, NotSound

RATE = 16_000
"""Samples a second of everything behind this file: what recognisers expect."""
LONGEST_S = 12 * 3600.0
LOWEST_RATE, HIGHEST_RATE = 4_000, 384_000
MOST_CHANNELS = 16

_PART_S, _AROUND_S = 20, 1  # whole seconds, so that both rates count whole samples
_CLIPPED = 0.999
_MUCH_CLIPPED = 0.001  # of all samples
_APART = 0.5  # of loudness: below this correlation, and each alone at times, two channels are two speakers
_ALONE = 0.02


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A recording. `samples` (n, C) int16 at RATE, full scale 32,768; C is 2 where each channel has its speaker."""

    name: str
    samples: NDArray[np.int16]
    warnings: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / RATE

    def part(self, start: float, end: float, channel: int = 0) -> NDArray[np.float32]:
        """The samples between two times in seconds, full scale 1."""
        cut = self.samples[max(0, round(start * RATE)) : max(0, round(end * RATE)), channel]
        return cut.astype(np.float32) / np.float32(32768)


def read_sound(path: str | Path, *, channels: Channels = "found") -> Sound:
    """The recording in a file. NotSound for one that holds none, or too much, or has not two channels where each is
    said to be a speaker; OSError where it cannot be opened."""
    path = Path(path)
    with path.open("rb") as file:  # raises what is to be said
        if not file.read(1):
            raise NotSound(f"{path.name}: the file is empty")
    if path.suffix.lower() in CONVERTED:
        with tempfile.TemporaryDirectory() as folder:
            return _read(converted(path, Path(folder), LONGEST_S), path, channels)
    return _read(path, path, channels)


def _read(path: Path, called: Path, said: Channels) -> Sound:
    try:
        file = soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        raise NotSound(f"{called.name}: no sound in it that can be read ({error.error_string.rstrip('.')})") from None
    with file:
        rate, channels = file.samplerate, file.channels
        if not LOWEST_RATE <= rate <= HIGHEST_RATE or channels > MOST_CHANNELS:
            raise NotSound(
                f"{called.name}: {channels} channels at {rate:,} samples a second; expected at most {MOST_CHANNELS}, "
                f"and from {LOWEST_RATE:,} to {HIGHEST_RATE:,}"
            )
        if said == "speakers" and channels != 2:
            heard = "1 channel" if channels == 1 else f"{channels} channels"
            raise NotSound(f"{called.name}: {heard}; expected 2, one for each speaker")
        if file.frames / rate > LONGEST_S and file.frames < 2**62:
            raise NotSound(f"{called.name}: {file.frames / rate / 3600:.1f} hours, expected at most 12; cut it first")
        told = _Told()
        # Not closed by us: the mapping outlives this call, and the file has no name to be left behind.
        spool = tempfile.TemporaryFile()  # noqa: SIM115
        width = channels if channels <= 2 else 1
        written = 0
        for block in _resampled(_blocks(file, told), rate):
            spool.write((np.clip(block, -1, 32767 / 32768) * 32768).round().astype("<i2").tobytes())
            written += len(block)
            if written > LONGEST_S * RATE:
                raise NotSound(f"{called.name}: longer than 12 hours; cut it first")
    if told.fault is None and _lacks_its_end(path):
        told.fault = "the rest is missing"
    spool.flush()
    samples: Any = np.zeros((0, width), np.int16)
    if written:
        samples = np.memmap(spool, dtype="<i2", mode="r", shape=(written, width))
    spool.close()  # the mapping holds it
    if told.fault is not None and not written:
        raise NotSound(f"{called.name}: no sound in it that can be read ({told.fault})")
    if width == 2 and said != "speakers" and (said == "mixed" or not _one_speaker_each(samples)):
        samples = _mixed(samples)
    return Sound(name=called.stem, samples=cast(NDArray[np.int16], samples), warnings=told.warnings())


@dataclass
class _Told:
    """What reading showed."""

    fault: str | None = None
    clipped: int = 0
    read: int = 0
    strange: int = 0

    def warnings(self) -> tuple[str, ...]:
        found = []
        if self.fault is not None:
            found.append(Caveat("recording-cut-off", f"the file breaks off ({self.fault}); read up to there"))
        if self.read and self.clipped / self.read > _MUCH_CLIPPED:
            found.append(Caveat("recording-clipped", "the recording is overdriven in places; words may suffer"))
        if self.strange:
            found.append(Caveat("recording-not-finite", "some samples were no numbers and were taken for silence"))
        return tuple(found)


def _blocks(file: soundfile.SoundFile, told: _Told) -> Iterator[NDArray[np.float32]]:
    """(n, C) seconds of a file, C as it is for one or two channels, mixed down for more."""
    while len(block := _block(file, told)):
        if not (finite := np.isfinite(block)).all():
            told.strange += int((~finite).sum())
            block = np.where(finite, block, 0)
        told.read += block.size
        told.clipped += int((np.abs(block) >= _CLIPPED).sum())
        yield block if block.shape[1] <= 2 else block.mean(1, keepdims=True)


def _block(file: soundfile.SoundFile, told: _Told) -> NDArray[np.float32]:
    """(n, C) the next _PART_S seconds, fewer at the end. Read a second at a time: what precedes a fault is not lost."""
    seconds: list[NDArray[np.float32]] = []
    while told.fault is None and len(seconds) < _PART_S:
        try:
            second = file.read(file.samplerate, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            told.fault = error.error_string.rstrip(".")
            break
        if not len(second):
            if 0 < file.frames < 2**62 and file.tell() < file.frames:
                told.fault = "the rest is missing"
            break
        seconds.append(second)
    return np.concatenate(seconds) if seconds else np.zeros((0, file.channels), np.float32)


def _lacks_its_end(path: Path) -> bool:
    """Whether a wave file is shorter than it says, which libsndfile does not tell."""
    with path.open("rb") as file:
        head = file.read(8)
    said = int.from_bytes(head[4:8], "little")
    # Whoever writes to a pipe does not know the size, and says 0 or the largest there is.
    return head[:4] == b"RIFF" and 0 < said < 2**31 and said + 8 > path.stat().st_size


def _resampled(blocks: Iterator[NDArray[np.float32]], rate: int) -> Iterator[NDArray[np.float32]]:
    """The same at RATE. Each part is resampled with a second on either side, so no seam can be heard."""
    if rate == RATE:
        yield from blocks
        return
    common = gcd(rate, RATE)
    up, down = RATE // common, rate // common
    before: NDArray[np.float32] | None = None
    here: NDArray[np.float32] | None = next(blocks, None)
    while here is not None:
        # A part has whole seconds unless it is the last, so both rates count whole samples at every seam.
        after = next(blocks, None) if len(here) == rate * _PART_S else None
        pieces = [here]
        if before is not None:
            pieces.insert(0, before[-rate * _AROUND_S :])
        if after is not None:
            pieces.append(after[: rate * _AROUND_S])
        out = resample_poly(np.concatenate(pieces), up, down, axis=0)
        start = 0 if before is None else RATE * _AROUND_S
        yield out[start : start + -(-len(here) * up // down)]
        before, here = here, after


def _one_speaker_each(samples: NDArray[np.int16]) -> bool:
    """Whether two channels are two microphones: loud at other times than each other, each alone at times."""
    n = len(samples) // (RATE // 20)
    if n < 20:
        return False
    loud = np.empty((n, 2))
    for i in range(n):  # 50 ms at a time, since the whole may be hours
        piece = samples[i * (RATE // 20) : (i + 1) * (RATE // 20)].astype(np.float32)
        loud[i] = np.sqrt((piece**2).mean(0))
    top = np.percentile(loud, 99, axis=0)
    if (top < 50).any():  # one of them is silent
        return False
    first_alone = ((loud[:, 0] > 0.2 * top[0]) & (loud[:, 1] < 0.1 * top[1])).mean()
    second_alone = ((loud[:, 1] > 0.2 * top[1]) & (loud[:, 0] < 0.1 * top[0])).mean()
    correlation = np.corrcoef(np.log1p(loud.T))[0, 1]
    return bool(correlation < _APART and min(first_alone, second_alone) > _ALONE)


def _mixed(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """Two channels as one, in a mapped file as well."""
    if not len(samples):
        return samples[:, :1]
    with tempfile.TemporaryFile() as spool:
        for start in range(0, len(samples), RATE * _PART_S):
            part = samples[start : start + RATE * _PART_S].astype(np.int32)
            spool.write((part.sum(1) // 2).astype("<i2").tobytes())
        spool.flush()
        return cast(NDArray[np.int16], np.memmap(spool, dtype="<i2", mode="r", shape=(len(samples), 1)))
