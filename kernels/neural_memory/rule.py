"""The parts of a memory that learns while it reads: its gates, its state, and the rule by which it learns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = tuple[Tensor, ...]
"""One matrix (B, H, d, d), M(x) = W x; or more, (B, H, h, d), (B, H, h, h) .. (B, H, d, h), M(x) = W2 act(W1 x)."""


NO_MOMENTUM = -60.0
"""A log gate that keeps nothing and has a gradient of zero, not of NaN."""


class Gates(NamedTuple):
    """One number a head and token, (B, H, T); the first three may be one a channel, (B, H, T, d), for one matrix: each
    row of it then has gates of its own."""

    step: Tensor  # theta, how far a token's gradient goes; at least 0
    log_keep: Tensor  # log of what is kept of the weights, at most 0
    log_momentum: Tensor  # log of what is kept of the last update, at most 0; NO_MOMENTUM is none
    threshold: Tensor | None = None  # (B, H, T), of a loss that takes one, as Huber's

    @property
    def by_channel(self) -> bool:
        return self.step.dim() == 4

    def each(self, f: Callable[[Tensor], Tensor]) -> "Gates":
        threshold = None if self.threshold is None else f(self.threshold)
        return Gates(f(self.step), f(self.log_keep), f(self.log_momentum), threshold)

    def at(self, tokens: slice) -> "Gates":
        """Of these tokens alone."""
        return self.each(lambda gate: gate[:, :, tokens])

    def split(self, size: int) -> "list[Gates]":
        """Of so many tokens after so many: as parts of one cut, whose gradients are joined once."""
        step, keep, momentum = (gate.split(size, 2) for gate in self[:3])
        threshold = [None] * len(step) if self.threshold is None else self.threshold.split(size, 2)
        return [Gates(*parts) for parts in zip(step, keep, momentum, threshold, strict=True)]


class Fast(NamedTuple):
    """The memory between two tokens. With a `map` the weights are A, and those used are map(A)."""

    weights: Weights
    momentum: Weights
    anchor: Weights  # the weights at the start of the current chunk, where gradients are taken
    phase: Tensor  # (B,) long: tokens of the current chunk that have been read


RULES: dict[str, "Rule"] = {}
"""Those of this process, by name."""


@dataclass(frozen=True, slots=True)
class Squared:
    """The gradient of scale / 2 times the squared error; 2 is that of the sum of squares."""

    scale: float = 2.0

    def __call__(self, prediction: Tensor, v: Tensor) -> Tensor:
        return self.scale * (prediction - v)


@dataclass(frozen=True, slots=True)
class Dot:
    """The gradient of -prediction . v, which is linear attention's."""

    def __call__(self, prediction: Tensor, v: Tensor) -> Tensor:
        return -v


@dataclass(frozen=True, slots=True)
class Huber:
    """The gradient of half the squared error, shortened to delta where it is longer, or to a token's multiple of it."""

    delta: float = 1.0

    def __call__(self, prediction: Tensor, v: Tensor, threshold: Tensor | None = None) -> Tensor:
        e = prediction - v
        length = (e.square().sum(-1, keepdim=True) + 1e-12).sqrt()
        delta = self.delta if threshold is None else self.delta * threshold[..., None]
        return e * (delta / length).clamp(max=1.0)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a memory learns, and how it is read."""

    error: Callable[..., Tensor]
    """Gradient of the loss by the prediction, of (prediction, v) (..., d) and, where gates have one, the threshold
    (...). The kernel knows the three above."""
    chunk: int = 1
    """Gradients are taken at the weights every so many tokens; 1 is the exact online rule. Part of the model."""
    read: Literal["after", "before", "start"] = "after"
    """y_t is read from the weights after token t, before it, or at the start of its chunk."""
    residual_norm: bool = False
    """M(x) = x + norm(MLP(x)), a layer norm without a gain."""
    activation: Literal["silu", "gelu"] = "silu"
    """Between layers."""
    decay_first: bool = False
    """The error is taken on the weights once they have decayed; for one matrix only."""
    map: Callable[[Weights], Weights] | None = None
    """From the accumulated weights to those used; None is the identity."""
    settle: Callable[[Weights, Tensor], Weights] | None = None
    """What is done to the weights after every token, with its step (B, H, 1, 1) or (B, H, d, 1); None is nothing."""

    name: str = ""
    """Says all there is to it: rules of one name are one rule. A compiled graph holds the name, so it wants one."""

    def __post_init__(self) -> None:
        if self.name:
            RULES[self.name] = self

    def used(self, weights: Weights) -> Weights:
        return weights if self.map is None else self.map(weights)


def activate(z: Tensor, rule: Rule) -> Tensor:
    return F.silu(z) if rule.activation == "silu" else F.gelu(z)


def slope(z: Tensor, rule: Rule) -> Tensor:
    """The derivative of `activate`."""
    if rule.activation == "gelu":
        bell: Tensor = (-0.5 * z.square()).exp() * (2 * torch.pi) ** -0.5
        rise: Tensor = torch.special.ndtr(z) + z * bell
        return rise
    s = z.sigmoid()
    return s * (1 + z * (1 - s))


def norm(o: Tensor) -> Tensor:
    return F.layer_norm(o, o.shape[-1:], eps=1e-6)


def norm_backward(o: Tensor, e: Tensor) -> Tensor:
    """The gradient by o of a loss whose gradient by norm(o) is e."""
    o = o - o.mean(-1, keepdim=True)
    deviation = (o.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    o = o / deviation
    return (e - e.mean(-1, keepdim=True) - o * (e * o).mean(-1, keepdim=True)) / deviation


def gradients(anchor: Weights, k: Tensor, v: Tensor, gates: Gates, rule: Rule) -> list[tuple[Tensor, Tensor]]:
    """The loss's gradient by each weight matrix as (error (..., out), input (..., in)), whose outer product it is.

    anchor as used, with a token axis to spare for k, v (B, H, C, d); gates of the same tokens.
    """
    inner, inputs = [], [k]  # what goes into each activation, and into each matrix
    for w in anchor[:-1]:
        inner.append(inputs[-1] @ w.mT)
        inputs.append(activate(inner[-1], rule))
    hidden = inputs[-1] @ anchor[-1].mT
    if rule.decay_first:
        keep = gates.log_keep.exp()
        hidden = hidden * (keep if gates.by_channel else keep[..., None])
    prediction = k + norm(hidden) if rule.residual_norm else hidden
    e = rule.error(prediction, v) if gates.threshold is None else rule.error(prediction, v, gates.threshold)
    errors = [norm_backward(hidden, e) if rule.residual_norm else e]
    for w, z in zip(reversed(anchor), reversed(inner), strict=False):
        errors.append((errors[-1] @ w) * slope(z, rule))
    return list(zip(reversed(errors), inputs, strict=True))


def answer(weights: Weights, q: Tensor, rule: Rule) -> Tensor:
    """M(q), q (B, H, C, d), by weights as used."""
    y = q @ weights[0].mT
    for w in weights[1:]:
        y = activate(y, rule) @ w.mT
    return q + norm(y) if rule.residual_norm else y


def where(real: Tensor, new: Weights, old: Weights) -> Weights:
    """The new weights in rows that are real (B,), the old ones in the others."""
    return tuple(torch.where(real[:, None, None, None], a, b) for a, b in zip(new, old, strict=True))
