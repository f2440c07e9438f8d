"""Who speaks when: windows of speech, each as the statistics of its cepstrum, clustered by how alike they sound.

The cepstrum's mean and spread over a second and a half say much of a voice and something of the words and the
microphone, so this is a first guess: it knows different voices best, and needs some seconds of each.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import silhouette_score
from transformers.audio_utils import mel_filter_bank

from dialog.speech.activity import Span
from dialog.speech.sound import RATE, Sound

WINDOW_S, STEP_S = 1.5, 0.5
ENOUGH = 8
"""Windows of speech; in fewer nobody looks for a second speaker unless told that there is one."""
MOST_SPEAKERS = 4
"""That are looked for where nobody says how many there are."""
ONE_BELOW = 0.2
"""Silhouette, from -1 to 1, below which the recording is taken to have one speaker."""

_FRAME, _HOP, _N_FFT, _BANDS, _COEFFICIENTS = 400, 160, 512, 40, 19
_CLUSTERED = 1500  # windows; the others go to the nearest speaker, so that hours stay quick
_SHORTEST_S = 0.4
_FILTERS = mel_filter_bank(_N_FFT // 2 + 1, _BANDS, 80.0, 3800.0, RATE, norm="slaney", mel_scale="slaney")


class Turn(NamedTuple):
    """A stretch of one speaker, counted from 0, in seconds."""

    start: float
    end: float
    speaker: int


def cepstrum(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """(T, 19) mel-frequency cepstral coefficients, 10 ms apart and without the loudness, of samples (n,)."""
    if len(samples) < _FRAME:
        samples = np.pad(samples, (0, _FRAME - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_HOP] * np.hamming(_FRAME)
    power = np.abs(np.fft.rfft(frames, _N_FFT)) ** 2 @ _FILTERS
    return np.asarray(dct(np.log(power + 1e-8), norm="ortho")[:, 1 : _COEFFICIENTS + 1])


def voice_of(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """(38,) what a voice sounds like in samples (n,): mean and spread of the cepstrum where it is loud."""
    found = cepstrum(samples)
    padded = np.pad(samples, (0, max(0, _FRAME - len(samples))))
    loud = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP].astype(np.float64).std(1)
    kept = found[loud >= np.median(loud) * 0.5]
    return np.concatenate([kept.mean(0), kept.std(0)])


def who_speaks(sound: Sound, spans: Sequence[Span], *, n_speakers: int | None = None) -> tuple[Turn, ...]:
    """Every span with its speaker, cut where another takes over. Speakers are numbered as they appear.

    n_speakers: how many there are, 1 or more; None finds it, at most MOST_SPEAKERS. Fewer come out where there are
    fewer windows of speech than that. ValueError for less than 1.
    """
    if n_speakers is not None and n_speakers < 1:
        raise ValueError(f"{n_speakers} speakers, expected at least 1")
    windows = [(i, start, end) for i, span in enumerate(spans) for start, end in _windows(span)]
    if n_speakers == 1 or len(windows) < (ENOUGH if n_speakers is None else 2):
        return tuple(Turn(s.start, s.end, 0) for s in spans)
    voices = np.stack([voice_of(sound.part(start, end)) for _, start, end in windows])
    labels = _clustered(voices, n_speakers)
    mine: list[list[tuple[float, float, int]]] = [[] for _ in spans]
    for (i, start, end), label in zip(windows, labels, strict=True):
        mine[i].append((start, end, int(label)))
    turns = [turn for span, found in zip(spans, mine, strict=True) for turn in _turns(span, found)]
    order = {speaker: n for n, speaker in enumerate(dict.fromkeys(t.speaker for t in turns))}
    return tuple(t._replace(speaker=order[t.speaker]) for t in turns)


def _windows(span: Span) -> list[tuple[float, float]]:
    if span.end - span.start <= WINDOW_S + STEP_S / 2:
        return [(span.start, span.end)]
    n = int((span.end - span.start - WINDOW_S) / STEP_S) + 1
    return [(span.start + k * STEP_S, span.start + k * STEP_S + WINDOW_S) for k in range(n)]


def _clustered(voices: NDArray[np.float64], n_speakers: int | None) -> NDArray[np.int64]:
    """(W,) the speaker of each voice (W, D)."""
    spread = voices.std(0)
    scaled = (voices - voices.mean(0)) / np.where(spread > 1e-9, spread, 1.0)
    some = np.unique(np.linspace(0, len(scaled) - 1, min(len(scaled), _CLUSTERED)).astype(int))
    seen = scaled[some]

    def parted(n: int) -> NDArray[np.int64]:
        return np.asarray(AgglomerativeClustering(n_clusters=n, linkage="ward").fit_predict(seen), np.int64)

    if n_speakers is not None:
        labels = parted(min(n_speakers, len(seen)))
    else:
        most = min(MOST_SPEAKERS, len(seen) - 1)
        tried = {n: parted(n) for n in range(2, most + 1)}
        scores = {n: float(silhouette_score(seen, found)) for n, found in tried.items()}
        best = max(scores, key=lambda n: scores[n], default=1)
        labels = tried[best] if best > 1 and scores[best] >= ONE_BELOW else np.zeros(len(seen), np.int64)
    centres = np.stack([seen[labels == n].mean(0) for n in range(labels.max() + 1)])
    if len(some) == len(scaled):
        return labels
    return np.asarray(((scaled[:, None] - centres[None]) ** 2).sum(-1).argmin(1), np.int64)


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
