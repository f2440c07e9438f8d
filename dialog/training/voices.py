"""Training the separator: mixtures made as they are needed, the best step by voices that are not learned from."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal
import torch
from numpy.typing import NDArray
from torch import Tensor

from dialog.corpora.mixtures import Mixture, Samples, level, mixed, mixtures, talk
from dialog.corpora.recordings import LIST, RATE, Recording, by_voice, recordings, sounds
from dialog.training.best import Best
from dialog.training.loop import Progress, Schedule, finish, run
from models import checkpoint
from models.device import Where, choose_device, mixed_precision
from models.mossformer2 import MossFormer2, MossFormer2Config
from models.mossformer2.si_snr import best_assignment, separation_loss, si_snr

Voices = dict[str, list[list[Recording]]]
"""set -> recordings of each of its voices."""


def _small() -> MossFormer2Config:
    return MossFormer2Config(
        n_filters=512, kernel=256, stride=128, d_model=192, n_blocks=6, d_key=64, chunk=64, dropout=0.0
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class VoicesRecipe:
    model: MossFormer2Config = field(default_factory=_small)
    steps: int = 4500
    batch: int = 4
    seconds: float = 2.0
    lr: float = 1e-3
    shares: Mapping[str, float] = field(
        default_factory=lambda: {"fsdd": 0.4, "emodb": 0.25, "diphones": 0.2, "formants": 0.15}
    )
    """How often a voice is drawn from each set; sets that are not there are left out, others get 0.1."""
    speed: tuple[float, float] = (0.82, 1.22)
    """A recording is played this much faster: pitch and formants move, another voice comes out."""
    same_voice: float = 0.03
    """How often both voices are one speaker's."""
    reverberant: float = 0.1
    noisy: float = 0.2
    late: float = 0.55
    """From this share of the steps on, mixtures are as they are measured: people's voices more often, by
    `late_shares`, a fifth of the rooms and of the noise, and the same voice twice only by `same_voice`."""
    late_shares: Mapping[str, float] = field(
        default_factory=lambda: {"fsdd": 0.5, "emodb": 0.3, "diphones": 0.15, "formants": 0.05}
    )
    validate_every: int = 250
    n_validation: int = 48


class Maker:
    """Training mixtures: the batch of a step is the same whenever it is made."""

    def __init__(self, recipe: VoicesRecipe, voices: Voices, heard: Mapping[Recording, NDArray[np.int16]]) -> None:
        self.recipe, self.voices, self.sounds = recipe, voices, heard
        self.sets = sorted(voices)
        self.p, self.late_p = (
            _normal([shares.get(name, 0.1) for name in self.sets]) for shares in (recipe.shares, recipe.late_shares)
        )

    def batch(self, seed: int, step: int) -> Tensor:
        """Sources (B, 2, n)."""
        rng = np.random.default_rng((seed, step))
        late = step >= self.recipe.late * self.recipe.steps
        return torch.from_numpy(np.stack([self._sources(rng, late) for _ in range(self.recipe.batch)]))

    def _sources(self, rng: np.random.Generator, late: bool) -> Samples:
        first = self._voice(rng, late)
        second = first if rng.random() < self.recipe.same_voice else self._voice(rng, late, but=first if late else None)
        sources = mixed(rng, self._talk(rng, first, late), self._talk(rng, second, late))
        return sources * np.float32(10 ** (rng.uniform(-12, 3) / 20))

    def _voice(self, rng: np.random.Generator, late: bool, but: list[Recording] | None = None) -> list[Recording]:
        ones = self.voices[self.sets[rng.choice(len(self.sets), p=self.late_p if late else self.p)]]
        drawn = ones[int(rng.integers(len(ones)))]
        return drawn if drawn is not but else self._voice(rng, late)  # asked once more: there may be no other

    def _talk(self, rng: np.random.Generator, ones: list[Recording], late: bool) -> Samples:
        n = int(self.recipe.seconds * RATE)
        slower = talk(rng, ones, self.sounds, int(n * rng.uniform(*self.recipe.speed)))
        said = scipy.signal.resample(slower, n).astype(np.float32)
        rare = 0.2 if late else 1.0
        if rng.random() < rare * self.recipe.reverberant:
            said = reverberated(rng, said)
        if rng.random() < rare * self.recipe.noisy:
            noise = rng.standard_normal(n).astype(np.float32)
            if rng.random() < 0.5:
                noise = np.cumsum(noise).astype(np.float32)
                noise = scipy.signal.lfilter([1, -1], [1, -0.95], noise).astype(np.float32)  # falls with frequency
            said = level(said, -23) + level(noise, -23 - rng.uniform(15, 45))
        heard: Samples = said
        return heard


def _normal(shares: list[float]) -> NDArray[np.float64]:
    p = np.array(shares)
    share: NDArray[np.float64] = p / p.sum()
    return share


def reverberated(rng: np.random.Generator, samples: Samples) -> Samples:
    """A room by rule: the sound itself, then noise that falls by 60 dB in 0.1 to 0.4 s."""
    seconds = rng.uniform(0.1, 0.4)
    n = int(seconds * RATE)
    tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n) * rng.uniform(0.05, 0.25)
    tail[: int(0.002 * RATE)] = 0
    tail[0] = 1.0
    heard: Samples = scipy.signal.fftconvolve(samples, tail)[: len(samples)].astype(np.float32)
    return heard


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


def voices_of(folder: Path, part: str) -> tuple[Voices, dict[Recording, NDArray[np.int16]]]:
    """The voices of one part in a folder of recordings, set by set, with their samples."""
    ones = [r for r in recordings(folder) if r.part == part]
    voices: Voices = {}
    for (name, _), theirs in by_voice(ones).items():
        voices.setdefault(name, []).append(theirs)
    return voices, sounds(folder, ones)


def train_voices(
    recipe: VoicesRecipe,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    report: Callable[[Progress], None] | None = None,
    device: Where = None,
) -> dict[str, Any]:
    """Trains on data/audio, and on data/voices where there is such a folder of more voices; validation scores."""
    where = choose_device(device)
    torch.manual_seed(seed)
    voices, heard = voices_of(data / "audio", "train")
    if (data / "voices" / LIST).is_file():
        more, theirs = voices_of(data / "voices", "train")
        voices |= more
        heard |= theirs
    made = validation(recipe, data)
    model = MossFormer2(recipe.model)
    fourier_start(model)
    model = model.to(where)
    best = Best(model.state_dict())
    whole = torch.nn.ModuleDict({"model": model, "best": best})
    maker = Maker(recipe, voices, heard)
    log = out / "validation.jsonl"
    out.mkdir(parents=True, exist_ok=True)

    def loss_at(step: int) -> Tensor:
        if step and step % recipe.validate_every == 0:
            consider(step)
        model.train()
        sources = maker.batch(seed, step).to(where)
        return separation_loss(estimated(model, sources.sum(1)), sources)

    def consider(step: int) -> None:
        score = improvement(model.eval(), made)
        best.consider(score, model.state_dict())
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "si_snr_improvement": round(score, 3)}) + "\n")
        checkpoint.save(out, model, recipe.model, dtype=torch.float16)

    schedule = Schedule(
        steps=recipe.steps, lr=recipe.lr, lr_new=recipe.lr, warm_up=0.03, weight_decay=1e-5, clip=5.0, save_every=100
    )
    run(whole, [], loss_at, schedule, out, seed, report)
    consider(recipe.steps)
    best.copy_to(model.state_dict())
    checkpoint.save(out, model, recipe.model, dtype=torch.float16)
    scores = {"si_snr_improvement": round(float(best.score), 2)}
    n_voices = {name: len(theirs) for name, theirs in sorted(voices.items())}
    kept = {"validation": scores, "seed": seed, "voices": n_voices, "recipe": asdict(recipe)}
    (out / "scores.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    (out / "card.md").write_text(card(recipe, model, n_voices, seed, scores), encoding="utf-8")
    finish(out)
    return scores


def card(recipe: VoicesRecipe, model: MossFormer2, voices: dict[str, int], seed: int, scores: dict[str, float]) -> str:
    """What the model is, what it learned from, and what it is not good at, as far as training knows it."""
    c, n = recipe.model, sum(p.numel() for p in model.parameters())
    learned = ", ".join(f"{count} of {name}" for name, count in voices.items())
    return f"""# speech/voices

Tells {c.n_speakers} voices apart that speak at once on one channel, at {c.rate} Hz. MossFormer2 with {n:,}
parameters: {c.n_blocks} pairs of gated attention and gated FSMN, {c.d_model} wide, over frames of {c.kernel} samples
every {c.stride}.

Trained with `rapport train speech/voices --data DATA --out OUT`, seed {seed}, {recipe.steps:,} steps of {recipe.batch}
mixtures of {recipe.seconds} s, made as they were needed. Voices learned from: {learned}.

## Validation

SI-SNR improvement on {recipe.n_validation} mixtures of EmoDB's speakers 09 and 12: {scores["si_snr_improvement"]} dB.
They chose the step; no test voice was heard before the end.

## Limits

Nothing above {c.rate // 2} Hz comes out. It expects two voices: of one voice it leaves rests in the other row, and of
three it puts two together. Voices of one pitch and one room are told apart least.
"""


def validation(recipe: VoicesRecipe, data: Path) -> list[Mixture]:
    """Mixtures of the validation voices, each pair of them in turn."""
    voices, heard = voices_of(data / "audio", "validation")
    every = [ones for theirs in voices.values() for ones in theirs]
    pairs = [(a, b) for i, a in enumerate(every) for b in every[i + 1 :]]
    return mixtures(pairs, heard, count=recipe.n_validation, seconds=recipe.seconds, seed=1)
