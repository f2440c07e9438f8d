"""Think-at-Hard, trained: first the passes, where an oracle sends a token on, then the decider that replaces it."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.training.loop import Progress, Schedule, run
from models.decoder.config import DecoderConfig
from models.decoder.model import Decoder
from models.mixers.softmax import SoftmaxAttentionConfig
from models.thinking.config import ThinkingConfig
from models.thinking.model import Policy, ThinkAtHard, Thought

Report = Callable[[Progress], None]
Draw = Callable[[int], "Asked"]
"""A batch by its seed."""


class Asked(NamedTuple):
    """Tokens (B, T), what follows those that are asked about (else -100), and which of these are hard by design."""

    tokens: Tensor
    labels: Tensor
    hard: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Facts to be looked up: every name has a value and points at another name, a token a fact.

    A row tells them all and then asks: (value, x) wants x's value, (link, x) the name that x points at, and in one
    question of five (via, x) the value of the name that x points at. A single layer of attention can look up what
    belongs to a name it has before it, and no more: the last kind takes a second look.
    """

    names: int = 6
    values: int = 7
    questions: int = 8
    hard: float = 0.2
    batch: int = 64

    @property
    def n_tokens(self) -> int:
        return self.names * (self.values + self.names) + self.values + self.names + 3

    def draw(self, seed: int) -> Asked:
        """A batch. Tokens: facts of values, facts of links, then values, names, and the three kinds of question."""
        generator = torch.Generator().manual_seed(seed)
        n, m, b, q = self.names, self.values, self.batch, self.questions
        value = torch.randint(m, (b, n), generator=generator)
        link = (torch.arange(n) + torch.randint(1, n, (b, n), generator=generator)) % n  # to another one
        told = torch.cat([torch.arange(n) * m + value, n * m + torch.arange(n) * n + link], 1)
        facts = told.gather(1, torch.rand(b, 2 * n, generator=generator).argsort(1))
        x = torch.randint(n, (b, q), generator=generator)
        kind = torch.where(
            torch.rand(b, q, generator=generator) < self.hard, 2, torch.randint(2, (b, q), generator=generator)
        )
        first = n * (m + n)  # of the values' own tokens; names and kinds follow
        to = link.gather(1, x)
        answers = torch.stack([first + value.gather(1, x), first + m + to, first + value.gather(1, to)], -1)
        answer = answers.gather(2, kind[..., None])
        asked = torch.stack([first + m + n + kind, first + m + x], -1)
        labels = torch.cat([torch.full_like(answer, -100), answer], -1).flatten(1)
        hard = torch.stack([torch.zeros_like(kind), kind], -1).flatten(1) == 2
        front = torch.full((b, 2 * n), -100)
        return Asked(
            torch.cat([facts, asked.flatten(1)], 1), torch.cat([front, labels], 1), torch.cat([front > 0, hard], 1)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ThinkingRecipe:
    """Of the authors' two stages: the loss of the first is that of what comes next on the sums of logits, the second's
    a weighed cross-entropy on who goes on."""

    base: int = 400
    """Steps of the decoder alone."""
    passes: int = 400
    """Steps of the first stage, and of what is compared with it."""
    decider: int = 200
    lr: float = 3e-3
    weight: float = 4.8
    """What a hard token is worth beside an easy one, to the decider."""


def one_layer(n_tokens: int, d_model: int = 64) -> DecoderConfig:
    """A decoder that can look up and cannot compose."""
    mixer = SoftmaxAttentionConfig(d_model=d_model, n_heads=4)
    return DecoderConfig(n_tokens=n_tokens, d_model=d_model, d_hidden=2 * d_model, mixers=(mixer,))


@torch.no_grad()
def oracle(reference: Decoder, asked: Asked) -> Tensor:
    """Where the reference's first choice is not what follows, (B, T) bool: the authors' labels of hard tokens."""
    wrong: Tensor = reference(asked.tokens)[0].argmax(-1) != asked.labels
    return wrong & (asked.labels != -100)


def train_decoder(decoder: Decoder, draw: Draw, steps: int, lr: float, seed: int, report: Report | None = None) -> None:
    """By what follows, in place."""
    _train(decoder, list(decoder.parameters()), lambda s: decoder.loss(*_pair(draw(s))), steps, lr, seed, report)


def train_passes(
    model: ThinkAtHard,
    draw: Draw,
    steps: int,
    lr: float,
    seed: int,
    policy: Policy | Callable[[Asked], Tensor],
    report: Report | None = None,
) -> None:
    """The first stage: decoder and low-rank weights, in place, under a policy or an oracle's labels."""

    def loss_at(seed: int) -> Tensor:
        asked = draw(seed)
        thought, _ = model(asked.tokens, policy=policy if isinstance(policy, str) else policy(asked))
        wanted = asked.labels != -100
        return F.cross_entropy(thought.logits[wanted], asked.labels[wanted])

    _train(model, [*model.decoder.parameters(), *model.deltas.parameters()], loss_at, steps, lr, seed, report)


def train_decider(
    model: ThinkAtHard,
    draw: Draw,
    steps: int,
    lr: float,
    seed: int,
    labels: Callable[[Asked], Tensor],
    weight: float,
    report: Report | None = None,
) -> None:
    """The second stage: the decider alone, in place, learns which tokens the oracle sends on."""

    def loss_at(seed: int) -> Tensor:
        asked = draw(seed)
        again = model(asked.tokens, policy="never")[0].again
        return F.binary_cross_entropy_with_logits(
            again, labels(asked).to(again.dtype), pos_weight=again.new_tensor(weight)
        )

    _train(model, list(model.decider.parameters()), loss_at, steps, lr, seed, report)


class Scores(NamedTuple):
    """In per cent of the tokens that are asked about, and the mean passes of all tokens."""

    easy: float
    hard: float
    passes: float


@torch.no_grad()
def scored(thought: Thought, asked: Asked) -> Scores:
    """How much is right, by design easy and hard."""
    right, wanted = thought.logits.argmax(-1) == asked.labels, asked.labels != -100
    easy, hard = (100 * float(right[wanted & z].double().mean()) for z in (~asked.hard, asked.hard))
    return Scores(easy, hard, float(thought.depth.double().mean()))


class Compared(NamedTuple):
    """Models trained for as many steps from one decoder, and what they were tried on."""

    reference: Decoder
    one_pass: Decoder
    always: ThinkAtHard
    selective: ThinkAtHard


def train_thinking(
    recipe: ThinkingRecipe,
    draw: Draw,
    decoder: Decoder,
    config: ThinkingConfig,
    *,
    seed: int = 0,
    report: Report | None = None,
) -> Compared:
    """Trains the decoder, and from it one that goes on with one pass, one that always makes two, and Think-at-Hard."""
    torch.manual_seed(seed)
    train_decoder(decoder, draw, recipe.base, recipe.lr, seed, report)
    reference = Decoder(decoder.config).to(decoder.embedding.weight.device)
    reference.load_state_dict(decoder.state_dict())
    always, selective = ThinkAtHard.of(decoder, config), ThinkAtHard.of(decoder, config)

    def labels(asked: Asked) -> Tensor:
        return oracle(reference.eval(), asked)

    lr = recipe.lr / 2
    train_decoder(decoder, draw, recipe.passes, lr, seed + 1, report)
    train_passes(always, draw, recipe.passes, lr, seed + 1, "always", report)
    train_passes(selective, draw, recipe.passes, lr, seed + 1, labels, report)
    train_decider(selective, draw, recipe.decider, recipe.lr, seed + 2, labels, recipe.weight, report)
    return Compared(reference, decoder.eval(), always.eval(), selective.eval())


def small(task: Facts, threshold: float = 0.5) -> ThinkingConfig:
    """Think-at-Hard over a decoder of one layer for the questions."""
    return ThinkingConfig(
        decoder=one_layer(task.n_tokens),
        rank=16,
        top_k=task.n_tokens,
        decider_width=64,
        decider_blocks=2,
        threshold=threshold,
    )


def of_test(task: Facts, n: int = 256) -> Asked:
    """Rows that no training drew."""
    return replace(task, batch=n).draw(2**40)


def _pair(asked: Asked) -> tuple[Tensor, Tensor]:
    return asked.tokens, asked.labels


def _train(
    model: nn.Module,
    trained: list[nn.Parameter],
    loss_at: Callable[[int], Tensor],
    steps: int,
    lr: float,
    seed: int,
    report: Report | None,
) -> None:
    model.requires_grad_(False)
    for p in trained:
        p.requires_grad_(True)
    model.train()
    schedule = Schedule(steps=steps, lr=lr, lr_new=lr, weight_decay=0.0, save_every=max(1, steps))
    with tempfile.TemporaryDirectory() as folder:  # minutes at most: nothing of it is kept
        run(model, [], lambda step: loss_at(seed * 1_000_003 + step), schedule, Path(folder), seed, report)
    model.eval()
