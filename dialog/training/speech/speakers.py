"""Teaches how many people speak, from talks of voices made by rule, over the shipped voiceprints."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from dialog.corpora.recordings import RATE
from dialog.evaluation.speech.speakers import as_heard, number_of, right_numbers, talk_of, windows
from dialog.speech.counting import MEASURES, MOST_SPEAKERS, Counting, length_of, measured
from dialog.speech.voiceprints import Voiceprints
from dialog.speech.voices import groupings
from dialog.training.loop import Progress
from dialog.training.speech.disguise import Disguise, disguised
from dialog.training.speech.sets import RARE, Voice, VoiceSets
from models import checkpoint
from models.catalogue import VOICEPRINTS, path_of
from models.device import Where

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeakersRecipe:
    n_talks: int = 60
    """Of each number of people, to learn from."""
    n_validation: int = 30
    seconds: tuple[float, ...] = (15.0, 25.0, 40.0, 40.0)
    """A talk is as long as one of these."""
    enough_s: float = 15.0
    """A voice with fewer seconds is not used, nor one that is a poor likeness of a person."""
    disguised: float = 0.5
    """So many of the talks to learn from are heard through another microphone, in a room or noise."""
    disguise: Disguise = field(
        default_factory=lambda: Disguise(
            formants=(1.0, 1.0), bent=0.6, colour_db=3.0, reverberant=0.2, noisy=0.6, noise_db=(12.0, 40.0)
        )
    )
    ridge: float = 0.01
    """On the squared weights of the measures."""


def train_speakers(
    recipe: SpeakersRecipe,
    data: Path,
    out: Path,
    *,
    voices: Path | None = None,
    start: Path | None = None,
    seed: int = 0,
    report: Callable[[Progress], None] | None = None,
    device: Where = None,
) -> dict[str, Any]:
    """Writes `speakers.json` into `out`, learned over the voiceprints of `start`, by default the shipped ones. Returns
    the shares of validation talks whose number is found. Raises BadRecordings; ValueError for too few voices."""
    folder = path_of(str(start or VOICEPRINTS))
    prints = Voiceprints.load(folder, device=device)
    sets = VoiceSets.read(data / "audio", voices)
    learned, kept = (_people(recipe, found) for found in (sets.learned, sets.kept))
    if min(len(learned), len(kept)) < MOST_SPEAKERS:
        raise ValueError(
            f"{len(learned)} voices to learn from and {len(kept)} kept, of {recipe.enough_s:g} s or more; expected "
            f"{MOST_SPEAKERS} each, from --voices FOLDER"
        )
    total, done = MOST_SPEAKERS * (recipe.n_talks + recipe.n_validation), 0

    def talks(of: Sequence[Voice], count: int, part: int, shares: float) -> list[tuple[int, Floats]]:
        nonlocal done
        found = []
        for n in range(1, MOST_SPEAKERS + 1):
            for i in range(count):
                rng = np.random.default_rng((seed, part, n, i))
                drawn = [of[int(k)] for k in rng.choice(len(of), n, replace=False)]
                samples, _ = talk_of(rng, drawn, sets.sounds)
                samples = samples[: int(rng.choice(recipe.seconds) * RATE)]
                if rng.random() < shares:
                    samples = disguised(rng, samples, len(samples), recipe.disguise)
                found.append((n, prints([as_heard(x) for x in windows(samples)])))
                done += 1
                if report:
                    report(Progress(done, total, 0.0))
        return found

    counting = learn(recipe, talks(learned, recipe.n_talks, 0, recipe.disguised), checkpoint.content_hash(folder))
    out.mkdir(parents=True, exist_ok=True)
    counting.save(out)
    judged: dict[int, list[int]] = {}
    for n, theirs in talks(kept, recipe.n_validation, 1, 0.0):
        judged.setdefault(n, []).append(number_of(theirs, counting))
    return {name: round(value, 4) for name, value in right_numbers(judged).items()}


def learn(recipe: SpeakersRecipe, talks: Sequence[tuple[int, Floats]], voiceprints: str = "") -> Counting:
    """A conditional logit (McFadden 1974) from talks: the number of people, and voiceprints (W, D)."""
    numbers = np.array([n for n, _ in talks])
    measures = np.stack([measured(prints, groupings(prints)) for _, prints in talks])
    lengths = np.array([length_of(len(prints)) for _, prints in talks])
    mean, spread = np.nanmean(measures, (0, 1)), np.nanstd(measures, (0, 1)) + 1e-9
    m, k = len(MEASURES), MOST_SPEAKERS - 1

    def made(x: Floats) -> Counting:
        parts = (mean, spread, x[:m], x[m : m + k], x[m + k :])
        mean_, spread_, weight, bias, length = (tuple(round(float(v), 6) for v in part) for part in parts)
        return Counting(mean=mean_, spread=spread_, weight=weight, bias=bias, length=length, voiceprints=voiceprints)

    z = (measures - mean) / spread

    def surprise(x: Floats) -> float:
        several = z @ x[:m] + x[m : m + k] + lengths[:, None] * x[m + k :]
        scores = np.concatenate([np.zeros((len(z), 1)), np.nan_to_num(several, nan=-1e9)], 1)
        said = scores[np.arange(len(z)), numbers - 1] - logsumexp(scores, axis=1)
        return float(-said.mean() + recipe.ridge * (x[:m] ** 2).sum())

    return made(minimize(surprise, np.zeros(m + 2 * k)).x)


def _people(recipe: SpeakersRecipe, found: Mapping[str, Sequence[Voice]]) -> list[Voice]:
    return [
        voice
        for name in sorted(found)
        for voice in found[name]
        if name != "fsdd"  # single digits, home-recorded: joined they are no talk
        and not voice[0].speaker.startswith(RARE)
        and sum(one.seconds for one in voice) >= recipe.enough_s
    ]
