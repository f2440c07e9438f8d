"""Test-time regression: a mixer that fits keys to values while it reads, made of a regressor, weights and a solver."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.mixers.base import SequenceMixer
from models.mixers.regressors import REGRESSORS, Tokens
from models.mixers.short_conv import CausalConv
from models.positions import rotary


@dataclass(frozen=True, kw_only=True, slots=True)
class RegressionConfig:
    d_model: int
    n_heads: int = 4
    regressor: Literal["linear", "feature", "mlp", "kernel", "local"] = "local"
    """v = M k; v = M phi(k), phi = elu + 1; two layers; a sum over all keys; a polynomial about each query."""
    weights: Literal["uniform", "decay", "kernel"] = "kernel"
    """What an old pair counts: as much as a new one; less with every token, by a learned gate; by its key's place."""
    solver: Literal["hebb", "sgd", "implicit", "ridge", "closed"] = "closed"
    """hebb: one step from nothing, keys taken for orthogonal; sgd: a gradient step a token; implicit: the same, exact
    at the token itself (Longhorn); ridge: least squares, exactly; closed: least squares about each query, exactly."""
    order: Literal[0, 1, 2] = 1
    """Of the local polynomial; 0 is softmax attention."""
    quadratic: Literal["diagonal", "full"] = "diagonal"
    """Order 2: squares of coordinates alone, or all their products, which is for keys up to about 8 wide."""
    qk_norm: Literal["l2", "rms", "none"] = "l2"
    """Of a head's queries and keys: to length 1, with a learned temperature a head; to a root mean square of 1, with a
    gain; or none. Keys of one length make softmax a kernel of their distance."""
    conv_width: int = 2
    """Of the causal convolution on keys, so that a value can be filed under the token before it; 1 is none."""
    positions: Literal["rotary", "none"] = "none"
    n_steps: int = 1
    """sgd alone: pairs learned a token, each by a step of its own (DeltaProduct)."""
    expansion: float = 2.0
    """mlp alone: width of its middle, in multiples of a head's."""
    max_step: float = 1.0
    """sgd and implicit: the longest step; above 1, sgd overshoots on keys of length 1."""
    output_norm: bool = False
    """An RMS norm of each head's answer, which hebb's sums grow without."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        allowed = REGRESSORS.get((self.regressor, self.solver))
        if allowed is None or self.weights not in allowed[1]:
            there = "; ".join(f"{r} by {s} with {' or '.join(w)}" for (r, s), (_, w) in REGRESSORS.items())
            raise ValueError(
                f"regressor {self.regressor!r} by solver {self.solver!r} with weights {self.weights!r} "
                f"is not one of: {there}"
            )
        if self.order not in (0, 1, 2) or self.quadratic not in ("diagonal", "full"):
            raise ValueError(f"order {self.order} must be 0, 1 or 2, quadratic {self.quadratic!r} diagonal or full")
        if self.qk_norm not in ("l2", "rms", "none") or (self.regressor == "kernel" and self.qk_norm != "l2"):
            raise ValueError(f"qk_norm {self.qk_norm!r} must be l2, rms or none, and l2 for the regressor kernel")
        if self.positions not in ("rotary", "none") or (self.positions == "rotary" and self.d_head % 2):
            raise ValueError(f"positions {self.positions!r} must be rotary, on an even width of a head, or none")
        if self.n_steps < 1 or (self.n_steps > 1 and (self.solver != "sgd" or self.positions != "none")):
            raise ValueError(f"n_steps is {self.n_steps}, expected 1, or more for solver sgd without positions")
        if self.conv_width < 1 or self.max_step <= 0 or self.expansion * self.d_head < 1:
            raise ValueError(
                f"conv_width {self.conv_width}, max_step {self.max_step} and expansion {self.expansion} times a head's "
                f"width {self.d_head} must be at least 1, above 0 and at least 1"
            )

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads


@dataclass(frozen=True, kw_only=True, slots=True)
class MesaConfig(RegressionConfig):
    """The Mesa layer (von Oswald et al. 2023): a linear map by ridge regression with forgetting, exact at each
    token."""

    regressor: Literal["linear", "feature", "mlp", "kernel", "local"] = "linear"
    weights: Literal["uniform", "decay", "kernel"] = "decay"
    solver: Literal["hebb", "sgd", "implicit", "ridge", "closed"] = "ridge"


class RegressionState(NamedTuple):
    memory: tuple[Tensor, ...]  # the regressor's own
    tail: Tensor  # (B, conv_width - 1, n_steps D): the convolution's last inputs
    position: Tensor  # (B,) long: tokens seen


class Regression(SequenceMixer[RegressionState]):
    """m_t = argmin_m sum_{i<=t} gamma_i |v_i - m(k_i)|^2 + ridge |m|^2,  y_t = W m_t(q_t)

    (test-time regression, Wang, Shi and Fox 2025, section 3). The class m is from, the weights gamma and how the least
    is sought are the config's; linear attention, gated linear attention, DeltaNet, Gated DeltaNet, Longhorn,
    DeltaProduct, TTT, Mesa, Intention, unnormalised softmax and softmax are among them. Momentum and chunks of
    gradients are Titans' and Miras'. The paper's equations of higher order could not be read;
    `kernels.local_polynomial` states ours.

    Where the regressor is a matrix or a network the state is as large as it, plus H K^2 for ridge; kernel and local
    keep all keys and values, 2 S D numbers for S tokens seen. A local fit of order 1 or 2 is no average of values: some
    of its weights may be negative.
    """

    def __init__(self, config: RegressionConfig) -> None:
        super().__init__()
        self.config = c = config
        d, pairs = c.d_model, c.n_steps * c.d_model
        self.query = nn.Linear(d, d, bias=False)
        self.key = nn.Linear(d, pairs, bias=False)
        self.value = nn.Linear(d, pairs, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.conv = CausalConv(pairs, c.conv_width, bias=False) if c.conv_width > 1 else None
        if self.conv is not None:
            with torch.no_grad():  # starts as the token itself, with something of the one before it
                self.conv.weight.zero_()[:2] = 0.5
        if c.qk_norm == "rms":
            self.q_norm, self.k_norm = (nn.RMSNorm(c.d_head, eps=1e-6) for _ in range(2))
        self.norm = nn.RMSNorm(c.d_head, eps=1e-5) if c.output_norm else nn.Identity()
        self.regressor = REGRESSORS[c.regressor, c.solver][0](c)

    def initial_state(self, batch: int) -> RegressionState:
        weight = self.out.weight
        tail = weight.new_zeros(batch, self.config.conv_width - 1, self.key.out_features)
        position = torch.zeros(batch, dtype=torch.long, device=weight.device)
        return RegressionState(self.regressor.initial_state(batch, weight), tail, position)

    def state_floats(self, n_tokens: int) -> int:
        c = self.config
        fixed = SequenceMixer.state_floats(self, n_tokens)
        return fixed + self.regressor.grows * n_tokens * 2 * c.d_model

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: RegressionState | None = None
    ) -> tuple[Tensor, RegressionState]:
        self.refuse_ids(ids)
        c = self.config
        state = self.initial_state(len(x)) if state is None else state
        lengths = None if mask is None else mask.sum(1)
        k, tail = self.key(x), state.tail
        if self.conv is not None:
            k, tail = self.conv(k, mask, tail)
        q, k, v = (z.unflatten(-1, (-1, c.d_head)) for z in (self.query(x), k, self.value(x)))  # (B, T, H n_steps, K)
        if c.qk_norm == "l2":
            q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        elif c.qk_norm == "rms":
            q, k = self.q_norm(q), self.k_norm(k)
        if c.positions == "rotary":
            places = state.position[:, None] + torch.arange(x.shape[1], device=x.device)
            q, k = rotary(q, places), rotary(k, places)
        q, k, v = (z.transpose(1, 2) for z in (q, k, v))
        o, memory = self.regressor(Tokens(x, q, k, v, mask, lengths), state.memory, state.position)
        y = self.out(self.norm(o.transpose(1, 2).to(x.dtype)).flatten(2))
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        return y, RegressionState(memory, tail, state.position + (x.shape[1] if lengths is None else lengths))
