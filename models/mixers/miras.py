"""Miras: a memory that learns while it reads, made of four choices; Moneta, Yaad and Memora are three of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.neural_memory import Dot, Huber, Rule, Squared
from kernels.neural_memory.rule import Weights
from models.mixers.learning import LearningMixer

Bias = Literal["dot", "l1", "l2", "lp", "huber", "shift"]
Retention = Literal["decay", "lq", "kl", "elastic", "proximal", "sigmoid"]
WIDEST = 30.0
"""Of a log-weight, once its largest is subtracted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MirasConfig:
    d_model: int
    n_heads: int = 4
    memory: Literal["mlp", "matrix"] = "matrix"
    """What learns: a network of `depth` layers, or one matrix."""
    depth: int = 2
    expansion: float = 2.0
    """Width between the layers, in multiples of a head's; the paper's is 4."""
    activation: Literal["silu", "gelu"] = "silu"
    """Between them; the paper's is gelu."""
    residual_norm: bool = False
    """The memory answers x + norm(MLP(x)), a layer norm without a gain; the paper's does."""
    bias: Bias = "l2"
    """The attentional bias, which is the loss: dot product, l1, l2, lp, Huber's, or l2 with a shift of the values."""
    p: float = 3.0
    """Of lp."""
    delta: float = 1.0
    """Huber's threshold on the error's length; and the shift's weight."""
    delta_gate: bool = False
    """Each token multiplies delta by a number of its own, 1 at first."""
    huber: Literal["norm", "coordinate", "switch"] = "norm"
    """What of Huber's gradient is cut: norm, the error's length, shortened to the threshold; coordinate, each of its
    numbers; switch, as transcribed from the paper, the l2 gradient up to the threshold, delta times the l1 gradient
    beyond, which jumps there."""
    retention: Retention = "decay"
    """What keeps the weights near the old ones: decay (l2), lq, KL divergence, elastic net, or Bregman's sigmoid. The
    elastic net has two forms: elastic, gradients summed and what is read cut towards 0 (follow the regularised leader);
    proximal, the weights themselves cut after every token, by the threshold times its step."""
    q: float = 4.0
    """Of lq."""
    lq_map: Literal["mirror", "paper"] = "mirror"
    """mirror: sign(A) |A|^(q-1) / ||A||^(q-2), which minimises the objective; paper: A / ||A||^(q-2), as transcribed,
    which does not. The norm is of each head's matrix."""
    threshold: float = 0.001
    """Of the elastic net: how much is cut; of its proximal form, for a step of 1."""
    gates: Literal["head", "channel"] = "head"
    """One of each a head and token; or a channel, for a matrix, whose rows then step and forget each by itself. The
    paper has channels and does not say how they act on a network."""
    rank: int = 32
    """Of the map that makes gates a channel; the paper's is 32 or 64."""
    momentum: bool = False
    chunk: int = 1
    """Gradients are taken at the weights every so many tokens; 1 is the exact online rule. Part of the model."""
    read: Literal["token", "chunk"] = "token"
    """Which weights a token reads: those after it, or those its chunk began with."""
    max_step: float = 0.1
    conv_width: int = 4
    max_gradient: float | None = 1.0
    """Longest gradient by the prediction; None is no limit. The lp gradient grows with the error's square."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if self.chunk < 1 or self.conv_width < 1 or self.expansion * self.d_head < 1 or self.max_step <= 0:
            raise ValueError(
                f"chunk {self.chunk}, conv_width {self.conv_width}, expansion {self.expansion} and max_step "
                f"{self.max_step} must be positive"
            )
        if self.depth < 2 or self.rank < 1 or self.activation not in ("silu", "gelu"):
            raise ValueError(
                f"depth {self.depth} must be at least 2 (1 is memory='matrix'), rank {self.rank} at least 1, "
                f"activation {self.activation!r} 'silu' or 'gelu'"
            )
        if self.gates not in ("head", "channel") or (self.gates == "channel" and self.memory != "matrix"):
            raise ValueError(f"gates {self.gates!r} must be 'head', or 'channel' for memory 'matrix'")
        if self.gates == "channel" and self.retention == "kl":
            raise ValueError("under retention 'kl' a row of the weights is forgotten as one: gates must be 'head'")
        if self.delta_gate and self.bias not in ("huber", "shift"):
            raise ValueError(f"delta_gate is for bias 'huber' or 'shift', not {self.bias!r}")
        if self.huber not in ("norm", "coordinate", "switch"):
            raise ValueError(f"huber is {self.huber!r}, expected 'norm', 'coordinate' or 'switch'")
        if self.p < 1 or self.q < 2 or self.delta <= 0 or self.threshold < 0:
            raise ValueError(f"p {self.p} at least 1, q {self.q} at least 2, delta {self.delta} above 0 expected")

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads

    @property
    def hidden(self) -> int:
        return int(self.expansion * self.d_head)


@dataclass(frozen=True, kw_only=True, slots=True)
class MonetaConfig(MirasConfig):
    bias: Bias = "lp"
    retention: Retention = "lq"


@dataclass(frozen=True, kw_only=True, slots=True)
class YaadConfig(MirasConfig):
    bias: Bias = "huber"


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoraConfig(MirasConfig):
    retention: Retention = "kl"


class MirasState(NamedTuple):
    accumulated: Weights  # (B, H, ., .) each: A, from which the weights are made; log-weights under KL
    momentum: Weights  # the same, or nothing
    anchor: Weights  # the same at the start of the chunk, or nothing for chunks of one
    phase: Tensor  # (B,) long
    tail: Tensor  # the convolution's last inputs


class Miras(LearningMixer[MirasState]):
    """A_t = alpha_t A_{t-1} - eta_t grad loss(W; k_t, v_t),  W_t = map(A_t),  y_t = W_t(q_t)

    (the framework of Behrouz et al. 2025, arXiv 2504.13173): a memory's shape, its attentional bias (the loss), its
    retention (what is kept of A, and the map) and its optimiser (plain or with momentum). Linear attention, decayed
    linear attention, the delta rule and Titans without momentum are among its settings, as tests say.

    The paper's text could not be had: equations are from a transcription. Moneta's map as transcribed does not
    minimise its objective, so the mirror map is the default. Under KL the weights are a softmax over each row, scaled
    to the row's width, and alpha is one number a head, so that log-weights are a linear recurrence and nothing is
    approximated: a row's logits may be forgotten each at its own pace only where all of a row are. Rotary positions of
    q and k, which the paper's backbone has, are left out. The paper's own memory is memory="mlp", expansion=4,
    activation="gelu", residual_norm=True.
    """

    def __init__(self, config: MirasConfig) -> None:
        super().__init__(config, rank=config.rank if config.gates == "channel" else None, thresholds=config.delta_gate)
        self.config = c = config
        self.rule = Rule(
            name=repr(c),
            error=_loss(c),
            chunk=c.chunk,
            read="after" if c.read == "token" else "start",
            residual_norm=c.residual_norm,
            activation=c.activation,
            map=None if c.retention in ("decay", "proximal") else partial(_used, c),
            settle=partial(_settled, c) if c.retention == "proximal" else None,
        )

    def initial_state(self, batch: int) -> MirasState:
        return MirasState(*self.fresh(batch), self.conv.initial_state(batch))

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: MirasState | None = None
    ) -> tuple[Tensor, MirasState]:
        self.refuse_ids(ids)
        state = self.initial_state(len(x)) if state is None else state
        y, after, tail = self.learn(x, mask, state[:4], state.tail)
        return self.finish(x, y, mask), MirasState(*after, tail)


def _loss(c: MirasConfig) -> Callable[..., Tensor]:
    """The loss's gradient by the prediction."""
    if c.bias == "dot":
        return Dot()
    if c.bias == "l2":
        return Squared(2.0)
    return Huber(c.delta) if c.bias == "huber" and c.huber == "norm" else partial(_error, c)


def _error(c: MirasConfig, prediction: Tensor, v: Tensor, threshold: Tensor | None = None) -> Tensor:
    """Of the losses that are Miras's own."""
    e = prediction - v
    delta = e.new_tensor(c.delta) if threshold is None else c.delta * threshold[..., None]
    length = (e.square().sum(-1, keepdim=True) + 1e-12).sqrt()
    if c.bias == "huber" and c.huber == "coordinate":
        return torch.minimum(torch.maximum(e, -delta), delta)
    if c.bias == "huber":
        return torch.where(length <= delta, 2 * e, delta * e.sign())
    if c.bias == "shift":
        return e + delta * e / length
    smooth = (e.square() + 1e-6).sqrt()
    if c.bias == "l1":
        return e / smooth
    e = c.p * (10 * e).tanh() * smooth ** (c.p - 1)
    if c.max_gradient is None:
        return e
    return e * (c.max_gradient / (e.square().sum(-1, keepdim=True) + 1e-12).sqrt()).clamp(max=1.0)


def _settled(c: MirasConfig, weights: Weights, step: Tensor) -> Weights:
    """The elastic net's proximal step."""
    return tuple(_cut(w, c.threshold * step) for w in weights)


def _cut(a: Tensor, threshold: Tensor | float) -> Tensor:
    """What is nearer to 0 than the threshold is 0, the rest comes that much nearer."""
    return a.sign() * F.relu(a.abs() - threshold)


def _used(c: MirasConfig, accumulated: Weights) -> Weights:
    """From A to the weights used."""
    return tuple(_mapped(c, a) for a in accumulated)


def _mapped(c: MirasConfig, a: Tensor) -> Tensor:
    if c.retention == "kl":
        a = a - a.amax(-1, keepdim=True).detach()
        return a.clamp(min=-WIDEST).softmax(-1) * a.shape[-1]
    if c.retention == "sigmoid":
        return a.sigmoid()
    if c.retention == "elastic":
        return _cut(a, c.threshold)
    size = (a.abs() + 1e-12).pow(c.q).sum((-2, -1), keepdim=True).pow(1 / c.q) + 1e-6
    turned = a.sign() * a.abs().pow(c.q - 1) if c.lq_map == "mirror" else a
    return turned / size.pow(c.q - 2)
