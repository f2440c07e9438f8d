"""Causes as a user gets them: emotions and causes from one model, on chats whose causes are marked."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dialog.conversation import Conversation
from dialog.corpora.cause_pairs import Target, targets
from dialog.evaluation.emotion.cause_scores import squad_f1
from dialog.metrics import mean_interval

EXPLAINED = {
    "causes_f1": "F1 of the pairs (message, message that causes its feeling) a user sees, over messages of --data "
    "whose causes are marked and those that can only be neutral, where any cause said is wrong.",
    "causes_precision": "Share of those pairs said that are marked.",
    "causes_recall": "Share of the marked pairs that are said.",
    "causes_f1_of_marked": "The F1 over messages whose causes are marked alone.",
    "causes_lost_as_neutral": "Share of messages with marked causes that are called neutral and given no cause.",
    "cause_span_f1": "Words in common (SQuAD's F1) of the span said and the one marked, over pairs rightly said.",
    "cause_spans_shorter": "Share of spans shorter than their message, over pairs rightly said whose marked span is "
    "shorter by two words or more.",
}


class Pairs(NamedTuple):
    """The pairs (target, cause) said and marked of one chat's messages."""

    said: set[tuple[int, int]]
    gold: set[tuple[int, int]]
    gold_of_marked: set[int]
    """The targets that are marked."""


def cause_metrics(conversations: Sequence[Conversation]) -> dict[str, Any]:
    """Of conversations with predictions and `causes` marked; empty where nothing is marked."""
    marked = [targets(c) for c in conversations]
    if not any(marked):
        return {}
    pairs = [_pairs(c, of) for c, of in zip(conversations, marked, strict=True)]
    counts = np.array([[len(p.said & p.gold), len(p.said), len(p.gold)] for p in pairs])
    only = np.array([[len(p.said & p.gold), _of(p.said, p.gold_of_marked), len(p.gold)] for p in pairs])
    low, high = _interval(counts)
    hits, said, gold = counts.sum(0)
    metrics: dict[str, Any] = {
        "causes_f1": float(_f1(counts.sum(0))),
        "causes_f1_95": [low, high],
        "causes_precision": 100 * float(hits / max(1, said)),
        "causes_recall": 100 * float(hits / gold),
        "causes_f1_of_marked": float(_f1(only.sum(0))),
    }
    lost = [_lost(c, t) for c, of in zip(conversations, marked, strict=True) for t in of]
    metrics["causes_lost_as_neutral"] = 100 * float(np.mean(lost))
    return metrics | _span_metrics(conversations, marked)


def by_rule(conversations: Sequence[Conversation], back: int) -> dict[str, Any]:
    """What pointing at the message itself (back 0), or at it and the one before (1), scores with the same emotions."""
    marked = [targets(c) for c in conversations]
    counts = np.zeros(3)
    for c, of in zip(conversations, marked, strict=True):
        named = {
            t for t, u in enumerate(c.utterances) if u.prediction and u.prediction.emotion not in (None, "neutral")
        }
        gold = {(t.place, j) for t in of for j in t.spans}
        judged = {t.place for t in of} | _only_neutral(c)
        said = {(t, t - k) for t in named & judged for k in range(back + 1) if t >= k}
        counts += [len(said & gold), len(said), len(gold)]
    return {"causes_f1": float(_f1(counts))}


def _pairs(c: Conversation, of: Sequence[Target]) -> Pairs:
    gold = {(t.place, j) for t in of for j in t.spans}
    marked = {t.place for t in of}
    judged = marked | _only_neutral(c)
    said = {
        (t, cause.utterance)
        for t, u in enumerate(c.utterances)
        if t in judged and u.prediction
        for cause in u.prediction.causes
        if cause.utterance is not None
    }
    return Pairs(said, gold, marked)


def _only_neutral(c: Conversation) -> set[int]:
    """The messages no reader would take for a feeling."""
    return {i for i, u in enumerate(c.utterances) if (u.extra.get("accepted") or [u.emotion]) == ["neutral"]}


def _of(said: set[tuple[int, int]], those: set[int]) -> int:
    return sum(t in those for t, _ in said)


def _f1(counts: Any) -> Any:
    return 200 * counts[..., 0] / np.maximum(1, counts[..., 1] + counts[..., 2])


def _interval(counts: Any) -> tuple[float, float]:
    """The 95 % bootstrap interval of F1, chats drawn whole."""
    drawn = np.random.default_rng(0).integers(0, len(counts), (2000, len(counts)))
    low, high = np.percentile(_f1(counts[drawn].sum(1)), [2.5, 97.5])
    return float(low), float(high)


def _lost(c: Conversation, t: Target) -> bool:
    p = c.utterances[t.place].prediction
    return p is not None and p.emotion == "neutral" and not p.causes


def _span_metrics(conversations: Sequence[Conversation], marked: Sequence[Sequence[Target]]) -> dict[str, Any]:
    common: list[tuple[float, int]] = []
    shorter: list[bool] = []
    for i, (c, of) in enumerate(zip(conversations, marked, strict=True)):
        for t in of:
            p = c.utterances[t.place].prediction
            for cause in p.causes if p else ():
                spans = [s for s in t.spans.get(cause.utterance, ()) if s] if cause.utterance is not None else []
                if not spans or cause.utterance is None:
                    continue
                whole = len(c.utterances[cause.utterance].text.split())
                common.append((max(squad_f1(span, cause.span or "") for span in spans), i))
                if all(len(span.split()) <= whole - 2 for span in spans):
                    shorter.append(len((cause.span or "").split()) < whole)
    metrics: dict[str, Any] = {}
    if common:
        values, groups = [100 * v for v, _ in common], [g for _, g in common]
        metrics |= {"cause_span_f1": float(np.mean(values)), "cause_span_f1_95": list(mean_interval(values, groups))}
    if shorter:
        metrics["cause_spans_shorter"] = 100 * float(np.mean(shorter))
    return metrics
