"""Every labelling of a dialogue and its score, written out: the oracle, which shares nothing with what it judges."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What enumeration says of one dialogue."""

    log_partition: float
    marginals: Array
    best: tuple[int, ...]
    best_score: float
    scores: dict[tuple[int, ...], float]


def skip_chain_edges(speakers: Sequence[int], max_skip: int) -> Iterator[tuple[int, int, str]]:
    """(from, to, table): neighbours; a turn's opener and its speaker's last word at most max_skip turns back."""
    for i in range(1, len(speakers)):
        yield i - 1, i, "same" if speakers[i] == speakers[i - 1] else "other"
    turns = [[i for i, _ in group] for _, group in itertools.groupby(enumerate(speakers), key=lambda pair: pair[1])]
    for k, turn in enumerate(turns):
        for foreign in range(1, max_skip + 1):
            if k - 1 - foreign >= 0 and speakers[turns[k - 1 - foreign][0]] == speakers[turn[0]]:
                yield turns[k - 1 - foreign][-1], turn[0], "same"
                break


def enumerate_labellings(
    emissions: Array, edges: Sequence[tuple[int, int, str]], tables: dict[str, Array], *, final: bool = True
) -> Answers:
    """emissions (N, L); tables start, end (L,) and those the edges name (L, L). Without `final`, end is left out."""
    n, n_labels = emissions.shape
    labellings = list(itertools.product(range(n_labels), repeat=n))
    scores = []
    for y in labellings:
        score = sum(float(emissions[i, y[i]]) for i in range(n))
        score += sum(float(tables[name][y[j], y[i]]) for j, i, name in edges)
        if n:
            score += float(tables["start"][y[0]]) + (float(tables["end"][y[-1]]) if final else 0.0)
        scores.append(score)
    largest = max(scores)
    weights = np.exp(np.array(scores) - largest)
    marginals = np.zeros((n, n_labels))
    for y, weight in zip(labellings, weights / weights.sum(), strict=True):
        marginals[np.arange(n), list(y)] += weight
    best = max(range(len(scores)), key=scores.__getitem__)
    return Answers(
        log_partition=largest + float(np.log(weights.sum())),
        marginals=marginals,
        best=labellings[best],
        best_score=largest,
        scores=dict(zip(labellings, scores, strict=True)),
    )


def speaker_patterns(n: int) -> Iterator[tuple[int, ...]]:
    """Every way n utterances can be shared out among speakers, up to their names."""
    if n == 0:
        yield ()
        return
    for pattern in speaker_patterns(n - 1):
        for speaker in range(len(set(pattern)) + 1):
            yield (*pattern, speaker)
