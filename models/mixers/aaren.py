"""Aaren: softmax attention of one learned query, which makes it a recurrence."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from kernels.prefix_softmax import prefix_softmax
from models.mixers.base import SequenceMixer


@dataclass(frozen=True, kw_only=True, slots=True)
class AarenConfig:
    d_model: int
    n_heads: int = 4
    scale: float | None = None
    """Multiplies q . k; None is 1 / sqrt(K), and the paper writes 1."""
    keep_wq: bool = False
    """Keeps the paper's query projection of a constant token, D^2 parameters that one vector can replace."""
    query: Literal["normal", "zero"] = "normal"
    """How the query starts. Zero is an exact running mean of the values, and trains from there."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if self.query not in ("normal", "zero"):
            raise ValueError(f"query is {self.query!r}, expected 'normal' or 'zero'")


class AarenState(NamedTuple):
    log_sum: Tensor  # (B, H) float64: log of the sum of exp(score); -inf before the first token
    mean: Tensor  # (B, H, K) float64: the values' weighted mean so far


class Aaren(SequenceMixer[AarenState]):
    """o_t = sum_{i<=t} softmax(s_1 .. s_t)_i v_i with s_i = q . k_i, q a parameter   (Feng et al. 2024, section 3.3).

    This is not self-attention: the query is the same for every token and every input, which is what makes the state
    D + H numbers a row, whatever the length, and what keeps it from looking anything up. Order does not matter to it;
    positions, where wanted, are added outside. The paper leaves the query's start open; we take N(0, 1).
    """

    def __init__(self, config: AarenConfig) -> None:
        super().__init__()
        self.config = config
        d = config.d_model
        self.query = nn.Parameter(torch.zeros(d) if config.query == "zero" else torch.randn(d))
        if config.keep_wq:
            self.w_query = nn.Linear(d, d, bias=False)
        self.w_key = nn.Linear(d, d, bias=False)
        self.w_value = nn.Linear(d, d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.scale = (d // config.n_heads) ** -0.5 if config.scale is None else config.scale

    def initial_state(self, batch: int) -> AarenState:
        c, weight = self.config, self.out.weight
        mean = weight.new_zeros(batch, c.n_heads, c.d_model // c.n_heads, dtype=torch.float64)
        return AarenState(mean.new_full((batch, c.n_heads), -torch.inf), mean)

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        ids: Tensor | None = None,
        state: AarenState | None = None,
    ) -> tuple[Tensor, AarenState]:
        self.refuse_ids(ids)
        if state is None:
            state = self.initial_state(len(x))
        n_heads = self.config.n_heads
        query = self.w_query(self.query) if self.config.keep_wq else self.query
        # The query being constant, q . (W x) is (W^T q) . x: one vector a head in place of a D x D product.
        folded = torch.einsum("hk,hkd->hd", query.view(n_heads, -1), self.w_key.weight.unflatten(0, (n_heads, -1)))
        scores = nn.functional.linear(x, folded * self.scale).transpose(1, 2)  # (B, H, T)
        if mask is not None:
            # The scan's identity: a token of weight 0 changes neither the sum nor the mean.
            scores = scores.masked_fill(~mask[:, None], -torch.inf)
        v = self.w_value(x).unflatten(-1, (n_heads, -1)).transpose(1, 2)
        o, log_sum, mean = prefix_softmax(scores, v, *state)
        y = self.out(o.transpose(1, 2).flatten(2))
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        return y, AarenState(log_sum, mean)
