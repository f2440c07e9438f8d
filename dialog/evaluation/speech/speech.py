"""`rapport evaluate speech`: how much of the other voice is taken away, beside a mask that knows the answer."""

import time
from collections.abc import Callable, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dialog.corpora.mixtures import Mixture, Samples, mixtures
from dialog.corpora.recordings import RATE, Recording, by_voice, recordings_of, sounds
from dialog.speech.separation import Separator
from models.catalogue import VOICES
from models.device import Where
from models.mossformer2.si_snr import best_assignment, si_snr

Pairs = list[tuple[list[Recording], list[Recording]]]
Separate = Callable[[Samples], Samples]

SECONDS = 3.0
"""Of a mixture: recordings of one speaker joined, the other's over them."""
FRAME = 256
"""Samples of a frame of the oracle's spectrogram, 32 ms; three quarters overlap."""


def evaluate_speech(
    data: Sequence[Path],
    model: str | Path = VOICES,
    *,
    part: str | None = None,
    device: Where = None,
    count: int = 40,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate speech --json`.

    data: one folder of recordings; `part` leaves our train, validation or test voices alone. `count` mixtures by that
    seed of each kind: two voices of one set (by its name), of two sets (`across`), and one voice twice (`same`).
    `si_snr_improvement`, in dB, is the mean over the mixtures of different voices; `si_snr_improvement_NAME` that of
    one kind. Kinds that the voices do not allow are left out. `oracle_mask` divides each bin of a spectrogram as the
    sources do, which no separator can know; `mixture` is what leaving it as it is gives. ValueError without two voices.
    """
    _, listed = recordings_of(data, part)
    kinds = pairs_of(list(by_voice(listed).values()))
    if set(kinds) <= {"same"}:
        raise ValueError(f"{data[0]} has {len(by_voice(listed))} voices{f' for {part}' if part else ''}, expected two")
    separator = Separator.load(model, device=device)
    heard = sounds(data[0], listed)
    made = {
        kind: mixtures(pairs, heard, count=count, seconds=SECONDS, seed=seed) for kind, pairs in sorted(kinds.items())
    }
    begun, done, n = time.perf_counter(), 0, sum(len(m) for m in made.values())
    gains: dict[str, list[float]] = {kind: [] for kind in made}
    oracle: dict[str, list[float]] = {kind: [] for kind in made}
    for kind, ones in made.items():
        for one in ones:
            gains[kind].append(improvement(one, separator.separate(one.mixed, RATE)))
            oracle[kind].append(improvement(one, oracle_mask(one)))
            done += 1
            if progress:
                progress(done, n)
    return {
        "task": "speech",
        "model": str(model),
        "data": [str(path) for path in data],
        "part": part or "all",
        "seed": seed,
        "n": n,
        "n_by_kind": {kind: len(ones) for kind, ones in made.items()},
        "voices": ["/".join(voice) for voice in by_voice(listed)],
        "seconds": time.perf_counter() - begun,
        "metrics": _scores(gains),
        "baselines": {
            "oracle_mask": _scores(oracle),
            "mixture": _scores({k: [0.0] * len(v) for k, v in gains.items()}),
        },
    }


def pairs_of(voices: list[list[Recording]]) -> dict[str, Pairs]:
    """kind of mixture -> pairs of the recordings of two voices, as `evaluate_speech` names them."""
    sets: dict[str, list[list[Recording]]] = {}
    for ones in voices:
        sets.setdefault(ones[0].set, []).append(ones)
    kinds: dict[str, Pairs] = {name: list(combinations(theirs, 2)) for name, theirs in sets.items()}
    kinds["across"] = [pair for a, b in combinations(sets, 2) for pair in product(sets[a], sets[b])]
    kinds["same"] = [(ones, ones) for ones in voices]
    return {kind: pairs for kind, pairs in kinds.items() if pairs}


def improvement(mixture: Mixture, voices: Samples) -> float:
    """SI-SNR of the voices (2, n) under the better assignment, less that of the mixture, dB, mean over both."""
    sources = torch.from_numpy(mixture.sources).double()[None]
    best, _ = best_assignment(torch.from_numpy(voices).double()[None], sources)
    return float(best - si_snr(sources.sum(1, keepdim=True), sources).mean())


def oracle_mask(mixture: Mixture) -> Samples:
    """The sources' ideal ratio mask on the mixture's spectrogram: |S_k| / (|S_1| + |S_2|)."""
    window = torch.hann_window(FRAME)
    n = mixture.sources.shape[1]
    sources = torch.stft(torch.from_numpy(mixture.sources), FRAME, FRAME // 4, window=window, return_complex=True)
    sizes = sources.abs()
    masked = sizes / (sizes.sum(0) + 1e-9) * sources.sum(0)
    voices: Samples = torch.istft(masked, FRAME, FRAME // 4, window=window, length=n).numpy()
    return voices


def _scores(gains: dict[str, list[float]]) -> dict[str, float]:
    different = [gain for kind, theirs in gains.items() if kind != "same" for gain in theirs]
    found: dict[str, NDArray[np.float64] | list[float]] = {"si_snr_improvement": different}
    found |= {f"si_snr_improvement_{kind}": theirs for kind, theirs in gains.items()}
    return {name: round(float(np.mean(theirs)), 2) for name, theirs in found.items()}
