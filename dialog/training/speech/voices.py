"""Training the separator: mixtures made as they are needed, the best step by voices that are not learned from."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
import scipy.signal
import torch
from torch import Tensor, nn

from dialog.corpora.mixtures import Mixture, Samples, mixed, mixtures, talk
from dialog.corpora.recordings import RATE
from dialog.training.averaging import Average
from dialog.training.best import Best
from dialog.training.loop import Progress, Schedule, finish, run
from dialog.training.speech.ablations import ABLATIONS
from dialog.training.speech.disguise import Disguise, disguised
from dialog.training.speech.sets import Voice, VoiceSets
from models import checkpoint
from models.catalogue import path_of
from models.device import Where, choose_device, mixed_precision
from models.mossformer2 import MossFormer2, MossFormer2Config
from models.mossformer2.si_snr import best_assignment, separation_loss, si_snr


def _small() -> MossFormer2Config:
    return MossFormer2Config(
        n_filters=512, kernel=256, stride=128, d_model=192, n_blocks=6, d_key=64, chunk=64, dropout=0.0
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class VoicesRecipe:
    model: MossFormer2Config = field(default_factory=_small)
    """Of a run that starts from nothing."""
    steps: int = 4500
    batch: int = 4
    seconds: float = 2.0
    lr: float = 6e-4
    shares: Mapping[str, float] = field(default_factory=lambda: {"fsdd": 0.15, "emodb": 0.2, "voices": 0.65})
    """How often a voice is of each set; `voices` are a folder's. Sets that are not there are left out."""
    alike: float = 0.6
    """How often both voices are of one set, which are harder to tell apart; otherwise each is of any."""
    disguise: Disguise = field(default_factory=lambda: Disguise(reverberant=0.05, noisy=0.1))
    one_silent: float = 0.06
    """How often a voice is silent for a part of the time."""
    validate_every: int = 200
    n_validation: int = 60


def ablated(name: str, steps: int = 300) -> VoicesRecipe:
    """The recipe of a name in ABLATIONS: from nothing, as many steps for all, long enough to compare and no more."""
    recipe = VoicesRecipe(steps=steps, lr=1e-3, validate_every=150)
    return replace(recipe, model=replace(recipe.model, **cast(dict[str, Any], ABLATIONS[name].fields)))


class Maker:
    """Training mixtures: the batch of a step is the same whenever it is made."""

    def __init__(self, recipe: VoicesRecipe, sets: VoiceSets) -> None:
        self.recipe, self.sets = recipe, sets
        self.names = [name for name in recipe.shares if name in sets.learned]
        if not self.names:
            raise ValueError(f"voices of {', '.join(sets.learned) or 'no set'}, expected {', '.join(recipe.shares)}")
        p = np.array([recipe.shares[name] for name in self.names])
        self.p = p / p.sum()

    def batch(self, seed: int, step: int) -> Tensor:
        """Sources (B, 2, n)."""
        rng = np.random.default_rng((seed, step))
        return torch.from_numpy(np.stack([self._sources(rng) for _ in range(self.recipe.batch)]))

    def _sources(self, rng: np.random.Generator) -> Samples:
        first = self._set(rng)
        second = first if rng.random() < self.recipe.alike else self._set(rng)
        sources = mixed(rng, *(self._talk(rng, self.sets.draw(rng, name)) for name in (first, second)))
        return sources * np.float32(10 ** (rng.uniform(-12, 3) / 20))

    def _set(self, rng: np.random.Generator) -> str:
        return self.names[int(rng.choice(len(self.names), p=self.p))]

    def _talk(self, rng: np.random.Generator, voice: Voice) -> Samples:
        n, how = int(self.recipe.seconds * RATE), self.recipe.disguise
        said = disguised(rng, talk(rng, voice, self.sets.sounds, int(n * rng.uniform(*how.speed))), n, how)
        if rng.random() < self.recipe.one_silent:
            silent = int(rng.uniform(0.2, 0.6) * n)
            said[slice(silent) if rng.random() < 0.5 else slice(n - silent, n)] = 0
        return said


def fourier_start(model: MossFormer2) -> None:
    """Encoder and decoder begin as a windowed Fourier basis, each wave and its negative: with every mask 1 the
    mixture comes back, where there are twice as many filters as samples in a frame. Learning starts where a spectrogram
    would, and may leave it."""
    c = model.config
    n_waves = -(-c.n_filters // 4)
    window = np.sqrt(scipy.signal.get_window("hann", c.kernel))
    frequencies = (np.arange(n_waves) + 0.5) * np.pi / n_waves
    angle = frequencies[:, None] * (np.arange(c.kernel) - c.kernel / 2 + 0.5)
    waves = np.stack([np.cos(angle), np.sin(angle)], 1) * window  # (n, 2, kernel)
    basis = np.stack([waves, -waves], 2).reshape(-1, c.kernel)[: c.n_filters]
    filters = torch.from_numpy(basis.astype(np.float32))[:, None]
    with torch.no_grad():
        model.encoder.weight.copy_(filters)
        model.decoder.weight.copy_(filters * (2 * c.stride / (c.kernel * n_waves)))


def estimated(model: MossFormer2, mixture: Tensor) -> Tensor:
    """(B, n) to (B, K, n), in bfloat16 where products are large."""
    with mixed_precision(mixture.device):
        found: Tensor = model(mixture).float()
    return found


@torch.no_grad()
def improvement(model: MossFormer2, made: list[Mixture]) -> float:
    """Mean SI-SNR improvement in dB."""
    device = next(model.parameters()).device
    gains = []
    for one in made:
        sources = torch.from_numpy(one.sources).to(device)[None]
        found = model(sources.sum(1))
        gains.append(float(best_assignment(found, sources)[0] - si_snr(sources.sum(1, keepdim=True), sources).mean()))
    return float(np.mean(gains))


def train_voices(
    recipe: VoicesRecipe,
    data: Path,
    out: Path,
    *,
    voices: Path | None = None,
    start: Path | None = None,
    seed: int = 0,
    report: Callable[[Progress], None] | None = None,
    device: Where = None,
) -> dict[str, Any]:
    """Trains on data/audio and a folder of a subfolder a voice, from `start` on where there is one; validation scores.

    Raises BadRecordings for recordings or a folder that cannot be read.
    """
    where = choose_device(device)
    torch.manual_seed(seed)
    sets = VoiceSets.read(data / "audio", voices)
    made = validation(recipe, sets)
    model = _begun(recipe, start).to(where)
    judged = MossFormer2(model.config).to(where).eval()
    best, average = Best(model.state_dict()), Average(model.state_dict(), decay=0.998)
    whole = nn.ModuleDict({"model": model, "best": best, "average": average})
    maker = Maker(recipe, sets)
    log = out / "validation.jsonl"
    out.mkdir(parents=True, exist_ok=True)

    def loss_at(step: int) -> Tensor:
        if step:
            average.update(model.state_dict(), step)
        if step and step % recipe.validate_every == 0:
            consider(step)
        model.train()
        sources = maker.batch(seed, step).to(where)
        return separation_loss(estimated(model, sources.sum(1)), sources)

    def consider(step: int) -> None:
        average.copy_to(judged.state_dict())
        by_set = {name: improvement(judged, ones) for name, ones in made.items()}
        best.consider(float(np.mean(list(by_set.values()))), judged.state_dict())
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **{name: round(db, 3) for name, db in by_set.items()}}) + "\n")
        checkpoint.save(out, judged, model.config, dtype=torch.float16)

    schedule = Schedule(
        steps=recipe.steps, lr=recipe.lr, lr_new=recipe.lr, warm_up=0.03, weight_decay=1e-5, clip=5.0, save_every=100
    )
    run(whole, [], loss_at, schedule, out, seed, report)
    consider(recipe.steps)
    best.copy_to(judged.state_dict())
    checkpoint.save(out, judged, model.config, dtype=torch.float16)
    scores = {"si_snr_improvement": round(float(best.score), 2)}
    kept = {"validation": scores, "seed": seed, "voices": sets.counts(), "recipe": asdict(recipe)}
    (out / "scores.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    (out / "card.md").write_text(card(recipe, judged, sets, seed, scores), encoding="utf-8")
    finish(out)
    return scores


def _begun(recipe: VoicesRecipe, start: Path | None) -> MossFormer2:
    if start is not None:
        return checkpoint.load(path_of(str(start)), MossFormer2, MossFormer2Config, device="cpu").float()
    model = MossFormer2(recipe.model)
    fourier_start(model)
    return model


def validation(recipe: VoicesRecipe, sets: VoiceSets) -> dict[str, list[Mixture]]:
    """set -> mixtures of the voices that are kept, the pairs of them in turn: as many of each set."""
    pairs = {name: list(combinations(voices, 2)) for name, voices in sets.kept.items()}
    pairs = {name: ones for name, ones in pairs.items() if ones}
    found = {}
    for name, ones in pairs.items():
        order = np.random.default_rng(5).permutation(len(ones))
        count = recipe.n_validation // len(pairs)
        found[name] = mixtures([ones[i] for i in order], sets.sounds, count=count, seconds=recipe.seconds, seed=1)
    return found


def card(recipe: VoicesRecipe, model: MossFormer2, sets: VoiceSets, seed: int, scores: dict[str, float]) -> str:
    """What the model is, what it learned from, and what it is not good at, as far as training knows it."""
    c, n = model.config, sum(p.numel() for p in model.parameters())
    learned = ", ".join(f"{count} of {name}" for name, count in sets.counts().items())
    return f"""# speech/voices

Tells {c.n_speakers} voices apart that speak at once on one channel, at {c.rate} Hz. MossFormer2 with {n:,}
parameters: {c.n_blocks} pairs of gated attention and gated FSMN, {c.d_model} wide, over frames of {c.kernel} samples
every {c.stride}.

Trained with `rapport train speech/voices --data DATA --voices FOLDER --out OUT`, seed {seed}, {recipe.steps:,} steps of
{recipe.batch} mixtures of {recipe.seconds} s, made as they were needed, each voice disguised as another. Voices learned
from: {learned}, {sets.seconds() / 60:.0f} minutes.

## Validation

SI-SNR improvement on {recipe.n_validation} mixtures of EmoDB's speakers 09 and 12 and of the folder's voices that are
kept: {scores["si_snr_improvement"]} dB. They chose the step; no test voice was heard before the end.

## Limits

Nothing above {c.rate // 2} Hz comes out. It expects two voices: of one voice it leaves rests in the other row, and of
three it puts two together. Voices of one pitch and one room are told apart least.
"""
