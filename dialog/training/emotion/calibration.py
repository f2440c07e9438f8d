"""What is chosen on validation once a model is trained: temperatures, the decoding, a bias a label."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dialog.conversation import Conversation, Prediction
from dialog.corpora import gold
from dialog.corpora.ekman import TO_EKMAN
from dialog.emotion.causes import NEUTRAL
from dialog.emotion.config import EmotionModelConfig
from dialog.emotion.port import Mode
from dialog.emotion.tagger import EmotionTagger
from dialog.metrics import calibration_error, emotion_scores

LIVE_SAMPLE = 200
"""Conversations on which the live mode is calibrated: each of its utterances costs a window of its own."""
TEMPERATURES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.7, 2.0, 2.4)
BIASES = tuple(float(b) for b in np.round(np.arange(-1.0, 1.01, 0.1), 1) + 0.0)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Conversations and the label of every utterance, in order; None where there is none."""

    conversations: tuple[Conversation, ...]
    truth: tuple[str | None, ...]

    @classmethod
    def of(cls, parts: Sequence[tuple[Conversation, str]], label_set: str) -> Self:
        """From (conversation, corpus) pairs, labels in the words of `label_set`."""
        truth: list[str | None] = []
        for c, corpus in parts:
            labels = gold(c, corpus)
            if label_set == "ekman":
                labels = [TO_EKMAN[corpus].get(label) if label else None for label in labels]
            truth += labels
        return cls(tuple(c for c, _ in parts), tuple(truth))

    def some(self, n: int) -> Self:
        """Every k-th conversation, so that about n are left."""
        k = max(1, len(self.conversations) // n)
        places = np.cumsum([0, *(len(c.utterances) for c in self.conversations)])
        kept = range(0, len(self.conversations), k)
        truth = [t for i in kept for t in self.truth[places[i] : places[i + 1]]]
        return type(self)(tuple(self.conversations[i] for i in kept), tuple(truth))

    def predictions(self, tagger: EmotionTagger, mode: Mode = "offline") -> list[tuple[Prediction, str, int]]:
        """(prediction, truth, number of the conversation) of every labelled utterance."""
        tagged = tagger.tag(self.conversations, mode=mode)
        flat = [(u.prediction, i) for i, c in enumerate(tagged) for u in c.utterances]
        return [(p, t, i) for (p, i), t in zip(flat, self.truth, strict=True) if p and t]


def calibrate(
    tagger: EmotionTagger, held_out: Labelled, metric: str, *, may_bias: bool = False
) -> tuple[EmotionModelConfig, dict[str, float]]:
    """The tagger's config with temperatures and decoding that suit `held_out` best, and the scores there.

    Temperatures make the labels likeliest; the decoding is the one with the best `metric` of emotion_scores. With
    `may_bias` one with a bias for or against neutral is tried too; then the label is not always the likeliest one.
    """
    config = tagger.config
    offline = {t: _surprise(tagger.using(replace(config, temperature=t)), held_out, "offline") for t in TEMPERATURES}
    sample = held_out.some(LIVE_SAMPLE)
    live = {t: _surprise(tagger.using(replace(config, live_temperature=t)), sample, "live") for t in TEMPERATURES}
    config = replace(
        config, temperature=min(offline, key=offline.__getitem__), live_temperature=min(live, key=live.__getitem__)
    )
    candidates = {"posterior": config, "viterbi": replace(config, decoding="viterbi")}
    if may_bias:
        bias = choose_bias(held_out.predictions(tagger.using(config)), config.labels, metric)
        candidates["biased"] = replace(config, label_bias=bias)
    scores = {name: score(tagger.using(c), held_out) for name, c in candidates.items()}
    chosen = max(scores, key=lambda name: scores[name][metric])  # A tie goes to the first, the plain posterior.
    config = candidates[chosen]
    in_live_mode = {f"live_{k}": v for k, v in score(tagger.using(config), sample, "live").items()}
    return config, scores[chosen] | in_live_mode | {f"{name}_{metric}": s[metric] for name, s in scores.items()}


def score(tagger: EmotionTagger, labelled: Labelled, mode: Mode = "offline") -> dict[str, float]:
    """emotion_scores and the calibration error (ece)."""
    rows = labelled.predictions(tagger, mode)
    scores = emotion_scores([t for _, t, _ in rows], [p.emotion or NEUTRAL for p, _, _ in rows], tagger.labels)
    return scores | {
        "ece": calibration_error([p.probability for p, _, _ in rows], [p.emotion == t for p, t, _ in rows])
    }


def choose_bias(rows: Sequence[tuple[Prediction, str, int]], labels: Sequence[str], metric: str) -> tuple[float, ...]:
    """A number for neutral, 0 for the others, added to log-probabilities before the largest is taken; () for none.

    It is kept only if, chosen on four fifths of the conversations and tried on the last fifth, it still gains 0.2
    points of `metric` over all five. A number for every label gained 3 points of weighted F1 on MELD's validation part
    that way and lost half a point on its test part, so there is but one.
    """
    if "neutral" not in labels:
        return ()
    log_p = np.log(np.clip([[p.probabilities[label] for label in labels] for p, _, _ in rows], 1e-9, None))
    truth, neutral = [t for _, t, _ in rows], np.array([label == "neutral" for label in labels], dtype=float)
    fold = np.array([i % 5 for _, _, i in rows])
    chosen = {b: (log_p + b * neutral).argmax(1) for b in BIASES}

    def value(best: NDArray[Any], where: NDArray[Any]) -> float:
        return emotion_scores([truth[i] for i in where], [labels[k] for k in best[where]], labels)[metric]

    def fit(where: NDArray[Any]) -> float:
        return max(sorted(BIASES, key=abs), key=lambda b: value(chosen[b], where))

    everything, held_out = np.arange(len(rows)), np.zeros(len(rows), dtype=int)
    for f in range(5):
        inside, outside = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        if len(inside) == 0 or len(outside) == 0:
            return ()
        held_out[outside] = chosen[fit(inside)][outside]
    if value(held_out, everything) < value(chosen[0.0], everything) + 0.2:
        return ()
    return tuple(round(float(b), 2) for b in fit(everything) * neutral + 0.0)


def _surprise(tagger: EmotionTagger, held_out: Labelled, mode: Mode) -> float:
    """The mean of -log p(truth), in nats."""
    rows = held_out.predictions(tagger, mode)
    return sum(-math.log(max(p.probabilities[t], 1e-9)) for p, t, _ in rows) / len(rows)
