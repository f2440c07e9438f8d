"""Two voices at once, made of recordings of one: joined talk, random gain, the same by the same seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dialog.corpora.recordings import RATE, Recording

Samples = NDArray[np.float32]

PAUSE_S = (0.05, 0.25)
"""Silence between two joined recordings, in seconds, even between these."""
GAIN_DB = (0.0, 5.0)
"""How much louder one voice is than the other, as in the literature."""


@dataclass(frozen=True, slots=True)
class Mixture:
    voices: tuple[tuple[str, str], tuple[str, str]]
    """(set, speaker) twice."""
    sources: Samples
    """(2, n): each voice as it is in the mixture."""

    @property
    def mixed(self) -> Samples:
        """(n,)."""
        both: Samples = self.sources.sum(0)
        return both


def talk(
    rng: np.random.Generator, ones: Sequence[Recording], sounds: Mapping[Recording, NDArray[np.int16]], n: int
) -> Samples:
    """One speaker's recordings, drawn at random and joined with pauses to n samples. Begins within a recording's
    first half or with a short silence, so that voices do not start together."""
    pieces = [np.zeros(int(rng.uniform(0, PAUSE_S[1]) * RATE), np.float32)]
    length = len(pieces[0])
    while length < n:
        drawn = ones[int(rng.integers(len(ones)))]
        piece = sounds[drawn].astype(np.float32) / 32768
        size = float(np.sqrt(np.mean(piece**2))) if len(piece) else 0.0
        # Loudness differs from take to take, and is drawn for the whole; a silent take is a pause.
        louder = piece * 0.1 / size if size > 1e-4 else np.zeros(RATE // 4)
        pieces += [louder.astype(np.float32), np.zeros(int(rng.uniform(*PAUSE_S) * RATE), np.float32)]
        length += len(pieces[-1]) + len(pieces[-2])
    return np.concatenate(pieces)[:n]


def level(samples: Samples, decibels: float) -> Samples:
    """The samples at that root mean square, 0 being full scale; silence stays silent."""
    size = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    return samples * np.float32(10 ** (decibels / 20) / size) if size > 1e-7 else samples


def mixed(rng: np.random.Generator, first: Samples, second: Samples) -> Samples:
    """(2, n) with n the shorter one's length, one louder by 0 to 5 dB, the mixture within full scale."""
    n = min(len(first), len(second))
    gain = rng.uniform(*GAIN_DB) * (1 if rng.random() < 0.5 else -1)
    sources = np.stack([level(first[:n], -23 + gain / 2), level(second[:n], -23 - gain / 2)])
    peak = float(np.abs(sources.sum(0)).max()) if n else 0.0
    return sources / np.float32(max(1.0, peak / 0.95))


def mixtures(
    pairs: Sequence[tuple[Sequence[Recording], Sequence[Recording]]],
    sounds: Mapping[Recording, NDArray[np.int16]],
    *,
    count: int,
    seconds: float,
    seed: int,
) -> list[Mixture]:
    """`count` mixtures, the pairs (recordings of one voice, of another) in turn. Talk of `seconds` each."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        first, second = pairs[i % len(pairs)]
        n = int(seconds * RATE)
        sources = mixed(rng, talk(rng, first, sounds, n), talk(rng, second, sounds, n))
        found.append(Mixture((first[0].voice, second[0].voice), sources))
    return found
