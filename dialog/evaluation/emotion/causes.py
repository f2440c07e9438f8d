"""`rapport evaluate causes`: RECCON's and ECF's scores, with gold emotions and with those the product would see."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dialog.conversation import Cause, Conversation, Prediction
from dialog.corpora import read
from dialog.corpora.cause_pairs import fold_1, targets
from dialog.corpora.ekman import in_ekman
from dialog.emotion.causes import NEUTRAL, CauseFinder
from dialog.emotion.port import Mode
from dialog.emotion.tagger import EmotionTagger, speaker_ids
from dialog.evaluation.emotion.cause_scores import RULES, Answer, by_rule, cause_scores, intervals, pair_scores
from models.catalogue import CAUSES, EMOTION
from models.device import Where

Found = list[tuple[Cause, ...]]
"""The causes of each utterance of a conversation, those too unlikely to be named among them."""

_WITH_INTERVALS = ("positive_f1", "macro_f1", "far_positive_f1", "span_exact_match", "span_f1_squad")


def evaluate_causes(
    data: Sequence[Path],
    model: str | Path = CAUSES,
    *,
    emotions: str | Path = EMOTION,
    live: bool = True,
    device: Where = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate causes --json`.

    Without a prefix: gold emotions, as published. `predicted_`: those `emotions` predicts, still asked of every
    annotated utterance. `end_to_end_`: as the product does it, where an utterance predicted neutral has no cause.
    `live_`: the same with what came before a message alone, as published; a log is read with its neighbours on both
    sides. ECF has no spans and is scored by its pairs; a model that learned from it answers as its annotators do, and
    `as_reccon_` is what the product says, which answers as RECCON's. ValueError where nothing is annotated.
    """
    tagger = EmotionTagger.load(emotions, causes=False, device=device)
    finder = CauseFinder.load(model, tagger.encoder, tagger.labels)
    conversations = [c for path in data for c in read(path)]
    if not any(targets(c) for c in conversations):
        raise ValueError(f"{', '.join(map(str, data))}: no utterance has a cause that is annotated")
    begun = time.perf_counter()
    scores: dict[str, Any] = {}
    seconds = 0.0
    modes: list[tuple[Mode, str]] = [("offline", ""), *([("live", "live_")] if live else [])]  # type: ignore[list-item]
    for mode, prefix in modes:
        scores |= {prefix + k: v for k, v in _measure(tagger, finder, conversations, mode).items()}
        seconds = seconds or time.perf_counter() - begun
        if progress:
            progress(1 + (mode == "live"), 1 + live)
    rows = [
        (i, row, c.utterances[row.candidate].text) for i, c in enumerate(conversations) for row in fold_1(targets(c))
    ]
    return {
        "task": "causes",
        "model": finder.version,
        "emotions": tagger.version,
        "habit": _habits(finder, conversations)[0][0],
        "data": [str(path) for path in data],
        "n": sum(len(targets(c)) for c in conversations),
        "n_conversations": len(conversations),
        "n_positive_rows": sum(row.positive for _, row, _ in rows),
        "n_negative_rows": sum(not row.positive for _, row, _ in rows),
        "seconds": seconds,
        "metrics": scores,
        "baselines": {name: cause_scores(by_rule(rows, rule)) for name, rule in RULES.items()},
    }


def _measure(
    tagger: EmotionTagger, finder: CauseFinder, conversations: Sequence[Conversation], mode: Mode
) -> dict[str, Any]:
    encoded = tagger.encoder.encode(conversations, live=mode == "live", keep_tokens=finder.keep_tokens)
    tagged = tagger.tag(conversations, mode=mode)
    predicted = [[u.prediction for u in c.utterances if u.prediction] for c in tagged]
    speakers = [speaker_ids([u.speaker for u in c.utterances]) for c in conversations]
    gold = [list(map(_as_gold, c.utterances, p)) for c, p in zip(conversations, predicted, strict=True)]
    asked = [list(map(_asked_anyway, p, g)) for p, g in zip(predicted, gold, strict=True)]
    scores: dict[str, Any] = {}
    for habit, answering in _habits(finder, conversations):
        # Every pair is wanted, with its probability; what is named of them is decided here, by the model's thresholds.
        everything = finder.with_thresholds(0.0, 0.0, habit=habit)
        own = finder.config.calibrations[everything.habit]
        for prefix, shown in (("", gold), ("predicted_", asked), ("end_to_end_", predicted)):
            found = everything.find(conversations, encoded, shown, speakers)
            answers = [a for i, c in enumerate(conversations) for a in _answers(i, c, found[i], own.threshold)]
            mine: dict[str, Any] = cause_scores(answers)
            if all(a.row.span is None for a in answers):
                mine = {k: v for k, v in mine.items() if not k.startswith("span_")}
                mine |= _pairs(conversations, found, shown, own.threshold)
            mine |= {f"{k}_95": v for k, v in intervals(answers, [m for m in _WITH_INTERVALS if m in mine]).items()}
            mine["latent_f1"] = _latent(conversations, found, own.latent_threshold)
            scores |= {answering + prefix + k: v for k, v in mine.items()}
    return scores


def _habits(finder: CauseFinder, conversations: Sequence[Conversation]) -> list[tuple[str, str]]:
    """The annotators whose habits are measured, and the prefix of each: those of this data, then the product's."""
    first, *others = finder.config.habits
    spans = (row.span for c in conversations for row in fold_1(targets(c)) if row.positive)
    if "ecf" in others and not any(spans):
        return [("ecf", ""), (first, f"as_{first}_")]
    return [(first, "")]


def _answers(group: int, c: Conversation, found: Found, threshold: float) -> list[Answer]:
    answers = []
    for row in fold_1(targets(c)):
        cause = next((x for x in found[row.target] if x.utterance == row.candidate), None)
        if cause is None:  # Beyond the window, or the target was taken for neutral.
            answers.append(Answer(group, row, None, 0.0))
        else:
            said = (cause.span or "") if cause.probability >= threshold else None
            answers.append(Answer(group, row, said, cause.probability))
    return answers


def _pairs(
    conversations: Sequence[Conversation],
    found: Sequence[Found],
    shown: Sequence[Sequence[Prediction]],
    threshold: float,
) -> dict[str, float]:
    """ECF's scores, over all utterances, those of annotated causes that point forward among the gold pairs."""
    gold = [
        ((i, t, cause["utterance"]), in_ekman(u.emotion) or "")
        for i, c in enumerate(conversations)
        for t, u in enumerate(c.utterances)
        for cause in u.extra.get("causes") or ()
        if cause["utterance"] is not None
    ]
    said = [
        ((i, t, cause.utterance), cause.emotion or "")
        for i, by in enumerate(found)
        for t, causes in enumerate(by)
        for cause in causes
        if cause.utterance is not None and cause.probability >= threshold
    ]
    return pair_scores(gold, said)


def _latent(conversations: Sequence[Conversation], found: Sequence[Found], threshold: float) -> float:
    """F1 of saying that a cause is not in the conversation, over annotated utterances, in per cent."""
    truth, said = [], []
    for c, by in zip(conversations, found, strict=True):
        for t in targets(c):
            truth.append(t.latent)
            said.append(any(x.utterance is None and x.probability >= threshold for x in by[t.place]))
    hits = sum(a and b for a, b in zip(truth, said, strict=True))
    return 200 * hits / max(1, sum(truth) + sum(said))


def _as_gold(utterance: Any, predicted: Prediction) -> Prediction:
    """The prediction of somebody who knows; what has no gold label stays as predicted."""
    label = in_ekman(utterance.emotion)
    if label is None or label not in predicted.probabilities:
        return predicted
    certain = {name: float(name == label) for name in predicted.probabilities}
    return replace(predicted, emotion=label, probability=1.0, probabilities=certain)


def _asked_anyway(predicted: Prediction, gold: Prediction) -> Prediction:
    """As predicted, but never called neutral where it is not: such an utterance would not be asked."""
    return replace(predicted, emotion=gold.emotion) if NEUTRAL in (predicted.emotion, gold.emotion) else predicted
