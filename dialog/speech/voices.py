"""Who speaks when: windows of speech, each as a voiceprint, clustered by how near they lie.

A voiceprint of a second and a half says much of a voice and something of the mood and the microphone, so this is a
guess: it knows different voices best, and needs some seconds of each.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering

from dialog.speech.activity import Span
from dialog.speech.counting import MOST_SPEAKERS, Counting
from dialog.speech.counting import shipped as shipped_counting
from dialog.speech.sound import Sound
from dialog.speech.voiceprints import Voiceprints, shipped

WINDOW_S, STEP_S = 1.5, 0.5
ENOUGH = 8
"""Windows of speech; in fewer nobody looks for a second speaker unless told that there is one."""

_CLUSTERED = 1500  # windows; the others go to the nearest speaker, so that hours stay quick
_SHORTEST_S = 0.4
_TOGETHER = 256  # windows in memory; those of hours would be gigabytes


class Turn(NamedTuple):
    """A stretch of one speaker, counted from 0, in seconds."""

    start: float
    end: float
    speaker: int


def who_speaks(
    sound: Sound, spans: Sequence[Span], *, n_speakers: int | None = None, voiceprints: Voiceprints | None = None
) -> tuple[Turn, ...]:
    """Every span with its speaker, cut where another takes over. Speakers are numbered as they appear.

    n_speakers: how many there are, 1 or more; None finds it, at most MOST_SPEAKERS. Fewer come out where there are
    fewer windows of speech than that. ValueError for less than 1. voiceprints: None takes the shipped ones.
    """
    if n_speakers is not None and n_speakers < 1:
        raise ValueError(f"{n_speakers} speakers, expected at least 1")
    windows = [(i, start, end) for i, span in enumerate(spans) for start, end in _windows(span)]
    if n_speakers == 1 or len(windows) < (ENOUGH if n_speakers is None else 2):
        return tuple(Turn(s.start, s.end, 0) for s in spans)
    prints = _prints(sound, windows, voiceprints or shipped())
    labels = clustered(prints, n_speakers)
    mine: list[list[tuple[float, float, int]]] = [[] for _ in spans]
    for (i, start, end), label in zip(windows, labels, strict=True):
        mine[i].append((start, end, int(label)))
    turns = [turn for span, found in zip(spans, mine, strict=True) for turn in _turns(span, found)]
    order = {speaker: n for n, speaker in enumerate(dict.fromkeys(t.speaker for t in turns))}
    return tuple(t._replace(speaker=order[t.speaker]) for t in turns)


def _prints(sound: Sound, windows: Sequence[tuple[int, float, float]], voiceprints: Voiceprints) -> NDArray[np.float64]:
    """(W, D) the voiceprints of windows, of which few are in memory at once."""
    some = (windows[at : at + _TOGETHER] for at in range(0, len(windows), _TOGETHER))
    return np.concatenate([voiceprints([sound.part(start, end) for _, start, end in few]) for few in some])


def _windows(span: Span) -> list[tuple[float, float]]:
    if span.end - span.start <= WINDOW_S + STEP_S / 2:
        return [(span.start, span.end)]
    n = int((span.end - span.start - WINDOW_S) / STEP_S) + 1
    return [(span.start + k * STEP_S, span.start + k * STEP_S + WINDOW_S) for k in range(n)]


def clustered(
    prints: NDArray[np.float64], n_speakers: int | None, counting: Counting | None = None
) -> NDArray[np.int64]:
    """(W,) the speaker of each voiceprint (W, D): so many as there are, None finds it. counting: None takes the shipped
    one."""
    some = np.unique(np.linspace(0, len(prints) - 1, min(len(prints), _CLUSTERED)).astype(int))
    seen = prints[some]
    if n_speakers is None:
        found = groupings(seen)
        n = (counting or shipped_counting())(seen, found)
        labels = found[n] if n > 1 else np.zeros(len(seen), np.int64)
    else:
        labels = _parted(seen, min(n_speakers, len(seen)))
    if len(some) == len(prints):
        return labels
    centres = np.stack([seen[labels == n].mean(0) for n in range(labels.max() + 1)])
    return np.asarray(((prints[:, None] - centres[None]) ** 2).sum(-1).argmin(1), np.int64)


def groupings(prints: NDArray[np.float64]) -> dict[int, NDArray[np.int64]]:
    """For each number of people from 2 that is looked for, whose each of the voiceprints (W, D) would be."""
    return {n: _parted(prints, n) for n in range(2, min(MOST_SPEAKERS, len(prints) - 1) + 1)}


def _parted(prints: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    return np.asarray(AgglomerativeClustering(n_clusters=n, linkage="ward").fit_predict(prints), np.int64)


def _turns(span: Span, windows: list[tuple[float, float, int]]) -> list[Turn]:
    """A span cut halfway between the middles of windows of different speakers."""
    turns: list[Turn] = []
    for (start, end, speaker), (after, until, other) in pairwise(windows):
        if speaker != other:
            at = ((start + end) / 2 + (after + until) / 2) / 2
            turns.append(Turn(turns[-1].end if turns else span.start, round(at, 3), speaker))
    turns.append(Turn(turns[-1].end if turns else span.start, span.end, windows[-1][2]))
    joined: list[Turn] = []
    for turn in turns:
        short = turn.end - turn.start < _SHORTEST_S
        if joined and (short or joined[-1].speaker == turn.speaker):
            joined[-1] = joined[-1]._replace(end=turn.end)
        else:
            joined.append(turn)
    return joined
