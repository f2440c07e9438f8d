"""`rapport evaluate voice-emotion`: acted emotions told from the voice, beside MFCC statistics and the commonest."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dialog.conversation import Voice
from dialog.corpora.recordings import EMOTIONS, Recording, recordings_of, sounds
from dialog.evaluation.speech.cepstrum import statistics
from dialog.speech.voice_emotion import VoiceEmotions, inputs_of
from models.catalogue import VOICE_EMOTION
from models.device import Where

STRENGTH = 0.3
"""Of the linear model over MFCC statistics (scikit-learn's C): the best of those tried, speakers left out in turn."""


def evaluate_voice_emotion(
    data: Sequence[Path],
    model: str | Path = VOICE_EMOTION,
    *,
    part: str | None = None,
    device: Where = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate voice-emotion --json`.

    data: one folder of recordings, of which those that have an emotion count; `part` leaves our train, validation or
    test voices alone. `mean_recall` is the mean over the emotions of the share that is told (chance: 1 over their
    number), `sure` the share of which it is sure, `accuracy_sure` how many of those are right. Beside it the commonest
    emotion, always said, and a linear model of MFCC statistics, both learned from the folder's voices that are not
    measured, or where all are, from all but one in turn. The shipped head has learned from our train and validation
    voices. ValueError where none has an emotion.
    """
    acted, measured = ([one for one in ones if one.emotion in EMOTIONS] for ones in recordings_of(data, part))
    if not measured:
        raise ValueError(f"{data[0]} has no recordings with an emotion{f' for {part}' if part else ''}")
    ours = VoiceEmotions.load(model, device=device)
    heard = {one: samples.astype(np.float32) / np.float32(32768) for one, samples in sounds(data[0], acted).items()}
    begun = time.perf_counter()
    said: list[Voice] = []
    for n, one in enumerate(measured, 1):
        said.append(ours.said_of(inputs_of(heard[one], ours.network)[None]))
        if progress:
            progress(n, len(measured))
    gold = [emotion_of(one) for one in measured]
    told = [max(voice.probabilities, key=lambda label: voice.probabilities[label]) for voice in said]
    scores = scores_of(gold, told)
    sure = [i for i, voice in enumerate(said) if voice.emotion is not None]
    scores["sure"] = round(len(sure) / len(said), 4)
    if sure:
        scores["accuracy_sure"] = round(sum(gold[i] == told[i] for i in sure) / len(sure), 4)
    counts = Counter(gold)
    low, high = _interval(gold, told, seed)
    return {
        "task": "voice-emotion",
        "model": str(model),
        "data": [str(path) for path in data],
        "part": part or "all",
        "seed": seed,
        "n": len(measured),
        "voices": sorted({"/".join(one.voice) for one in measured}),
        "seconds": time.perf_counter() - begun,
        "metrics": scores,
        "intervals": {"mean_recall": [round(low, 4), round(high, 4)]},
        "recall": {
            label: round(sum(g == t == label for g, t in zip(gold, told, strict=True)) / n, 4)
            for label, n in sorted(counts.items())
        },
        "baselines": {
            "chance": {"mean_recall": round(1 / len(counts), 4)},
            **{
                name: scores_of(gold, found)
                for name, found in _baselines(acted, measured, heard).items()
                if found is not None
            },
        },
    }


def emotion_of(one: Recording) -> str:
    """The name of a recording's emotion, of EmoDB's letter."""
    assert one.emotion is not None
    return EMOTIONS[one.emotion]


def mfcc_model() -> Any:
    """A linear model of MFCC statistics, scaled, every emotion counting alike: scikit-learn's `fit` and `predict`."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=2000, class_weight="balanced"))


def _baselines(
    acted: Sequence[Recording], measured: Sequence[Recording], heard: dict[Recording, NDArray[np.float32]]
) -> dict[str, list[str] | None]:
    """name -> what it says of each measured recording; None where there is nobody else to learn from."""
    inside = set(measured)
    others = [one for one in acted if one not in inside]
    found: dict[str, dict[Recording, str]] = {"commonest": {}, "mfcc": {}}
    for voice in sorted({one.voice for one in measured}):
        left_out = [one for one in measured if one.voice == voice]
        learned = others or [one for one in measured if one.voice != voice]
        emotions = [emotion_of(one) for one in learned]
        if len(set(emotions)) < 2:
            return dict.fromkeys(found)
        commonest = Counter(emotions).most_common(1)[0][0]
        model = mfcc_model().fit(np.stack([statistics(heard[one]) for one in learned]), emotions)
        guesses = model.predict(np.stack([statistics(heard[one]) for one in left_out]))
        for one, guess in zip(left_out, guesses, strict=True):
            found["commonest"][one], found["mfcc"][one] = commonest, str(guess)
    return {name: [theirs[one] for one in measured] for name, theirs in found.items()}


def scores_of(gold: Sequence[str], told: Sequence[str]) -> dict[str, float]:
    """Mean recall, accuracy and macro F1, 0 to 1, over the emotions that are there."""
    there = sorted(set(gold))
    return {
        "mean_recall": round(float(recall_score(gold, told, labels=there, average="macro", zero_division=0)), 4),
        "accuracy": round(float(accuracy_score(gold, told)), 4),
        "macro_f1": round(float(f1_score(gold, told, labels=there, average="macro", zero_division=0)), 4),
    }


def _interval(gold: Sequence[str], told: Sequence[str], seed: int) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean recall, recordings drawn 2,000 times."""
    _, which = np.unique(gold, return_inverse=True)
    right = np.asarray([g == t for g, t in zip(gold, told, strict=True)])
    drawn = np.random.default_rng(seed).integers(0, len(gold), (2000, len(gold)))
    there = which[drawn][..., None] == np.arange(which.max() + 1)  # (2000, N, L)
    recalls = (there & right[drawn][..., None]).sum(1) / np.maximum(there.sum(1), 1)
    low, high = np.percentile(recalls.mean(1), [2.5, 97.5])
    return float(low), float(high)
