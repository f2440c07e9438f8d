"""Scores, counted exactly as the papers count them. All in per cent except calibration error, a fraction."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def emotion_scores(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """Accuracy, weighted and macro F1 over all labels, and micro F1 with neutral left out (DailyDialog's metric).

    gold and predicted name one label an utterance; weighted F1 weighs each label by how often it is gold. A label
    never predicted and never gold does not count towards the macro mean.
    """
    _check(gold, predicted)
    names = _names(gold, predicted, labels)
    confusion = _confusion(gold, predicted, names, np.zeros(len(gold), dtype=np.int64))[0]
    return {k: float(v) for k, v in _scores(confusion, names, labels).items()}


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
    _check(gold, predicted)
    names = _names(gold, predicted, labels)
    ids, which = np.unique(np.asarray(groups), return_inverse=True)
    by_group = _confusion(gold, predicted, names, which)
    rng = np.random.default_rng(seed)
    drawn = np.stack([np.bincount(rng.integers(0, len(ids), len(ids)), minlength=len(ids)) for _ in range(500)])
    low, high = np.percentile(_scores(np.tensordot(drawn, by_group, 1), names, labels)[metric], [2.5, 97.5])
    return float(low), float(high)


def _check(gold: Sequence[str], predicted: Sequence[str]) -> None:
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold labels but {len(predicted)} predictions")
    if not gold:
        raise ValueError("no labelled utterance to score")


def _names(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> list[str]:
    """The labels, and after them whatever else was said."""
    return list(dict.fromkeys([*labels, *gold, *predicted]))


def _confusion(
    gold: Sequence[str], predicted: Sequence[str], names: Sequence[str], which: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How often each name was gold (rows) and predicted (columns), by group (G, V, V); `which` (N,) are the groups."""
    place, v = {name: i for i, name in enumerate(names)}, len(names)
    g, p = (np.array([place[name] for name in some]) for some in (gold, predicted))
    n_groups = int(which.max()) + 1
    return np.bincount((which * v + g) * v + p, minlength=n_groups * v * v).reshape(n_groups, v, v).astype(np.float64)


def _scores(
    confusion: NDArray[np.float64], names: Sequence[str], labels: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """The scores of confusion counts (..., V, V), the first of `names` being `labels`."""
    n = len(labels)
    emotional = [i for i in range(n) if names[i] not in ("neutral", "others")]
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    is_gold, said = confusion.sum(-1), confusion.sum(-2)
    f1 = _share(2 * hits, is_gold + said)[..., :n]
    seen = (is_gold + said)[..., :n] > 0
    micro = [x[..., emotional].sum(-1) for x in (hits, is_gold + said)]
    return {
        "accuracy": 100 * _share(hits.sum(-1), is_gold.sum(-1)),
        "weighted_f1": 100 * _share((f1 * is_gold[..., :n]).sum(-1), is_gold[..., :n].sum(-1)),
        "macro_f1": 100 * _share((f1 * seen).sum(-1), seen.sum(-1)),
        "micro_f1_without_neutral": 100 * _share(2 * micro[0], micro[1]),
    }


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """part / whole, and 0 where there is no whole."""
    return np.divide(part, whole, out=np.zeros_like(part, dtype=np.float64), where=whole > 0)


def retrieval_scores(scores: Sequence[Sequence[float]], gt: Sequence[int]) -> dict[str, float]:
    """VisDial's sparse metrics over rounds: each has the scores of its options and the place of the human answer.

    R@k, MRR in per cent, and the mean rank. The rank is 1 + how many other options score at least as much: a tie counts
    against the human answer, else equal scores for all would look good.
    """
    if len(scores) != len(gt) or not gt:
        raise ValueError(f"expected as many lists of scores as answers, and some: got {len(scores)} and {len(gt)}")
    ranks = np.array([_rank(np.asarray(s, dtype=np.float64), place) for s, place in zip(scores, gt, strict=True)])
    return {
        **{f"recall_at_{k}": float(100 * (ranks <= k).mean()) for k in (1, 5, 10)},
        "mrr": float(100 * (1 / ranks).mean()),
        "mean_rank": float(ranks.mean()),
    }


def ndcg(scores: Sequence[Sequence[float]], relevance: Sequence[Sequence[float]]) -> tuple[float, int]:
    """VisDial's NDCG in per cent over annotated rounds, and how many rounds had no relevant option and were skipped.

    k is the number of options with a relevance other than 0; DCG = sum_{i=1..k} r_(i) / log2(i + 1) over the k options
    that score highest, IDCG the same over those most relevant. Of options that tie, the less relevant come first.
    """
    if len(scores) != len(relevance):
        raise ValueError(f"{len(scores)} lists of scores, but {len(relevance)} of relevances")
    found, skipped = list[float](), 0
    for one, wanted in zip(scores, relevance, strict=True):
        s, r = np.asarray(one, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
        if s.shape != r.shape:
            raise ValueError(f"{s.size} scores, but {r.size} relevances")
        k = int((r != 0).sum())
        if k == 0:
            skipped += 1
            continue
        discount = np.log2(np.arange(k) + 2)
        order = np.lexsort((r, -s))[:k]
        found.append(float((r[order] / discount).sum() / (np.sort(r)[::-1][:k] / discount).sum()))
    if not found:
        raise ValueError("no round has a relevant option")
    return 100 * float(np.mean(found)), skipped


def mean_interval(values: Sequence[float], groups: Sequence[object], seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean, groups drawn whole, 2,000 times.

    Of differences between two models' values on the same items this is the paired interval of the gain.
    """
    if len(values) != len(groups) or not values:
        raise ValueError(f"expected as many values as groups, and some: got {len(values)} and {len(groups)}")
    _, which = np.unique(np.asarray([str(g) for g in groups]), return_inverse=True)
    total, count = np.bincount(which, np.asarray(values, dtype=np.float64)), np.bincount(which)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(total), (2000, len(total)))
    low, high = np.percentile(total[drawn].sum(1) / count[drawn].sum(1), [2.5, 97.5])
    return float(low), float(high)


def share_interval(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, hits of n, in per cent: honest for few cases and near 0 and 100, where the
    bootstrap's has no width (Wilson 1927). ValueError for no case."""
    if not 0 <= hits <= n or not n:
        raise ValueError(f"expected some cases, and no more hits than cases: got {hits} of {n}")
    z = 1.959964
    centre, scale = (hits + z * z / 2) / (n + z * z), z / (n + z * z)
    half = scale * math.sqrt(hits * (n - hits) / n + z * z / 4)
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)


def _rank(scores: NDArray[np.float64], place: int) -> int:
    return int((scores >= scores[place]).sum())
