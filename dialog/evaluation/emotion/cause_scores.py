"""The published scores of emotion causes, counted as RECCON's scripts count them; all in per cent, except ece.

Entailment (which utterances) and extraction (which words) are both scored over the rows of fold 1, where a positive
pair counts once a span. The published extraction script sorts an answer by how it stands to the truth: equal, one part
of the other, or neither; only the first two score. Its branch for the third reads a variable left over from an earlier
row when it counts wrongly empty answers; here each row is judged by its own answer.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialog.corpora.cause_pairs import Row
from dialog.metrics import calibration_error

Counts = NDArray[np.float64]

FAR = 2
"""From this distance on a cause is far: neither the target itself nor the utterance before it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One row of fold 1 and what was said of it: `span` is None where the pair was denied."""

    group: int
    """The conversation; intervals draw these whole."""
    row: Row
    span: str | None
    probability: float | None = None


def cause_scores(answers: Sequence[Answer]) -> dict[str, float]:
    """Every score of one set of answers; `ece` only where all have a probability."""
    if not answers:
        raise ValueError("no annotated cause to score")
    scores = {name: float(value) for name, value in _scores(_counts(answers).sum(0)).items()}
    pairs = {(a.group, a.row.target, a.row.candidate): a for a in answers}.values()
    if all(a.probability is not None for a in pairs):
        scores["ece"] = calibration_error([a.probability or 0.0 for a in pairs], [a.row.positive for a in pairs])
    return scores


def intervals(answers: Sequence[Answer], metrics: Sequence[str], seed: int = 0) -> dict[str, list[float]]:
    """95 % bootstrap intervals of some scores, conversations drawn whole, 500 times."""
    by_group = _counts(answers)
    rng, n = np.random.default_rng(seed), len(by_group)
    drawn = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(500)])
    scores = _scores(drawn @ by_group)
    return {metric: [float(v) for v in np.percentile(scores[metric], [2.5, 97.5])] for metric in metrics}


RULES: Mapping[str, Callable[[int], bool]] = {
    "target_only": lambda distance: distance == 0,
    "target_and_previous": lambda distance: distance <= 1,
    "last_three": lambda distance: distance <= 2,
}
"""Baselines that look at the distance alone: what they say of a candidate so many utterances before the target."""


def by_rule(rows: Sequence[tuple[int, Row, str]], rule: Callable[[int], bool]) -> list[Answer]:
    """What a rule answers to rows (group, row, text of the candidate): the whole utterance, or nothing."""
    return [Answer(group, row, text if rule(row.target - row.candidate) else None) for group, row, text in rows]


def pair_scores(gold: Sequence[tuple[Any, str]], said: Sequence[tuple[Any, str]]) -> dict[str, float]:
    """ECF's scores over (pair, emotion): F1 of each emotion weighted by how often it is gold, and F1 over all."""
    names = sorted({emotion for _, emotion in gold})
    gold_set, said_set = set(gold), set(said)
    f1 = {}
    for name in names:
        g, s = {p for p in gold_set if p[1] == name}, {p for p in said_set if p[1] == name}
        f1[name] = 200 * len(g & s) / (len(g) + len(s))
    sizes = Counter(emotion for _, emotion in gold_set)
    weighted = sum(f1[name] * sizes[name] for name in names) / max(1, sum(sizes.values()))
    micro = 200 * len(gold_set & said_set) / max(1, len(gold_set) + len(said_set))
    return {"pair_weighted_f1": weighted, "pair_micro_f1": micro}


def lcs_f1(truth: str, said: str) -> float:
    """F1 of the words of the longest common substring, where one holds the other; else 0. Equal: 1."""
    truth, said = truth.strip(), said.strip()
    if truth == said:
        return 1.0
    if not said or not (said in truth or truth in said):
        return 0.0
    common = len(min(truth, said, key=len).split())
    return 2 * common / (len(truth.split()) + len(said.split()))


def squad_f1(truth: str, said: str) -> float:
    """SQuAD's F1 of tokens: lower case, without punctuation and articles, counted with repetition."""
    t, s = _squad_tokens(truth), _squad_tokens(said)
    if not t or not s:
        return float(t == s)
    return 2 * sum((Counter(t) & Counter(s)).values()) / (len(t) + len(s))


def _squad_tokens(text: str) -> list[str]:
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


# The columns of the counts of one conversation.
_COLUMNS = (
    *("tp", "fp", "fn", "tn"),  # rows
    *("pair_tp", "pair_fp", "pair_fn", "pair_tn"),  # distinct pairs
    *("far_tp", "far_fp", "far_fn", "far_tn"),  # rows at distance FAR and more
    *("exact", "lcs", "squad", "overlap"),  # sums over positive rows
)
_AT = {name: i for i, name in enumerate(_COLUMNS)}


def _counts(answers: Sequence[Answer]) -> Counts:
    """(G, columns): what happened in each conversation."""
    groups = {g: i for i, g in enumerate(dict.fromkeys(a.group for a in answers))}
    counts = np.zeros((len(groups), len(_COLUMNS)))
    seen = set()
    for a in answers:
        line, row = counts[groups[a.group]], a.row
        cell = ("tp" if row.positive else "fp") if a.span is not None else ("fn" if row.positive else "tn")
        line[_AT[cell]] += 1
        pair = (a.group, row.target, row.candidate)
        line[_AT[f"pair_{cell}"]] += pair not in seen
        seen.add(pair)
        line[_AT[f"far_{cell}"]] += row.target - row.candidate >= FAR
        if row.positive and row.span is not None and a.span is not None:
            lcs, squad = lcs_f1(row.span, a.span), squad_f1(row.span, a.span)
            line[_AT["exact"]] += row.span.strip() == a.span.strip()
            line[_AT["lcs"]] += lcs
            line[_AT["squad"]] += squad if lcs else 0.0
            line[_AT["overlap"]] += squad
    return counts


def _scores(counts: Counts) -> dict[str, Counts]:
    """Of counts (..., columns)."""

    def of(name: str) -> Counts:
        return counts[..., _AT[name]]

    def share(part: Counts, whole: Counts) -> Counts:
        return 100 * np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)

    scores = {}
    for name, start in (("", ""), ("pair_", "pair_"), ("far_", "far_")):
        tp, fp, fn, tn = (of(start + cell) for cell in ("tp", "fp", "fn", "tn"))
        scores[f"{name}positive_f1"] = share(2 * tp, 2 * tp + fp + fn)
        scores[f"{name}negative_f1"] = share(2 * tn, 2 * tn + fp + fn)
        scores[f"{name}macro_f1"] = (scores[f"{name}positive_f1"] + scores[f"{name}negative_f1"]) / 2
    del scores["far_negative_f1"], scores["far_macro_f1"]
    positive, negative = of("tp") + of("fn"), of("tn") + of("fp")
    scores["span_exact_match"] = share(of("exact"), positive)
    scores["span_f1_lcs"] = share(of("lcs"), positive)
    scores["span_f1_squad"] = share(of("squad"), positive)
    scores["span_f1_overlap"] = share(of("overlap"), positive)
    scores["span_f1_negative"] = scores["negative_f1"]  # Of the same decisions: what is no cause has no span.
    scores["span_f1_all"] = share(of("lcs") + of("tn"), positive + negative)
    scores["span_exact_match_of_found"] = share(of("exact"), of("tp"))
    return scores
