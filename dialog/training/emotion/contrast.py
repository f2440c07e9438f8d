"""Teaches a conversation what it may say of a message: something where that is not clear by itself, else nothing.

The encoder has read every message alone and learns no more; EmotionIC's branches begin in silence. Each conversation
is seen in several ways: whole; begun at a random place; with stray messages in its midst, strong ones and dull ones,
of its speakers and of strangers. A stray keeps the label it has alone, and changes nobody else's. And pairs of a plain
line and a strong one that have nothing to do with each other are to be read as each is alone.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.reading.batching import pad_rows
from dialog.training.loop import Progress, Schedule, finish, run
from models.device import device_of
from models.emotionic.model import EmotionIC


class Talk(NamedTuple):
    """A conversation as the context model reads it."""

    vectors: Tensor  # (N, D)
    wanted: Tensor  # (N, L) what is to be said, rows of 0 where nothing is known
    speakers: Tensor  # (N,)
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextRecipe:
    """How the context model learns."""

    steps: int = 600
    batch: int = 24
    """Conversations in a step."""
    pairs: int = 24
    """Pairs that have nothing to do with each other, in a step."""
    lr: float = 1.5e-3
    stray_share: float = 0.5
    """Of the conversations, how many get strays."""
    cut_share: float = 0.3
    """Of the conversations, how many begin at a random place."""
    live_share: float = 0.5
    apart_weight: float = 1.5
    """Of the strays and the pairs, which are to be read as each is alone."""


class ContrastTraining(nn.Module):
    """The context model with its loss; the encoder's classifier is fixed."""

    def __init__(self, context: EmotionIC, talks: Sequence[Talk], plain: Tensor, strong: Tensor, recipe: ContextRecipe):
        super().__init__()
        self.context, self.talks, self.recipe = context, talks, recipe
        self.plain, self.strong = plain, strong
        for part in (context.norm, context.classify, context.tags, context.affect):
            if part is not None:
                part.requires_grad_(False)

    def loss(self, rng: random.Random) -> Tensor:
        """The cross-entropy of what is wanted, of strays and pairs against what is said of each alone."""
        rows = [self._seen(rng.choice(self.talks), rng) for _ in range(self.recipe.batch)]
        rows += [self._pair(rng) for _ in range(self.recipe.pairs)]
        device = device_of(self.context)
        x, mask = pad_rows([talk.vectors for talk, _ in rows], device)
        speakers, _ = pad_rows([talk.speakers for talk, _ in rows], device)
        wanted, _ = pad_rows([talk.wanted for talk, _ in rows], device)
        apart, _ = pad_rows([alone for _, alone in rows], device)
        weight = torch.tensor([talk.weight for talk, _ in rows], device=device)[:, None] * (wanted.sum(-1) > 0)
        with torch.no_grad():
            own = self.context.classify(self.context.norm(x)).softmax(-1)
        wanted = torch.where(apart[..., None], own, wanted)
        weight = torch.where(apart, self.recipe.apart_weight, weight) * mask
        emissions = self.context(x, speakers, mask, live=rng.random() < self.recipe.live_share)
        p = self.context.marginals(emissions, speakers, mask).clamp(min=1e-6)
        loss = -(wanted * p.log()).sum(-1)
        return (loss * weight).sum() / weight.sum()

    def _seen(self, talk: Talk, rng: random.Random) -> tuple[Talk, Tensor]:
        """One view of a conversation, and which of its messages are strays (N,)."""
        vectors, wanted, speakers, weight = talk
        if len(vectors) > 2 and rng.random() < self.recipe.cut_share:
            begin = rng.randrange(1, len(vectors) - 1)
            vectors, wanted, speakers = vectors[begin:], wanted[begin:], speakers[begin:]
        alone = torch.zeros(len(vectors), dtype=torch.bool)
        if rng.random() < self.recipe.stray_share:
            for _ in range(1 + len(vectors) // 8):
                place = rng.randint(0, len(vectors))
                pool = self.strong if rng.random() < 0.7 else self.plain
                stray = pool[rng.randrange(len(pool))]
                who = speakers[rng.randrange(len(speakers))] if rng.random() < 0.7 else torch.tensor(-1)
                vectors = torch.cat([vectors[:place], stray[None], vectors[place:]])
                wanted = torch.cat([wanted[:place], torch.zeros(1, wanted.shape[1]), wanted[place:]])
                speakers = torch.cat([speakers[:place], who[None], speakers[place:]])
                alone = torch.cat([alone[:place], torch.ones(1, dtype=torch.bool), alone[place:]])
        return Talk(vectors, wanted, speakers, weight), alone

    def _pair(self, rng: random.Random) -> tuple[Talk, Tensor]:
        """Two to four messages that have nothing to do with each other."""
        n = rng.choice((2, 2, 3, 4))
        pools = [self.plain if rng.random() < 0.6 else self.strong for _ in range(n)]
        vectors = torch.stack([pool[rng.randrange(len(pool))] for pool in pools])
        speakers = torch.tensor([rng.randrange(2) for _ in range(n)])
        wanted = torch.zeros(n, self.context.config.n_labels)
        return Talk(vectors, wanted, speakers), torch.ones(n, dtype=torch.bool)


def train_context(
    context: EmotionIC,
    talks: Sequence[Talk],
    plain: Tensor,
    strong: Tensor,
    recipe: ContextRecipe,
    out: Path,
    *,
    seed: int = 0,
    report: Callable[[Progress], None] | None = None,
) -> None:
    """Trains the branches in place, on conversations and on the vectors (M, D) of plain and of strong messages."""
    training = ContrastTraining(context, talks, plain, strong, recipe)
    training.train()
    new = [p for p in training.parameters() if p.requires_grad]
    schedule = Schedule(steps=recipe.steps, lr=recipe.lr, lr_new=recipe.lr, weight_decay=0.05)
    run(training, new, lambda step: training.loss(random.Random(f"{seed}-{step}")), schedule, out, seed, report)
    training.eval()
    finish(out)


def entropy(p: Tensor) -> Tensor:
    """In nats, of probabilities (..., L)."""
    return F.relu(-(p * p.clamp(min=1e-9).log()).sum(-1))
