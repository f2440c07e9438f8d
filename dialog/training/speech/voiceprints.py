"""Training the voiceprints: stretches of many voices, each disguised as others, told apart batch by batch."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.corpora.mixtures import Samples, talk
from dialog.corpora.recordings import RATE, Recording
from dialog.evaluation.speech.speakers import error_rate_of, trials
from dialog.training.averaging import Average
from dialog.training.best import Best
from dialog.training.loop import Progress, Schedule, finish, run
from dialog.training.speech.disguise import Disguise, disguised
from dialog.training.speech.sets import VoiceSets
from models import checkpoint
from models.device import Where, choose_device
from models.voiceprint import Voiceprint, VoiceprintConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class VoiceprintRecipe:
    model: VoiceprintConfig = field(default_factory=VoiceprintConfig)
    steps: int = 800
    n_voices: int = 24
    """Of a batch, each another one: a voice drawn, its speed and its formants changed."""
    n_stretches: int = 3
    """Of each voice, with microphones, rooms and noises of their own."""
    seconds: tuple[float, float] = (1.0, 2.0)
    """A stretch; one length a batch."""
    lr: float = 2e-3
    disguise: Disguise = field(
        default_factory=lambda: Disguise(bent=1.0, colour_db=4.0, reverberant=0.2, noisy=0.5, noise_db=(8.0, 40.0))
    )
    changed: float = 0.5
    """How often a voice of the batch is not as it was recorded."""
    validate_every: int = 100
    n_validation: int = 400


class Stretches:
    """Training stretches: the batch of a step is the same whenever it is made."""

    def __init__(self, recipe: VoiceprintRecipe, sets: VoiceSets) -> None:
        self.recipe, self.sets = recipe, sets

    def batch(self, seed: int, step: int) -> Tensor:
        """Sound (P, K, n): K stretches of each of P voices, no two of them from one person's recordings."""
        rng = np.random.default_rng((seed, step))
        n = int(rng.uniform(*self.recipe.seconds) * RATE)
        drawn = self.sets.some(rng, self.recipe.n_voices)
        return torch.from_numpy(np.stack([self._voice(rng, ones, n) for ones in drawn]))

    def _voice(self, rng: np.random.Generator, ones: Sequence[Recording], n: int) -> Samples:
        how = self.recipe.disguise
        changed = rng.random() < self.recipe.changed
        speed = float(rng.uniform(*how.speed)) if changed else 1.0
        formants = float(rng.uniform(*how.formants)) if changed else 1.0
        same = Disguise(**{**asdict(how), "formants": (formants, formants)})
        return np.stack(
            [
                disguised(rng, talk(rng, ones, self.sets.sounds, int(n * speed)), n, same)
                for _ in range(self.recipe.n_stretches)
            ]
        )


class Prototypes(nn.Module):
    """Angular prototypical loss (Chung et al. 2020, "In defence of metric learning", eq. 8): the last stretch of each
    voice must lie nearest to the mean of the others of its voice. Voiceprints (P, K, D)."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.offset = nn.Parameter(torch.tensor(10.0)), nn.Parameter(torch.tensor(-5.0))

    def forward(self, prints: Tensor) -> Tensor:
        losses = []
        for k in range(prints.shape[1]):  # each stretch once the one that is asked about
            others = torch.cat([prints[:, :k], prints[:, k + 1 :]], 1).mean(1)
            cosines = prints[:, k] @ F.normalize(others, dim=-1).T
            scores = self.scale.clamp(min=1e-3) * cosines + self.offset
            losses.append(F.cross_entropy(scores, torch.arange(len(scores), device=scores.device)))
        return torch.stack(losses).mean()


def train_voiceprints(
    recipe: VoiceprintRecipe,
    data: Path,
    out: Path,
    *,
    voices: Path | None = None,
    seed: int = 0,
    report: Callable[[Progress], None] | None = None,
    device: Where = None,
) -> dict[str, Any]:
    """Trains on data/audio and a folder of voices; scores on the voices kept for validation. Raises BadRecordings."""
    where = choose_device(device)
    torch.manual_seed(seed)
    sets = VoiceSets.read(data / "audio", voices)
    kept = [voice for voices in sets.kept.values() for voice in voices]
    heard, whose = trials(kept, sets.sounds, count=recipe.n_validation)
    model, loss = Voiceprint(recipe.model).to(where), Prototypes().to(where)
    best, average = Best(model.state_dict()), Average(model.state_dict(), decay=0.99)
    whole = nn.ModuleDict({"model": model, "loss": loss, "best": best, "average": average})
    stretches, judged = Stretches(recipe, sets), Voiceprint(recipe.model).to(where).eval()
    out.mkdir(parents=True, exist_ok=True)

    def consider(step: int) -> None:
        average.copy_to(judged.state_dict())
        with torch.inference_mode():
            prints = judged(torch.from_numpy(heard).to(where)).cpu().numpy()
        error = error_rate_of(prints, whose)
        best.consider(-error, judged.state_dict())
        with (out / "validation.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "equal_error_rate": round(error, 4)}) + "\n")

    def loss_at(step: int) -> Tensor:
        if step:
            average.update(model.state_dict(), step)
        if step and step % recipe.validate_every == 0:
            consider(step)
        model.train()
        sound = stretches.batch(seed, step).to(where)
        return torch.as_tensor(loss(model(sound.flatten(0, 1)).unflatten(0, sound.shape[:2])))

    schedule = Schedule(
        steps=recipe.steps, lr=recipe.lr, lr_new=recipe.lr, warm_up=0.05, weight_decay=1e-4, clip=5.0, save_every=100
    )
    run(whole, [], loss_at, schedule, out, seed, report)
    consider(recipe.steps)
    best.copy_to(model.state_dict())
    checkpoint.save(out, model.eval(), recipe.model, dtype=torch.float16)
    scores = {"equal_error_rate": round(-float(best.score), 4)}
    kept_scores = {"validation": scores, "seed": seed, "voices": sets.counts(), "recipe": asdict(recipe)}
    (out / "scores.json").write_text(json.dumps(kept_scores, indent=1) + "\n", encoding="utf-8")
    (out / "card.md").write_text(card(recipe, model, sets, seed, scores), encoding="utf-8")
    finish(out)
    return scores


def card(recipe: VoiceprintRecipe, model: Voiceprint, sets: VoiceSets, seed: int, scores: dict[str, float]) -> str:
    """What the model is, what it learned from, and what it is not good at, as far as training knows it."""
    c, n = recipe.model, sum(p.numel() for p in model.parameters())
    learned = ", ".join(f"{count} of {name}" for name, count in sets.counts().items())
    return f"""# speech/voiceprints

Knows one voice from another: a vector of {c.size} numbers a stretch of speech, near for one voice, far for two.
It tells speakers apart in `rapport transcribe`; it does not say who somebody is, and is not made to. {n:,}
parameters: four time-delay layers {c.width} wide on {c.n_bands} mel bands, attentive statistics.

Trained with `rapport train speech/voiceprints --data DATA --voices FOLDER --out OUT`, seed {seed}, {recipe.steps:,}
steps of {recipe.n_stretches} stretches of each of {recipe.n_voices} voices, angular prototypical loss; half of the
voices disguised as others. Voices learned from: {learned}, {sets.seconds() / 60:.0f} minutes.

## Validation

Equal error rate {scores["equal_error_rate"]:.1%} between stretches of 1.5 s of EmoDB's speakers 09 and 12 and of
the folder's voices that are kept. They chose the step; no test voice was heard before the end.

## Limits

Moods change a voice: acted emotions are told apart far less well than calm talk. Nothing above {c.rate // 2} Hz counts.
"""
