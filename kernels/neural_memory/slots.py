"""Tokens in slots that continue each row's own chunk, so that the chunks of all rows begin in the same slots."""

from typing import NamedTuple

import torch
from torch import Tensor

from kernels.neural_memory.rule import Fast, Gates, Rule


class Slots(NamedTuple):
    q: Tensor  # (B, H, slots, d), as k and v
    k: Tensor
    v: Tensor
    gates: Gates  # (B, H, slots) or (B, H, slots, d) each; a slot without a token has gates that change nothing
    real: Tensor  # (B, slots): whether there is a token
    back: Tensor  # (B, tokens): each token's slot
    lengths: Tensor  # (B,): tokens of each row


def in_slots(q: Tensor, k: Tensor, v: Tensor, gates: Gates, state: Fast, rule: Rule, mask: Tensor | None) -> Slots:
    """q, k, v (B, H, T, d) and what belongs to them, as the op takes them."""
    batch, _, n_tokens, _ = q.shape
    phase = state.phase
    lengths = phase.new_full((batch,), n_tokens) if mask is None else mask.sum(1)
    n_slots = -(-(n_tokens + rule.chunk - 1) // rule.chunk) * rule.chunk if rule.chunk > 1 else n_tokens
    place = torch.arange(n_slots, device=q.device) - phase[:, None]  # (B, slots): the token of a slot
    real = (place >= 0) & (place < lengths[:, None])
    token = place.clamp(0, n_tokens - 1)[:, None, :]
    q, k, v = (z.take_along_dim(token[..., None], 2) for z in (q, k, v))

    def stilled(gate: Tensor) -> Tensor:
        wide = (..., None) if gate.dim() == 4 else (...,)
        return gate.take_along_dim(token[wide], 2).masked_fill(~real[:, None][wide], 0.0)

    still = gates.each(stilled)
    return Slots(q, k, v, still, real, phase[:, None] + torch.arange(n_tokens, device=q.device), lengths)


def of_tokens(y: Tensor, slots: Slots) -> Tensor:
    """From what each slot answers, (B, H, slots, d), to what each token does."""
    return y.take_along_dim(slots.back[:, None, :, None], 2)
