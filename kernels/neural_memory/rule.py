"""The parts of a memory that learns while it reads: its gates, its state, and the rule by which it learns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = tuple[Tensor, ...]
"""One matrix (B, H, d, d), M(x) = W x; or two, (B, H, h, d) and (B, H, d, h), M(x) = W2 act(W1 x)."""


NO_MOMENTUM = -60.0
"""A log gate that keeps nothing and has a gradient of zero, not of NaN."""


class Gates(NamedTuple):
    step: Tensor  # theta, how far a token's gradient goes; at least 0
    log_keep: Tensor  # log of what is kept of the weights, at most 0
    log_momentum: Tensor  # log of what is kept of the last update, at most 0; NO_MOMENTUM is none


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
    """The gradient of half the squared error, shortened to delta where it is longer."""

    delta: float = 1.0

    def __call__(self, prediction: Tensor, v: Tensor) -> Tensor:
        e = prediction - v
        length = (e.square().sum(-1, keepdim=True) + 1e-12).sqrt()
        return e * (self.delta / length).clamp(max=1.0)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a memory learns, and how it is read."""

    error: Callable[[Tensor, Tensor], Tensor]
    """Gradient of the loss by the prediction, of (prediction, v) (..., d). The kernel knows the three above."""
    chunk: int = 1
    """Gradients are taken at the weights every so many tokens; 1 is the exact online rule. Part of the model."""
    read: Literal["after", "before", "start"] = "after"
    """y_t is read from the weights after token t, before it, or at the start of its chunk."""
    residual_norm: bool = False
    """M(x) = x + norm(MLP(x)), a layer norm without a gain."""
    decay_first: bool = False
    """The error is taken on the weights once they have decayed; for one matrix only."""
    map: Callable[[Weights], Weights] | None = None
    """From the accumulated weights to those used; None is the identity."""

    name: str = ""
    """Says all there is to it: rules of one name are one rule. A compiled graph holds the name, so it wants one."""

    def __post_init__(self) -> None:
        if self.name:
            RULES[self.name] = self

    def used(self, weights: Weights) -> Weights:
        return weights if self.map is None else self.map(weights)


def activate(z: Tensor) -> Tensor:
    return F.silu(z)


def slope(z: Tensor) -> Tensor:
    """The derivative of `activate`."""
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


def gradients(anchor: Weights, k: Tensor, v: Tensor, keep: Tensor, rule: Rule) -> list[tuple[Tensor, Tensor]]:
    """The loss's gradient by each weight matrix as (error (..., out), input (..., in)), whose outer product it is.

    anchor as used, with a token axis to spare for k, v (B, H, C, d); keep (B, H, C) is what is kept of the weights.
    """
    if len(anchor) == 1:
        hidden, z, a = k @ anchor[0].transpose(-1, -2), None, k
        hidden = hidden * keep[..., None] if rule.decay_first else hidden
    else:
        z = k @ anchor[0].transpose(-1, -2)
        a = activate(z)
        hidden = a @ anchor[1].transpose(-1, -2)
    prediction = k + norm(hidden) if rule.residual_norm else hidden
    e = rule.error(prediction, v)
    e = norm_backward(hidden, e) if rule.residual_norm else e
    if z is None:
        return [(e, k)]
    return [((e @ anchor[1]) * slope(z), k), (e, a)]


def answer(weights: Weights, q: Tensor, rule: Rule) -> Tensor:
    """M(q), q (B, H, C, d), by weights as used."""
    y = q @ weights[0].transpose(-1, -2)
    if len(weights) == 2:
        y = activate(y) @ weights[1].transpose(-1, -2)
    return q + norm(y) if rule.residual_norm else y


def where(real: Tensor, new: Weights, old: Weights) -> Weights:
    """The new weights in rows that are real (B,), the old ones in the others."""
    return tuple(torch.where(real[:, None, None, None], a, b) for a, b in zip(new, old, strict=True))
