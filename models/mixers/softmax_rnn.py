"""Softmax attention as a sum of recurrences, cut off at an order: a constant state in place of a key cache."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from kernels.taylor import n_features, taylor_attention
from models.mixers.attention import norm_of
from models.mixers.base import SequenceMixer
from models.positions import rotary


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftmaxRNNConfig:
    d_model: int
    n_heads: int = 4
    d_key: int = 16
    """Width of a head's queries and keys. The state grows as its power `order`, so it is small and its own number."""
    order: int = 2
    """The last term of the exponential's series."""
    constant_term: bool = True
    """Whether the series starts at 1 or at z."""
    normaliser: Literal["row_sum", "l2", "rms", "layer", "count", "none"] = "row_sum"
    """What the numerator is divided by: the weights' sum, its own length, a learned norm, the number of keys."""
    gate: Literal["in", "out", "none"] = "none"
    """sigmoid(W x + b), a number a head: on the values, or on the answers."""
    cosine: float | None = None
    """Bounds the scores to this: queries and keys of length 1, z = cosine * cos. None is q . k / sqrt(d_key)."""
    rotary: bool = True
    rotary_base: float = 10_000.0

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if not 1 <= self.order <= 4:
            raise ValueError(f"order is {self.order}, expected 1 to 4")
        if self.normaliser not in ("row_sum", "l2", "rms", "layer", "count", "none"):
            raise ValueError(f"normaliser is {self.normaliser!r}, expected row_sum, l2, rms, layer, count or none")
        if self.gate not in ("in", "out", "none"):
            raise ValueError(f"gate is {self.gate!r}, expected 'in', 'out' or 'none'")
        if self.normaliser == "row_sum" and (self.order % 2 or not self.constant_term):
            # Only then is every weight above 0: an odd order has a root, and a sum of weights may cross it.
            raise ValueError(
                f"row_sum needs an even order and the constant term, got order {self.order} and "
                f"constant_term {self.constant_term}"
            )
        if self.cosine is not None and self.cosine <= 0:
            raise ValueError(f"cosine is {self.cosine}, expected above 0, or None")
        if self.d_key < 1 or (self.rotary and self.d_key % 2):
            raise ValueError(f"d_key is {self.d_key}, expected at least 1, and even with rotary positions")


class SoftmaxRNNState(NamedTuple):
    S: Tensor  # (B, H, F, V), or (B, H, F, V + 1) with row_sum, float32 or wider
    position: Tensor  # (B,) long: tokens seen


class SoftmaxRNN(SequenceMixer[SoftmaxRNNState]):
    """o_t = N_t / G_t,  N_t = sum_{i<=t} T(z_ti) v_i,  T(z) = sum_{n<=order} z^n / n!   (Mongaras and Larson 2025).

    Softmax is the limit of endless orders; every order is a linear recurrence over Kronecker powers of the keys, and
    all of them together one recurrence over the C(d_key + order, order) monomials. G_t is the weights' sum, or what
    `normaliser` says. Orders 2 to 4 are mixers of their own rather than approximations: the series needs about
    2.7 max |z| terms. For scores that must stay small, `cosine` bounds them.
    """

    def __init__(self, config: SoftmaxRNNConfig) -> None:
        super().__init__()
        self.config = config
        keys, d = config.n_heads * config.d_key, config.d_model
        self.widths = [keys, keys, d]
        self.project = nn.Linear(d, sum(self.widths), bias=False)  # q, k, v
        self.out = nn.Linear(d, d, bias=False)
        if config.gate != "none":
            self.gate = nn.Linear(d, config.n_heads)
        learned = config.normaliser if config.normaliser in ("rms", "layer") else "none"
        self.norm = norm_of(learned, d // config.n_heads)
        self.lowest = 0 if config.constant_term else 1

    def initial_state(self, batch: int) -> SoftmaxRNNState:
        c, weight = self.config, self.out.weight
        n = n_features(c.d_key, c.order, self.lowest)
        width = c.d_model // c.n_heads + (c.normaliser == "row_sum")
        S = weight.new_zeros(batch, c.n_heads, n, width, dtype=torch.promote_types(weight.dtype, torch.float32))
        return SoftmaxRNNState(S, torch.zeros(batch, dtype=torch.long, device=weight.device))

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        ids: Tensor | None = None,
        state: SoftmaxRNNState | None = None,
    ) -> tuple[Tensor, SoftmaxRNNState]:
        self.refuse_ids(ids)
        c = self.config
        position = torch.zeros(len(x), dtype=torch.long, device=x.device) if state is None else state.position
        positions = position[:, None] + torch.arange(x.shape[1], device=x.device)  # (B, T)
        q, k, v = (z.unflatten(-1, (c.n_heads, -1)) for z in self.project(x).split(self.widths, -1))  # (B, T, H, K)
        if c.cosine is not None:
            q, k = normalize(q, dim=-1) * c.cosine, normalize(k, dim=-1)
        else:
            q = q * c.d_key**-0.5
        if c.rotary:
            q, k = rotary(q, positions, c.rotary_base), rotary(k, positions, c.rotary_base)
        gate = self.gate(x).sigmoid()[..., None] if c.gate != "none" else None  # (B, T, H, 1)
        if gate is not None and c.gate == "in":
            v = v * gate
        if c.normaliser == "row_sum":
            v = pad(v, (0, 1), value=1.0)  # the weights' sum is the answer for values of 1
        if mask is not None:
            # A padded token writes nothing; its score cannot say so, since T(-inf) is not 0.
            v = v.masked_fill(~mask[..., None, None], 0.0)
        q, k, v = (z.transpose(1, 2) for z in (q, k, v))
        numerator, S = taylor_attention(q, k, v, None if state is None else state.S, order=c.order, lowest=self.lowest)
        o = self._normalised(numerator.transpose(1, 2), positions)
        if gate is not None and c.gate == "out":
            o = o * gate
        y = self.out(o.flatten(2))
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        return y, SoftmaxRNNState(S, position + (x.shape[1] if mask is None else mask.sum(1)))

    def _normalised(self, numerator: Tensor, positions: Tensor) -> Tensor:
        """o (B, T, H, V) from N (B, T, H, V or V + 1)."""
        if self.config.normaliser == "row_sum":
            # A row that has seen nothing, which only padding can be, is 0 / 0.
            return numerator[..., :-1] / numerator[..., -1:].clamp(min=torch.finfo(numerator.dtype).tiny)
        if self.config.normaliser == "l2":
            return normalize(numerator, dim=-1)
        if self.config.normaliser == "count":
            return numerator / (positions + 1)[..., None, None]
        y: Tensor = self.norm(numerator)
        return y
