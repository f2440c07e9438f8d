"""`rapport evaluate speakers`: one voice known from another, and who speaks when in talk that takes turns."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from dialog.corpora.mixtures import Samples, talk
from dialog.corpora.recordings import RATE, Recording, by_voice, recordings_of, sounds
from dialog.evaluation.speech.cepstrum import statistics
from dialog.speech.counting import MOST_SPEAKERS, Counting
from dialog.speech.sound import RATE as HEARD_AT
from dialog.speech.voiceprints import Voiceprints
from dialog.speech.voices import clustered
from models.catalogue import VOICEPRINTS
from models.device import Where

WINDOW_S, STEP_S = 1.5, 0.5
TURN_S, TALK_S = (2.0, 5.0), 40.0
"""A turn of one speaker, between these, and a talk of several, in seconds."""

Heard = Mapping[Recording, NDArray[np.int16]]


def evaluate_speakers(
    data: Sequence[Path],
    model: str | Path = VOICEPRINTS,
    *,
    part: str | None = None,
    device: Where = None,
    count: int = 8,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate speakers --json`.

    data: one folder of recordings; `part` leaves our train, validation or test voices alone. `equal_error_rate` is of
    all pairs of stretches of 1.5 s, 30 a voice. `wrong_speaker_2` and `_3` are shares of the time of `count` talks
    of so many people in turns of 2 to 5 s, their number being told, under the best naming of the speakers; turns that
    change within a window count in full. Beside it mean and spread of the cepstrum, clustered alike. `right_number` is
    the share of `count` talks of one to four people of which it is found how many they are, `right_number_N` that of
    N, and `numbers` how often each was found. ValueError without two voices.
    """
    _, listed = recordings_of(data, part)
    voices = list(by_voice(listed).values())
    if len(voices) < 2:
        raise ValueError(f"{data[0]} has {len(voices)} voices{f' for {part}' if part else ''}, expected two")
    heard, prints = sounds(data[0], listed), Voiceprints.load(model, device=device)
    ways = {"ours": lambda xs: prints([as_heard(x) for x in xs]), "cepstrum": _scaled_statistics}
    begun = time.perf_counter()
    stretches, whose = trials(voices, heard, count=30 * len(voices), seed=seed)
    scores = {name: {"equal_error_rate": error_rate_of(way(stretches), whose)} for name, way in ways.items()}
    talks = {n: talks_of(voices, heard, n, count=count, seed=seed) for n in (2, 3) if len(voices) >= n}
    done, total = 0, sum(len(made) for made in talks.values())
    counted = {1: talks_of(voices, heard, 1, count=count, seed=seed), **talks}
    if len(voices) >= MOST_SPEAKERS:
        counted[MOST_SPEAKERS] = talks_of(voices, heard, MOST_SPEAKERS, count=count, seed=seed)
    for n, made in talks.items():
        wrong: dict[str, list[float]] = {name: [] for name in ways}
        for samples, speaker in made:
            for name, way in ways.items():
                wrong[name].append(wrong_share(clustered(way(windows(samples)), n), speaker))
            done += 1
            if progress:
                progress(done, total)
        for name, shares in wrong.items():
            scores[name][f"wrong_speaker_{n}"] = float(np.mean(shares))
    numbers = {n: [number_of(ways["ours"](windows(samples))) for samples, _ in made] for n, made in counted.items()}
    scores["ours"] |= right_numbers(numbers)
    rounded = {name: {metric: round(value, 4) for metric, value in theirs.items()} for name, theirs in scores.items()}
    return {
        "task": "speakers",
        "model": str(model),
        "data": [str(path) for path in data],
        "part": part or "all",
        "seed": seed,
        "n": len(whose) + total,
        "voices": ["/".join(ones[0].voice) for ones in voices],
        "seconds": time.perf_counter() - begun,
        "numbers": {str(n): {str(k): found.count(k) for k in sorted(set(found))} for n, found in numbers.items()},
        "metrics": rounded["ours"],
        "baselines": {"cepstrum": rounded["cepstrum"]},
    }


def trials(
    voices: Sequence[Sequence[Recording]], heard: Heard, *, count: int, seconds: float = WINDOW_S, seed: int = 1
) -> tuple[Samples, NDArray[np.int64]]:
    """Stretches (count, n) of voices in turn, and whose (count,) they are."""
    rng = np.random.default_rng(seed)
    whose = np.arange(count) % len(voices)
    return np.stack([talk(rng, voices[int(w)], heard, int(seconds * RATE)) for w in whose]), whose


def talks_of(
    voices: Sequence[Sequence[Recording]], heard: Heard, n: int, *, count: int, seed: int
) -> list[tuple[Samples, NDArray[np.int64]]]:
    """Talks of n voices in turn: samples (m,) and who speaks each of them (m,), from 0."""
    rng = np.random.default_rng(seed)
    chosen = list(combinations(range(len(voices)), n))
    order = rng.permutation(len(chosen))
    return [talk_of(rng, [voices[v] for v in chosen[order[i % len(order)]]], heard) for i in range(count)]


def talk_of(
    rng: np.random.Generator, voices: Sequence[Sequence[Recording]], heard: Heard
) -> tuple[Samples, NDArray[np.int64]]:
    """One such talk, TALK_S long or a little more."""
    pieces: list[Samples] = []
    speakers: list[NDArray[np.int64]] = []
    last, length = -1, 0
    while length < TALK_S * RATE:
        k = int(rng.choice([i for i in range(len(voices)) if i != last or len(voices) == 1]))
        n = int(rng.uniform(*TURN_S) * RATE)
        pieces.append(talk(rng, voices[k], heard, n))
        speakers.append(np.full(n, k))
        last, length = k, length + n
    return np.concatenate(pieces), np.concatenate(speakers)


def windows(samples: Samples) -> list[Samples]:
    """Stretches of 1.5 s, half a second apart."""
    size, step = int(WINDOW_S * RATE), int(STEP_S * RATE)
    return [samples[at : at + size] for at in range(0, max(1, len(samples) - size + 1), step)]


def number_of(prints: NDArray[np.float64], counting: Counting | None = None) -> int:
    """How many people `who_speaks` finds in voiceprints (W, D) of a talk."""
    return len(set(clustered(prints, None, counting).tolist()))


def right_numbers(found: Mapping[int, Sequence[int]]) -> dict[str, float]:
    """The shares of talks whose number of people was found: of all, and of each true number."""
    each = {f"right_number_{n}": float(np.mean([k == n for k in theirs])) for n, theirs in sorted(found.items())}
    whole = [k == n for n, theirs in found.items() for k in theirs]
    return {"right_number": float(np.mean(whole)), **each}


def wrong_share(labels: NDArray[np.int64], speaker: NDArray[np.int64]) -> float:
    """The share of the time that another than speaker (m,) was said to speak, by labels (W,) of the windows, each
    sample taking that of the nearest, under the naming that is best."""
    at = (np.arange(len(speaker)) - WINDOW_S / 2 * RATE) / (STEP_S * RATE)
    said = labels[np.clip(np.rint(at), 0, len(labels) - 1).astype(int)]
    together = np.zeros((int(speaker.max()) + 1, int(labels.max()) + 1))
    np.add.at(together, (speaker, said), 1)
    rows, columns = linear_sum_assignment(-together)
    return float(1 - together[rows, columns].sum() / len(speaker))


def equal_error_rate(same: NDArray[np.float64], different: NDArray[np.float64]) -> float:
    """Where as many pairs of one voice are missed as pairs of two are taken for one; scores (n,) and (m,)."""
    thresholds = np.unique(np.concatenate([same, different]))
    missed = np.searchsorted(np.sort(same), thresholds) / len(same)
    taken = 1 - np.searchsorted(np.sort(different), thresholds) / len(different)
    at = int(np.argmin(np.abs(missed - taken)))
    return float((missed[at] + taken[at]) / 2)


def error_rate_of(prints: NDArray[np.floating[Any]], whose: NDArray[np.int64]) -> float:
    """Equal error rate of the cosines of all pairs of voiceprints (n, D)."""
    unit = prints / np.linalg.norm(prints, axis=1, keepdims=True)
    first, second = np.triu_indices(len(unit), 1)
    scores = (unit[first] * unit[second]).sum(1).astype(np.float64)
    alike = whose[first] == whose[second]
    return equal_error_rate(scores[alike], scores[~alike])


def as_heard(samples: Samples) -> Samples:
    """As `who_speaks` is given them."""
    higher: Samples = scipy.signal.resample_poly(samples, HEARD_AT // RATE, 1).astype(np.float32)
    return higher


def _scaled_statistics(stretches: Sequence[Samples] | Samples) -> NDArray[np.float64]:
    found = np.stack([statistics(one) for one in stretches])
    spread = found.std(0)
    return np.asarray((found - found.mean(0)) / np.where(spread > 1e-9, spread, 1.0))
