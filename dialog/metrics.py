"""Scores, counted exactly as the papers count them. All in per cent except calibration error, a fraction."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import f1_score


def emotion_scores(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """Accuracy, weighted and macro F1 over all labels, and micro F1 with neutral left out (DailyDialog's metric).

    gold and predicted name one label an utterance; weighted F1 weighs each label by how often it is gold. A label
    never predicted and never gold does not count towards the macro mean.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold labels but {len(predicted)} predictions")
    if not gold:
        raise ValueError("no labelled utterance to score")
    g, p = np.asarray(gold), np.asarray(predicted)
    emotional = [label for label in labels if label not in ("neutral", "others")]
    seen = [label for label in labels if (g == label).any() or (p == label).any()]
    return {
        "accuracy": 100 * float((g == p).mean()),
        "weighted_f1": 100 * float(f1_score(g, p, labels=list(labels), average="weighted", zero_division=0)),
        "macro_f1": 100 * float(f1_score(g, p, labels=seen, average="macro", zero_division=0)),
        "micro_f1_without_neutral": 100 * float(f1_score(g, p, labels=emotional, average="micro", zero_division=0)),
    }


def calibration_error(probabilities: Sequence[float], correct: Sequence[bool], bins: int = 15) -> float:
    """Expected calibration error, 0..1: |accuracy - confidence| averaged over equal-width bins of the confidence of
    the label returned, each weighted by its share (Guo et al. 2017, eq. 3)."""
    p, c = np.asarray(probabilities, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if p.shape != c.shape or p.size == 0:
        raise ValueError(f"expected as many probabilities as outcomes, and some: got {p.size} and {c.size}")
    which = np.clip(np.ceil(p * bins).astype(int) - 1, 0, bins - 1)
    gaps = [
        abs(c[which == b].mean() - p[which == b].mean()) * (which == b).mean()
        for b in range(bins)
        if (which == b).any()
    ]
    return float(sum(gaps))


def interval(
    gold: Sequence[str],
    predicted: Sequence[str],
    labels: Sequence[str],
    metric: str,
    groups: Sequence[int],
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % bootstrap interval of one metric of `emotion_scores`, conversations (groups) drawn whole, 500 times."""
    rng = np.random.default_rng(seed)
    g, p, ids = np.asarray(gold), np.asarray(predicted), np.asarray(groups)
    members = [np.flatnonzero(ids == i) for i in np.unique(ids)]
    scores = []
    for _ in range(500):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        scores.append(emotion_scores(g[rows].tolist(), p[rows].tolist(), labels)[metric])
    low, high = np.percentile(scores, [2.5, 97.5])
    return float(low), float(high)
