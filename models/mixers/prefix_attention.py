"""Causal attention over a window and a learned prefix that every token sees."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.mixers.cache import last
from models.mixers.window import window_attention
from models.positions import rotary


class PrefixAttentionState(NamedTuple):
    k: Tensor  # (B, window, H, K): the last keys, turned by their positions
    v: Tensor
    position: Tensor  # (B,) long: tokens seen


class PrefixAttention(nn.Module):
    """o_i = softmax over the prefix and tokens i - window .. i; rotary positions, the prefix without any."""

    def __init__(self, d_model: int, n_heads: int, *, window: int, n_prefix: int) -> None:
        super().__init__()
        self.n_heads, self.window = n_heads, window
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)
        self.prefix = nn.Parameter(torch.randn(n_prefix, d_model) * 0.02) if n_prefix else None

    def initial_state(self, batch: int) -> PrefixAttentionState:
        weight = self.out.weight
        k = weight.new_zeros(batch, self.window, self.n_heads, weight.shape[0] // self.n_heads)
        return PrefixAttentionState(k, k.clone(), torch.zeros(batch, dtype=torch.long, device=weight.device))

    def forward(
        self, x: Tensor, mask: Tensor | None, state: PrefixAttentionState
    ) -> tuple[Tensor, PrefixAttentionState]:
        """x (B, T, D) to y (B, T, D), zero at padding."""
        n_tokens = x.shape[1]
        lengths = None if mask is None else mask.sum(1)
        now = torch.arange(n_tokens, device=x.device)
        q, k, v = self._heads(x).unbind(2)  # (B, T, H, K)
        positions = state.position[:, None] + now
        q, k = rotary(q, positions), rotary(k, positions)
        k, v = torch.cat([state.k, k.to(state.k.dtype)], 1), torch.cat([state.v, v.to(state.v.dtype)], 1)
        prefix = None
        if self.prefix is not None:
            _, prefix_k, prefix_v = (z.transpose(1, 2).to(k.dtype) for z in self._heads(self.prefix[None]).unbind(2))
            prefix = prefix_k, prefix_v
        # What lies before the first token means nothing.
        start = (self.window - state.position).clamp(min=0)
        queries, keys, values = (z.transpose(1, 2) for z in (q.to(k.dtype), k, v))
        o = window_attention(queries, keys, values, start, prefix=prefix)
        y = self.out(o.transpose(1, 2).flatten(2))
        y = y if mask is None else y.masked_fill(~mask[..., None], 0.0)
        seen_now = n_tokens if lengths is None else lengths
        k, v = (last(z, self.window, n_tokens, lengths) for z in (k, v))
        return y, PrefixAttentionState(k, v, state.position + seen_now)

    def _heads(self, x: Tensor) -> Tensor:
        """(B, T, D) to queries, keys and values (B, T, 3, H, K)."""
        heads: Tensor = self.qkv(x).unflatten(-1, (3, self.n_heads, x.shape[-1] // self.n_heads))
        return heads
