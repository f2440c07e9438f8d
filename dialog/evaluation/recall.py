"""Multi-query associative recall (MQAR): can a mixer look up, by key, what it has read?

The generator, the protocol and the tiers of Zoology (Arora et al. 2024), as the sheet measures them: every model is
the same but for its second layer's mixer, and is trained on fresh examples.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.backbone import BackboneConfig
from models.device import Where, choose_device
from models.mixers import MIXERS
from models.mixers.short_conv import GatedConvConfig
from models.token_model import TokenModel, TokenModelConfig

NO_LABEL = -100
WIDTH = 64
TEST_SEEDS = 2**31
"""Training draws from seeds below it, tests from it on."""

OnProgress = Callable[[int, int], None]
"""Told how many steps are done, and of how many at most."""


def mqar(
    V: int, T: int, N: int, a: float = 0.01, filler: bool = False, n: int = 1, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """n examples of T tokens: inputs (n, T) and labels (n, T), long; the same seed gives the same bytes.

    V is the vocabulary: keys are drawn from 1 .. V/2-1, values from V/2 .. V-1, N pairs of them anew for every example.
    They stand first, k1 v1 k2 v2 ...; each key is asked for once more, at an even place of the rest, drawn without
    replacement with weights (s+1)^(a-1), s counting these places: a small `a` asks soon, a = 1 anywhere. The label
    there is its value, everywhere else -100. The rest is 0 or, with `filler`, any token. Raises ValueError for numbers
    that do not fit: T even, V even and above T, 4 N at most T.
    """
    if T % 2 or V % 2 or V <= T or N < 1 or 4 * N > T:
        raise ValueError(f"expected T and V even, V > T, N >= 1 and 4 N <= T; got V={V}, T={T}, N={N}")
    random = np.random.Generator(np.random.PCG64(seed))
    rows = np.arange(n)[:, None]
    keys = 1 + random.random((n, V // 2 - 1)).argsort(1)[:, :N]
    values = V // 2 + random.random((n, V - V // 2)).argsort(1)[:, :N]
    # The order of weights disturbed by Gumbel noise is that of drawing one after another without replacement.
    space = (T - 2 * N) // 2
    log_weights = (a - 1) * np.log(np.arange(space) + 1.0)
    slots = (log_weights + random.gumbel(size=(n, space))).argsort(1)[:, ::-1][:, :N]
    inputs = np.zeros((n, T), np.int64)
    inputs[:, 0 : 2 * N : 2], inputs[:, 1 : 2 * N : 2] = keys, values
    places = 2 * N + 2 * slots
    inputs[rows, places] = keys
    labels = np.full((n, T), NO_LABEL)
    labels[rows, places] = values
    if filler:
        noise = random.integers(0, V, (n, T))
        inputs = np.where(inputs == 0, noise, inputs)
    return torch.from_numpy(inputs), torch.from_numpy(labels)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One shape of example."""

    T: int
    N: int
    V: int = 512
    a: float = 0.01
    filler: bool = False

    def draw(self, n: int, seed: int) -> tuple[Tensor, Tensor]:
        return mqar(self.V, self.T, self.N, self.a, self.filler, n, seed)

    @property
    def name(self) -> str:
        return f"V={self.V} T={self.T} N={self.N}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tier:
    """What is trained on and tested on, for how long."""

    train: tuple[Task, ...]
    test: tuple[Task, ...]
    steps: int
    batch: int = 64
    n_test: int = 1024
    every: int = 250
    """Steps between tests."""
    enough: float = 99.0
    """Per cent right on every test at which training stops."""


def _wide(T: int, N: int) -> Task:
    return Task(T=T, N=N, V=8192, filler=True)


def _hidden(T: int) -> Task:
    return Task(T=T, N=2, V=1024, a=1.0, filler=True)


TIERS: dict[str, Tier] = {
    "brief": Tier(
        train=(Task(T=32, N=4, V=64),), test=(Task(T=32, N=4, V=64),), steps=300, batch=32, n_test=512, every=150
    ),
    "smoke": Tier(train=(Task(T=64, N=4),), test=(Task(T=64, N=4),), steps=500),
    "rank": Tier(train=(Task(T=64, N=16),), test=(Task(T=64, N=16),), steps=2_500),
    "standard": Tier(
        train=tuple(_wide(*s) for s in ((64, 4), (128, 8), (256, 16), (256, 32), (256, 64))),
        test=tuple(_wide(*s) for s in ((64, 4), (64, 8), (64, 16), (128, 32), (256, 64), (512, 128), (1024, 256))),
        steps=25_000,
        batch=256,
        every=1_000,
    ),
    "needle": Tier(
        train=(_hidden(32),), test=tuple(_hidden(n) for n in (32, 64, 128, 512)), steps=400, n_test=256, every=400
    ),
    "hard": Tier(train=(Task(T=1024, N=256, V=8192, a=1.0),), test=(Task(T=1024, N=256, V=8192, a=1.0),), steps=25_000),
}
"""brief, smoke and rank are for a CPU, seconds, a minute or a few a mixer; standard and hard for a GPU. needle is
trained short and asked at 1, 2, 4 and 16 times the length: two pairs, then noise, and both asked for anywhere in it."""

COMPARED: dict[str, tuple[str, Mapping[str, Any]]] = {
    "softmax": ("softmax", {"n_heads": 1, "positions": "none"}),
    "sigmoid": ("sigmoid", {"n_heads": 1, "positions": "none", "score_bias": "static", "n_keys": 64}),
    "exp_l2": ("exp_norm", {"n_heads": 1, "positions": "none", "normaliser": "l2"}),
    "taylor_1": ("softmax_rnn", {"n_heads": 1, "d_key": 64, "order": 1, "normaliser": "l2", "rotary": False}),
    "taylor_2": ("softmax_rnn", {"n_heads": 1, "d_key": 64, "order": 2, "rotary": False}),
    "gla": ("gla", {"n_heads": 1}),
    "lizard": ("lizard", {"n_heads": 1, "n_features": 32, "window": 8}),
    "liger": ("liger", {"n_heads": 1, "window": 8, "rotary": False}),
    "rat_2": ("rat", {"n_heads": 1, "chunk": 2, "rotary": False}),
    "rat_8": ("rat", {"n_heads": 1, "chunk": 8, "rotary": False}),
    "aaren": ("aaren", {"n_heads": 4}),
    "gam": ("gam", {"n_memories": 64}),
}
"""The sheet's rows: a name, a mixer and its fields. Any other mixer goes by its own name with its defaults."""


def recall_config(name: str, n_tokens: int, width: int = WIDTH, **changed: Any) -> TokenModelConfig:
    """The model compared: a gated convolution of width 3, then the mixer, some fields of it `changed`; no
    feed-forward, one tied head.

    The convolution is there for every mixer: without a shift no key gets onto the value that follows it.
    """
    mixer, fields = COMPARED.get(name, (name, {}))
    if mixer not in MIXERS:
        raise ValueError(f"there is no mixer {name!r}; there are {', '.join(sorted({*COMPARED, *MIXERS}))}")
    config = MIXERS[mixer][0](d_model=width, **{**fields, **changed})
    if not MIXERS[mixer][1](config).streams or MIXERS[mixer][1](config).takes_ids:
        raise ValueError(f"{name!r} sees later tokens or needs ids, and recall is asked of neither")
    layers = (GatedConvConfig(d_model=width, width=3), config)
    backbone = BackboneConfig(d_model=width, mixers=layers, feedforward=None, norm_kind="layer")
    return TokenModelConfig(n_tokens=n_tokens, backbone=backbone)


def recall_model(name: str, n_tokens: int, width: int = WIDTH, **changed: Any) -> TokenModel:
    """The model of `recall_config`, its linear maps started alike."""
    model = TokenModel(recall_config(name, n_tokens, width, **changed))
    start_alike(model.backbone)
    return model


def start_alike(module: nn.Module) -> None:
    """Starts all linear maps of it as PyTorch does; biases stay as the mixers say.

    The N(0, 0.02) that some papers give is for models of 1,000 and more channels. At width 64 it is a quarter of what
    the others start with: such a mixer then spends the budget on a plateau, and its start is compared, not the mixer.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.kaiming_uniform_(part.weight, a=math.sqrt(5))


def fitting(
    model: nn.Module,
    loss: Callable[[], Tensor],
    steps: int,
    *,
    learning_rate: float = 3e-3,
    warm_up: int | None = None,
) -> Iterator[int]:
    """Takes one step after another to less `loss`, which draws its own batch, and tells each once it is taken, from 1.

    AdamW with weight decay 0.1, a warm-up of so many steps (a tenth, if none is given), then a cosine down to 0;
    gradients clipped at 1.
    """
    warm = max(1, steps // 10) if warm_up is None else warm_up
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.1)

    def rate(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    for step in range(1, steps + 1):
        optimiser.zero_grad(set_to_none=True)
        loss().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        yield step


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    model: TokenModel
    steps: int
    seconds: float
    accuracy: float
    """Per cent, the best test average on the way."""
    by_task: Mapping[str, float]
    """At that point."""
    reached_at: int
    """The step of that point."""


def train_recall(
    name: str,
    tier: Tier,
    *,
    width: int = WIDTH,
    seed: int = 0,
    learning_rate: float = 3e-3,
    device: Where = None,
    progress: OnProgress | None = None,
    **changed: Any,
) -> Trained:
    """A model trained until it is right nearly always, or for all the tier's steps.

    As `fitting` does, with 100 steps of warm-up and fresh examples at every step. Without a `device` it runs on a card
    where there is one.
    """
    torch.manual_seed(seed)
    where = choose_device(device)
    model = recall_model(name, max(task.V for task in tier.train + tier.test), width, **changed).to(where)
    tasks, seeds = cycle(tier.train), (_seed(seed, step) for step in count(1))

    def loss() -> Tensor:
        inputs, labels = next(tasks).draw(tier.batch, next(seeds))
        return model.loss(inputs.to(where), labels.to(where))

    best: tuple[float, dict[str, float], int] = (-1.0, {}, 0)
    step, start = 0, time.perf_counter()
    warm_up = min(100, tier.steps // 5 + 1)
    for step in fitting(model, loss, tier.steps, learning_rate=learning_rate, warm_up=warm_up):
        if progress:
            progress(step, tier.steps)
        if step % tier.every == 0 or step == tier.steps:
            by_task = recall_accuracy(model, tier, seed=seed)
            mean = sum(by_task.values()) / len(by_task)
            if mean > best[0]:
                best = (mean, by_task, step)
            if min(by_task.values()) > tier.enough:
                break
    seconds = time.perf_counter() - start
    return Trained(
        model=model.eval(), steps=step, seconds=seconds, accuracy=best[0], by_task=best[1], reached_at=best[2]
    )


@torch.no_grad()
def recall_accuracy(model: TokenModel, tier: Tier, *, seed: int = 0) -> dict[str, float]:
    """Per cent of queries answered right, the mean over each example first, for every test of the tier."""
    was_training = model.training
    model.eval()
    device = model.embedding.weight.device
    accuracy = {}
    for i, task in enumerate(tier.test):
        inputs, labels = (z.to(device) for z in task.draw(tier.n_test, TEST_SEEDS + 1000 * seed + i))
        right = [_right(model, x, y) for x, y in zip(inputs.split(tier.batch), labels.split(tier.batch), strict=True)]
        accuracy[task.name] = 100 * float(torch.cat(right).mean())
    model.train(was_training)
    return accuracy


def _right(model: TokenModel, inputs: Tensor, labels: Tensor) -> Tensor:
    """The share of each example's queries answered right, (n,); logits are made at the queries alone."""
    hidden, _ = model.hidden(inputs)
    asked = labels != NO_LABEL
    answers = model.head(hidden[asked]).argmax(-1)
    shares: Tensor = (answers == labels[asked]).double().view(len(inputs), -1).mean(1)
    return shares


def _seed(seed: int, step: int) -> int:
    """One of its own for every run and step, below the tests'."""
    return (seed * 1_000_003 + step) % TEST_SEEDS


def evaluate_recall(
    data: Sequence[Path] = (),
    model: str | Path = "softmax",
    *,
    tier: str = "smoke",
    steps: int | None = None,
    seed: int = 0,
    beside: Sequence[str] = ("softmax",),
    device: Where = None,
    progress: OnProgress | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate recall --json`. The examples are generated, so `data` is empty.

    `model` is a mixer's name, which is trained first, for the tier's steps or so many `steps`, or the folder of a saved
    `TokenModel`. `beside` are mixers trained in the same way as baselines; chance has two levels: any value of this
    example, and any value at all.
    """
    if data:
        raise ValueError(f"recall makes its own examples and reads no files, got {', '.join(map(str, data))}")
    if tier not in TIERS:
        raise ValueError(f"there is no tier {tier!r}; there are {', '.join(TIERS)}")
    chosen, name = replace(TIERS[tier], steps=steps or TIERS[tier].steps), str(model)
    start = time.perf_counter()
    if Path(name).is_dir():
        folder = TokenModel.load(name, device=device)
        by_task = recall_accuracy(folder, chosen, seed=seed)
        metrics = {"accuracy": sum(by_task.values()) / len(by_task), "by_task": by_task, **_sizes(folder, chosen)}
    else:
        metrics = _metrics(train_recall(name, chosen, seed=seed, device=device, progress=progress), chosen)
    seconds = time.perf_counter() - start
    baselines: dict[str, Any] = {
        "any_value_of_the_example": {"accuracy": _mean([100 / task.N for task in chosen.test])},
        "any_value": {"accuracy": _mean([200 / task.V for task in chosen.test])},
    }
    for other in beside:
        if other != name:
            baselines[other] = _metrics(train_recall(other, chosen, seed=seed, device=device), chosen)
    return {
        "task": "recall",
        "model": name,
        "data": [f"mqar {task.name}" for task in chosen.test],
        "tier": tier,
        "n": chosen.n_test * sum(task.N for task in chosen.test),
        "seconds": seconds,
        "metrics": metrics,
        "baselines": baselines,
    }


def _metrics(trained: Trained, tier: Tier) -> dict[str, Any]:
    return {
        "accuracy": trained.accuracy,
        "by_task": dict(trained.by_task),
        "reached_at_step": trained.reached_at,
        "steps": trained.steps,
        "training_seconds": trained.seconds,
        **_sizes(trained.model, tier),
    }


def _sizes(model: TokenModel, tier: Tier) -> dict[str, int]:
    """Parameters, and the numbers and bytes of state a sequence of the longest test keeps, all layers together."""
    longest = max(task.T for task in tier.test)
    floats = model.backbone.state_floats(longest)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "state_floats": floats,
        "state_bytes": 4 * floats,
    }


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
