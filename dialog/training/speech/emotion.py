"""Teaches the head that hears emotions: which inputs and how much shrinkage is found by leaving speakers out in turn.

Minutes, and the same by the same seed. Each recording is heard as it was made and, as often, disguised as another
voice in another room, so that the head does not lean on one studio.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from threadpoolctl import threadpool_limits

from dialog.corpora.recordings import EMOTIONS, BadRecordings, Recording, recordings, sounds
from dialog.evaluation.speech.cepstrum import statistics
from dialog.evaluation.speech.emotion import emotion_of, mfcc_model, scores_of
from dialog.speech.prosody import N_MEASURES
from dialog.speech.voice_emotion import inputs_of
from dialog.training.loop import Progress
from dialog.training.speech.disguise import Disguise, disguised
from models import checkpoint
from models.catalogue import VOICEPRINTS, path_of
from models.voice_emotion import VoiceEmotion, VoiceEmotionConfig
from models.voice_emotion.model import BOUND
from models.voiceprint import Voiceprint, VoiceprintConfig

Floats = NDArray[np.float64]

INPUTS = {"measures": slice(0, N_MEASURES), "network": slice(N_MEASURES, None), "both": slice(None)}
"""What the head may hear of a stretch."""
TEMPERATURES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class VoiceEmotionRecipe:
    n_disguised: int = 7
    """Copies of each recording; the recording itself counts as much as all of them."""
    disguise: Disguise = field(
        default_factory=lambda: Disguise(
            formants=(0.9, 1.12), bent=0.8, colour_db=4.0, reverberant=0.3, noisy=0.5, noise_db=(8.0, 40.0)
        )
    )
    speed: tuple[float, float] = (0.88, 1.14)
    shrinkages: tuple[float, ...] = (0.15, 0.3, 0.6)
    """Of the covariance, those tried."""
    right: float = 0.75
    """Of what it is sure of, so much is to be right; the voices left out say from which probability that is so."""
    usual: float = 0.99
    """So many of the recordings left out are to be no stranger than what it is sure of."""


class Heard(NamedTuple):
    """Inputs (K, N, F) of N recordings, as made and K - 1 times disguised; labels (N,), and who speaks (N,)."""

    inputs: Floats
    labels: NDArray[np.str_]
    speakers: NDArray[np.str_]


class LeftOut(NamedTuple):
    """What heads say of recordings (K, N) whose speakers they did not hear: scores (K, N, L), how strange (K, N)."""

    scores: Floats
    strange: Floats


def train_voice_emotion(
    recipe: VoiceEmotionRecipe,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Learns from the acted recordings of data/audio but those of the test voices. Raises BadRecordings for fewer than
    two speakers or three emotions."""
    acted = [one for one in recordings(data / "audio") if one.emotion in EMOTIONS and one.part != "test"]
    if len({one.voice for one in acted}) < 2 or len({one.emotion for one in acted}) < 3:
        raise BadRecordings(f"{data / 'audio'}: expected acted emotions, at least three of them by two speakers")
    whole = np.float32(32768)
    samples = {one: found.astype(np.float32) / whole for one, found in sounds(data / "audio", acted).items()}
    beneath = path_of(VOICEPRINTS)
    network = checkpoint.load(beneath, Voiceprint, VoiceprintConfig, device="cpu").eval()
    heard = _heard(recipe, acted, samples, network, seed, report)
    with threadpool_limits(1):  # small matrices: threads would wait for one another
        tried = {
            (name, shrinkage): left_out(replaced(heard, INPUTS[name]), shrinkage)
            for name in INPUTS
            for shrinkage in recipe.shrinkages
        }
        found = {choice: _recalls(said, heard.labels) for choice, said in tried.items()}
        name, shrinkage = max(found, key=lambda choice: sum(found[choice]))
        temperature, least, strange = _calibrated(recipe, tried[name, shrinkage], heard.labels)
        head = learned(replaced(heard, INPUTS[name]), shrinkage)
        mfcc = _mfcc_recall(acted, samples)
    config = VoiceEmotionConfig(
        labels=tuple(np.unique(heard.labels).tolist()),
        n_inputs=heard.inputs.shape[-1],
        least_probability=least,
        most_strange=strange,
        voiceprints=checkpoint.content_hash(beneath),
    )
    model = as_model(config, head, INPUTS[name], temperature)
    checkpoint.save(out, model, config, dtype=torch.float16)
    recall, robust = found[name, shrinkage]
    scores = {"mean_recall": round(recall, 4), "mean_recall_disguised": round(robust, 4)}
    told = {
        "validation": scores,
        "baselines": {"mfcc": {"mean_recall": round(mfcc, 4)}, "chance": {"mean_recall": round(1 / head.n_labels, 4)}},
        "tried": [
            {"inputs": n, "shrinkage": s, "mean_recall": round(a, 4), "mean_recall_disguised": round(b, 4)}
            for (n, s), (a, b) in found.items()
        ],
        "chosen": {"inputs": name, "shrinkage": shrinkage, "temperature": temperature},
        "n": len(acted),
        "voices": sorted({"/".join(one.voice) for one in acted}),
        "seed": seed,
        "recipe": asdict(recipe),
    }
    (out / "scores.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    (out / "card.md").write_text(card(config, told), encoding="utf-8")
    return scores


class Head(NamedTuple):
    """What was learned: means and spreads (F,) of inputs, weights (L, F) and biases (L,) over the scaled ones."""

    mean: Floats
    spread: Floats
    weight: Floats
    bias: Floats

    @property
    def n_labels(self) -> int:
        """Emotions."""
        return len(self.bias)

    def scaled(self, inputs: Floats) -> Floats:
        """Inputs (..., F) in spreads from their means."""
        return np.asarray((inputs - self.mean) / self.spread)

    def scores(self, inputs: Floats) -> Floats:
        """(..., L), not yet at a temperature."""
        return np.asarray(self.scaled(inputs).clip(-BOUND, BOUND) @ self.weight.T + self.bias)


def learned(heard: Heard, shrinkage: float) -> Head:
    """Linear discriminants with a shrunk covariance, every emotion as likely as any other; recordings as they were
    made count as much as all their copies."""
    copies = len(heard.inputs) - 1
    rows = np.concatenate([np.repeat(heard.inputs[:1], max(1, copies), 0), heard.inputs[1:]])
    labels = np.tile(heard.labels, len(rows))
    rows = rows.reshape(-1, rows.shape[-1])
    mean, spread = rows.mean(0), rows.std(0) + 1e-6
    n = len(np.unique(labels))
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage, priors=np.full(n, 1 / n))
    model.fit(((rows - mean) / spread).clip(-BOUND, BOUND), labels)
    return Head(mean, spread, np.asarray(model.coef_), np.asarray(model.intercept_))


def left_out(heard: Heard, shrinkage: float) -> LeftOut:
    """What heads say that were learned without the speaker, of each speaker in turn."""
    names = np.unique(heard.labels)
    scores = np.full((*heard.inputs.shape[:2], len(names)), -1e9)
    strange = np.zeros(heard.inputs.shape[:2])
    for speaker in np.unique(heard.speakers):
        out = heard.speakers == speaker
        others = Heard(heard.inputs[:, ~out], heard.labels[~out], heard.speakers[~out])
        head = learned(others, shrinkage)
        known = np.isin(names, others.labels)
        scores[np.ix_(np.arange(len(scores)), out, known)] = head.scores(heard.inputs[:, out])
        strange[:, out] = np.square(head.scaled(heard.inputs[:, out]).clip(-10, 10)).mean(-1)
    return LeftOut(scores, strange)


def as_model(config: VoiceEmotionConfig, head: Head, inputs: slice, temperature: float) -> VoiceEmotion:
    """The head as a network of all inputs, those it does not hear at no weight."""
    model = VoiceEmotion(config).eval()
    with torch.no_grad():
        model.out.weight.zero_()
        model.out.weight[:, inputs] = torch.from_numpy(head.weight / temperature).float()
        model.out.bias.copy_(torch.from_numpy(head.bias / temperature))
        model.mean[inputs], model.spread[inputs] = (torch.from_numpy(x).float() for x in (head.mean, head.spread))
    return model


def replaced(heard: Heard, inputs: slice) -> Heard:
    """The same with those inputs alone."""
    return heard._replace(inputs=heard.inputs[..., inputs])


def _heard(
    recipe: VoiceEmotionRecipe,
    acted: Sequence[Recording],
    samples: Mapping[Recording, NDArray[np.float32]],
    network: Voiceprint,
    seed: int,
    report: Callable[[Progress], None] | None,
) -> Heard:
    rows = []
    for n, one in enumerate(acted):
        copies = [samples[one]]
        for k in range(recipe.n_disguised):
            rng = np.random.default_rng((seed, n, k))
            length = int(len(samples[one]) * rng.uniform(*recipe.speed))
            copies.append(disguised(rng, samples[one], length, recipe.disguise))
        rows.append(np.stack([inputs_of(copy, network) for copy in copies]))
        if report:
            report(Progress(n + 1, len(acted), 0.0))
    speakers = np.array(["/".join(one.voice) for one in acted])
    return Heard(np.stack(rows, 1), np.array([emotion_of(one) for one in acted]), speakers)


def _recalls(said: LeftOut, labels: NDArray[np.str_]) -> tuple[float, float]:
    """Mean recall of recordings as they were made, and of their copies."""
    told = np.unique(labels)[said.scores.argmax(-1)]
    copies = told[1:] if len(told) > 1 else told
    of_copies = scores_of(np.tile(labels, len(copies)).tolist(), copies.ravel().tolist())["mean_recall"]
    return scores_of(labels.tolist(), told[0].tolist())["mean_recall"], of_copies


def _calibrated(recipe: VoiceEmotionRecipe, said: LeftOut, labels: NDArray[np.str_]) -> tuple[float, float, float]:
    """The temperature at which what is said is likeliest; the least probability that is right often enough; and how
    strange at most a recording usually is. As made and as copies, each counting as learning counts them."""
    gold = np.searchsorted(np.unique(labels), labels)
    weights = np.full(said.scores.shape[:2], 1.0)
    weights[0] = max(1, len(weights) - 1)

    def surprise(temperature: float) -> float:
        log_p = log_softmax(said.scores / temperature, -1)[:, np.arange(len(gold)), gold]
        return float((-np.maximum(log_p, -20) * weights).sum())

    temperature = min(TEMPERATURES, key=surprise)
    p = np.exp(log_softmax(said.scores / temperature, -1))
    best, right = p.max(-1), p.argmax(-1) == gold
    order = np.argsort(-best, axis=None)
    share = np.cumsum((right * weights).ravel()[order]) / np.cumsum(weights.ravel()[order])
    enough = np.flatnonzero(share >= recipe.right)
    least = float(best.ravel()[order][enough[-1]]) if len(enough) else 1.0
    return temperature, round(least, 3), round(float(np.quantile(said.strange, recipe.usual)), 3)


def _mfcc_recall(acted: Sequence[Recording], samples: Mapping[Recording, NDArray[np.float32]]) -> float:
    """Mean recall of a linear model of MFCC statistics, learned without the speaker, of each speaker in turn."""
    rows, labels = np.stack([statistics(samples[one]) for one in acted]), np.array([emotion_of(one) for one in acted])
    speakers = np.array(["/".join(one.voice) for one in acted])
    told = np.empty_like(labels)
    for speaker in np.unique(speakers):
        out = speakers == speaker
        told[out] = mfcc_model().fit(rows[~out], labels[~out]).predict(rows[out])
    return scores_of(labels.tolist(), told.tolist())["mean_recall"]


def card(config: VoiceEmotionConfig, told: Mapping[str, Any]) -> str:
    """What the head is, what it learned from, and what it is not good at, as far as training knows it."""
    scores, base, chosen = told["validation"], told["baselines"], told["chosen"]
    rows = "\n".join(
        f"| {one['inputs']}, {one['shrinkage']} | {one['mean_recall']:.1%} | {one['mean_recall_disguised']:.1%} |"
        for one in told["tried"]
    )
    return f"""# speech/emotion

Says which of {len(config.labels)} acted emotions a voice is likest, whatever the words: {", ".join(config.labels)}.
One linear layer over {N_MEASURES} measures of how something is said (pitch, loudness, voicing, pace, cepstrum,
spectrum) and the mean and spread of the last layer of `{VOICEPRINTS}`.

Trained with `rapport train speech/emotion --data DATA --out OUT`, seed {told["seed"]}, on {told["n"]} recordings of
EmoDB's speakers {", ".join(voice.partition("/")[2] for voice in told["voices"])}: German sentences, spoken by actors.
Each was heard as made and, counting as much, in {told["recipe"]["n_disguised"]} disguises of voice, microphone, room
and noise.

## Validation

Each speaker left out in turn, mean recall was {scores["mean_recall"]:.1%} of the recordings as made and
{scores["mean_recall_disguised"]:.1%} of their disguises. A linear model of MFCC statistics had
{base["mfcc"]["mean_recall"]:.1%}, chance is {base["chance"]["mean_recall"]:.1%}. By this were chosen the inputs, the
shrinkage of the covariance ({chosen["shrinkage"]}), the temperature, and what it is not sure of: what is less likely
than {config.least_probability:.2f} or stranger than {config.most_strange:.2f}. The network of voiceprints has heard
four of these voices, and the step of its training was chosen by the other two.

| heard, shrinkage | as made | disguised |
|---|---|---|
{rows}

## Limits

Actors, who show more than people do; German; a studio; few voices. People who mean it are told far less well, and
other languages, children, illness, drink, singing and a bad line were not heard at all. It hears how somebody sounds,
not what he feels. Do not use it to judge people: not in hiring, policing, schooling, insurance or medical decisions.
"""
