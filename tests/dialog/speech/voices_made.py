"""Voices made by rule: a pulse at the pitch through the resonances of vowels. No words, but what speech sounds like."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

VOWELS = (
    ((700, 80), (1200, 90), (2600, 120)),
    ((300, 60), (2300, 100), (3000, 120)),
    ((450, 70), (800, 80), (2500, 120)),
)
HIGH, LOW, MIDDLE, DEEP = (230, 1.22), (105, 0.95), (160, 1.05), (75, 0.82)
"""Pitch in Hz, and how short the throat is."""


def said(voice: tuple[float, float], seconds: float, rate: int = 16_000, seed: int = 0) -> NDArray[np.float64]:
    """(n,) syllables of one voice."""
    random = np.random.default_rng(seed)
    pitch, throat = voice
    syllables: list[NDArray[np.float64]] = []
    while sum(map(len, syllables)) < seconds * rate:
        n = int(random.uniform(0.12, 0.2) * rate)
        f = pitch * (1 + 0.05 * np.sin(np.linspace(0, 6, n)))
        sound = np.diff(np.floor(np.cumsum(f / rate)), prepend=0) + 1e-3 * random.standard_normal(n)
        for frequency, width in VOWELS[random.integers(len(VOWELS))]:
            r = np.exp(-np.pi * width / rate)
            sound = lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * frequency * throat / rate), r * r], sound)
        syllables += [sound / np.abs(sound).max() * np.hanning(n), np.zeros(rate // 25)]
    return 0.4 * np.concatenate(syllables)[: int(seconds * rate)]


def talk(
    turns: Sequence[tuple[tuple[float, float], float]], rate: int = 16_000, pause: float = 0.8
) -> tuple[NDArray[np.float64], list[tuple[float, float]]]:
    """(n,) turns with pauses around them over a little noise, and when each begins and ends in seconds."""
    rest = np.zeros(int(pause * rate))
    pieces, spans, at = [rest], [], pause
    for seed, (voice, seconds) in enumerate(turns):
        one = said(voice, seconds, rate, seed)
        spans.append((at, at + len(one) / rate))
        pieces += [one, rest]
        at += (len(one) + len(rest)) / rate
    whole = np.concatenate(pieces)
    return whole + 3e-4 * np.random.default_rng(1).standard_normal(len(whole)), spans
