"""Normalised attention: linear attention divided by a number that its own token alone decides."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.gla import gated_linear_attention
from models.mixers.base import SequenceMixer

WIDEST = 10.0
"""Of the normaliser's logarithm under exp."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalisedConfig:
    d_model: int
    n_heads: int = 4
    d_key: int = 32
    """Numbers of a query and of a key a head, n in the paper, which the state is as much wider by."""
    normaliser: Literal["exp", "softplus", "sigmoid"] = "exp"
    """Of a linear map of the token, one a head; the paper's table has exp best."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if self.d_key < 1 or self.normaliser not in ("exp", "softplus", "sigmoid"):
            raise ValueError(
                f"d_key {self.d_key} must be positive, normaliser {self.normaliser!r} 'exp', 'softplus' or 'sigmoid'"
            )


class NormalisedState(NamedTuple):
    S: Tensor  # (B, H, n, V), float32 or wider


class Normalised(SequenceMixer[NormalisedState]):
    """y_t = (sum_{j<=t} (q_t . k_j) v_j) / eta(w . x_t + b)   (Dynamical Systems Framework, Sieber et al. 2024)

    with q and k as they are projected, without a feature map. Linear attention's own divisor is the sum of its weights,
    which remembers; this one does not, so that the state is n D numbers and no more. A state-space model is the same
    with a divisor that grows by its decay, as a test shows. Under exp the divisor's logarithm is kept within 10.
    """

    def __init__(self, config: NormalisedConfig) -> None:
        super().__init__()
        self.config = c = config
        self.query, self.key = (nn.Linear(c.d_model, c.n_heads * c.d_key) for _ in range(2))
        self.value, self.out = nn.Linear(c.d_model, c.d_model), nn.Linear(c.d_model, c.d_model)
        self.normaliser = nn.Linear(c.d_model, c.n_heads)

    def initial_state(self, batch: int) -> NormalisedState:
        c, weight = self.config, self.out.weight
        wide = torch.promote_types(weight.dtype, torch.float32)
        return NormalisedState(weight.new_zeros(batch, c.n_heads, c.d_key, c.d_model // c.n_heads, dtype=wide))

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: NormalisedState | None = None
    ) -> tuple[Tensor, NormalisedState]:
        self.refuse_ids(ids)
        state = self.initial_state(len(x)) if state is None else state
        q, k, v = (
            z(x).unflatten(-1, (self.config.n_heads, -1)).transpose(1, 2) for z in (self.query, self.key, self.value)
        )
        if mask is not None:  # what is not there writes nothing
            k = k.masked_fill(~mask[:, None, :, None], 0.0)
        o, S = gated_linear_attention(q, k, v, torch.zeros_like(q[..., :1]), state.S)
        y = self.out((o / self.divisor(x).transpose(1, 2)[..., None]).transpose(1, 2).flatten(2).to(x.dtype))
        return (y if mask is None else y.masked_fill(~mask[..., None], 0.0)), NormalisedState(S)

    def divisor(self, x: Tensor) -> Tensor:
        """eta, (B, T, H), above 0."""
        logits: Tensor = self.normaliser(x)
        if self.config.normaliser == "exp":
            return logits.clamp(-WIDEST, WIDEST).exp()
        # Neither may come so near to 0 that the answer is lost in it.
        return (F.softplus(logits) if self.config.normaliser == "softplus" else logits.sigmoid()) + 1e-3
