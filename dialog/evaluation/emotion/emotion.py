"""`rapport evaluate emotion`: every published metric on files of labelled conversations, with its baselines."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from dialog.conversation import Conversation
from dialog.corpora import read
from dialog.corpora.derived.leaks import normal
from dialog.corpora.derived.strays import with_strangers
from dialog.corpora.ekman import OWN_LABELS, TO_EKMAN
from dialog.emotion.causes import NEUTRAL
from dialog.emotion.tagger import EmotionTagger
from dialog.metrics import calibration_error, emotion_scores, interval
from models.catalogue import EMOTION
from models.device import Where

OnProgress = Callable[[int, int], None]
"""Told how many utterances are done, and of how many."""


class NothingToScore(ValueError):
    """The files hold no labelled utterance this model's labels can be compared with."""


def evaluate_emotion(
    data: Sequence[Path],
    model: str | Path = EMOTION,
    *,
    without: Sequence[Path] = (),
    live: bool = True,
    strays: bool = False,
    device: Where = None,
    progress: OnProgress | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate emotion --json`.

    Gold labels may be the model's own or, for a model with Ekman's labels, those of any corpus that maps to them, each
    file by itself; utterances without a counterpart are left out and counted. `without` drops conversations that stand
    word for word in these files (copies of train conversations in a test part). `live` also scores the live mode, which
    costs more. `strays` puts messages out of other conversations, and emoji alone, among those of every conversation,
    one to each eight; they are not scored, and should not change what the others are said to feel.
    """
    tagger = EmotionTagger.load(model, causes=False, device=device)
    files = [list(read(path)) for path in data]
    copies = {_fingerprint(c) for path in without for c in read(path)}
    kept_of = [[c for c in file if _fingerprint(c) not in copies] for file in files]
    kept = [c for file in kept_of for c in file]
    truth = [row for file in kept_of for row in _truth(file, tagger.labels)]
    if strays:
        kept, truth = _among_strays(kept_of, truth)
    n = sum(len(c.utterances) for c in kept)
    scored = [label for labels in truth for label in labels if label]
    if not scored:
        raise NothingToScore(
            f"{', '.join(map(str, data))}: no utterance has a label out of {', '.join(tagger.labels)}, "
            "or one that maps to them"
        )
    done = 0

    def step(k: int) -> None:
        nonlocal done
        done += k
        if progress:
            progress(min(done, n), n)

    start = time.perf_counter()
    tagged = tagger.tag(kept, progress=step)
    seconds = time.perf_counter() - start
    metrics = _scores(tagged, truth, tagger.labels)
    if live:
        metrics |= {
            f"live_{k}": v
            for k, v in _scores(tagger.tag(kept, mode="live"), truth, tagger.labels).items()
            if "95" not in k
        }
    majority = Counter(scored).most_common(1)[0][0]
    return {
        "task": "emotion",
        "model": tagger.version,
        "data": [str(path) for path in data],
        "n": len(scored),
        "n_conversations": len(kept),
        "n_without_label": n - len(scored),
        "n_copies_left_out": sum(map(len, files)) - len(kept),
        "seconds": seconds,
        "metrics": metrics,
        "baselines": {
            "majority": {"label": majority, **emotion_scores(scored, [majority] * len(scored), tagger.labels)}
        },
    }


def _scores(
    tagged: Sequence[Conversation], truth: Sequence[Sequence[str | None]], labels: Sequence[str]
) -> dict[str, Any]:
    gold, predicted, probability, group = [], [], [], []
    for i, (c, row) in enumerate(zip(tagged, truth, strict=True)):
        for u, label in zip(c.utterances, row, strict=True):
            if label and u.prediction:
                gold.append(label)
                predicted.append(u.prediction.emotion or NEUTRAL)  # What cannot be read shows no feeling.
                probability.append(u.prediction.probability)
                group.append(i)
    scores: dict[str, Any] = dict(emotion_scores(gold, predicted, labels))
    scores["ece"] = calibration_error(probability, [g == p for g, p in zip(gold, predicted, strict=True)])
    for metric in ("weighted_f1", "micro_f1_without_neutral"):
        scores[f"{metric}_95"] = list(interval(gold, predicted, labels, metric, group))
    return scores


def _truth(conversations: Sequence[Conversation], labels: Sequence[str]) -> list[list[str | None]]:
    """Gold labels of one file in the model's words; None where there is none, or none that fits."""
    raw = _raw(conversations)
    seen = _seen(raw)
    mapping: Mapping[str, str] = {label: label for label in labels}
    if not seen <= set(labels) and set(labels) == set(OWN_LABELS["meld"]):
        mapping = TO_EKMAN.get(_corpus(seen), mapping)
    return [[mapping.get(label) if label else None for label in row] for row in raw]


def _raw(conversations: Sequence[Conversation]) -> list[list[str | None]]:
    """Gold labels of one file in its own words."""
    return [[_gold(u.emotion, u.extra.get("emotions")) for u in c.utterances] for c in conversations]


def _seen(rows: Sequence[Sequence[str | None]]) -> set[str]:
    return {label for row in rows for label in row if label}


def _corpus(labels: Set[str]) -> str:
    """The first corpus that has all of the labels; empty where none has."""
    return next((corpus for corpus, own in OWN_LABELS.items() if labels <= set(own)), "")


def _among_strays(
    files: Sequence[Sequence[Conversation]], truth: Sequence[Sequence[str | None]]
) -> tuple[list[Conversation], list[list[str | None]]]:
    """The conversations of each file with stray messages among them, and their gold labels, strays having none."""
    labelled, drawn = iter(truth), list[Conversation]()
    rows = list[list[str | None]]()
    for file in files:
        strayed = with_strangers(file, _corpus(_seen(_raw(file))), 1.0, random.Random("strays"))
        for c, mixed in zip(file, strayed, strict=True):
            own = {id(u): label for u, label in zip(c.utterances, next(labelled), strict=True)}
            drawn.append(mixed)
            rows.append([own.get(id(u)) for u in mixed.utterances])
    return drawn, rows


def _gold(one: str | None, many: Any) -> str | None:
    if isinstance(many, list):
        return str(many[0]) if len(many) == 1 else None
    return one


def _fingerprint(c: Conversation) -> str:
    return "\n".join(normal(u.text) for u in c.utterances)
