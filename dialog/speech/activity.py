"""Where somebody speaks: loudness in the band of speech, with two thresholds, above what the recording is like at rest.

It tells sound from rest, not speech from music: a tune with pauses passes, a steady hum, chord or noise does not.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, sosfilt

from dialog.speech.sound import RATE, Sound

HOP_S = 0.01
QUIETEST_DB = -55.0
"""Below full scale; nothing quieter counts as speech."""
LEAST_RANGE_DB = 8.0
"""Between rest and speech; a recording that varies less is one steady sound."""
PAUSE_S, SHORTEST_S, LONGEST_S, MARGIN_S = 0.45, 0.15, 20.0, 0.12

_HOP = int(RATE * HOP_S)
_PART = RATE * 60


class Span(NamedTuple):
    """From when to when, in seconds."""

    start: float
    end: float


def loudness(sound: Sound, channel: int = 0) -> NDArray[np.float64]:
    """Decibels below full scale of each hundredth of a second, between 150 and 3,800 Hz."""
    sos = butter(4, (150, 3800), "bandpass", fs=RATE, output="sos")
    state = np.zeros((len(sos), 2))
    found = []
    for start in range(0, len(sound.samples), _PART):
        part = sound.samples[start : start + _PART, channel].astype(np.float64) / 32768
        part, state = sosfilt(sos, part, zi=state)
        whole = part[: len(part) // _HOP * _HOP].reshape(-1, _HOP)
        found.append((whole**2).mean(1))
    power = np.concatenate(found) if found else np.zeros(0)
    return 10 * np.log10(uniform_filter1d(power, 3) + 1e-12) if len(power) else power


def find_speech(sound: Sound, channel: int = 0, *, progress: Callable[[float], None] | None = None) -> tuple[Span, ...]:
    """Stretches of speech of one channel, none longer than LONGEST_S: cut at pauses, or at the quietest place."""
    level = loudness(sound, channel)
    if progress is not None:
        progress(1.0)
    if not len(level):
        return ()
    rest = max(float(np.percentile(level, 5)), -75.0)
    top = float(np.percentile(level, 98))
    if top < QUIETEST_DB or top - rest < LEAST_RANGE_DB:
        return ()
    upper = max(rest + 0.45 * (top - rest), QUIETEST_DB)
    lower = max(rest + 0.3 * (top - rest), QUIETEST_DB - 5)
    spans = _merged(_runs(level, lower, upper))
    pieces = [p for start, end in spans if (end - start) * HOP_S >= SHORTEST_S for p in _cut(level, start, end)]
    last = sound.seconds
    found: list[Span] = []
    for start, end in pieces:
        begin = max(start * HOP_S - MARGIN_S, found[-1].end if found else 0.0)
        found.append(Span(round(begin, 3), round(min(end * HOP_S + MARGIN_S, last), 3)))
    return tuple(found)


def _runs(level: NDArray[np.float64], lower: float, upper: float) -> list[tuple[int, int]]:
    """Frames above the lower threshold that reach the upper one somewhere."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (level > lower).astype(np.int8), [0]))))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2) if level[a:b].max() > upper]


def _merged(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in runs:
        if merged and (start - merged[-1][1]) * HOP_S < PAUSE_S:
            merged[-1] = merged[-1][0], end
        else:
            merged.append((start, end))
    return merged


def _cut(level: NDArray[np.float64], start: int, end: int) -> list[tuple[int, int]]:
    """A stretch in pieces of at most LONGEST_S, cut where it is quietest in the last third of what is allowed."""
    most = int(LONGEST_S / HOP_S)
    pieces = []
    while end - start > most:
        earliest = start + 2 * most // 3
        at = earliest + int(np.argmin(level[earliest : start + most]))
        pieces.append((start, at))
        start = at
    return [*pieces, (start, end)]
