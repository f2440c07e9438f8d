"""Duo-causal attention: pass d at position i sees passes up to d at positions up to i."""

from typing import NamedTuple

import torch
from torch import Tensor

from kernels.attention import Pattern, Structure, attention


class Slots(NamedTuple):
    """Keys and values of one layer, of passes in any order: their places are told, not their order."""

    k: Tensor  # (B, S, G, K), turned to their positions
    v: Tensor  # (B, S, G, K)
    position: Tensor  # (B, S) long
    valid: Tensor  # (B, S) bool: a row that did not think there has nothing in the slot

    def followed_by(self, other: "Slots") -> "Slots":
        return Slots(*(torch.cat(pair, 1) for pair in zip(self, other, strict=True)))


def duo_causal_attention(q: Tensor, position: Tensor, seen: list[Slots]) -> Tensor:
    """o (B, M, H, K): one softmax over all slots of the passes in `seen`, at positions up to a query's own.

    q (B, M, H, K) turned to their positions (B, M); `seen` are the slots of this pass and of those before it. With a
    single pass it is causal attention. A query that sees nothing answers zero.
    """
    every = seen[0]
    for slots in seen[1:]:
        every = every.followed_by(slots)
    allowed = (every.position[:, None, :] <= position[:, :, None]) & every.valid[:, None, :]  # (B, M, S)
    o = attention(
        q.transpose(1, 2),
        every.k.transpose(1, 2),
        every.v.transpose(1, 2),
        Pattern(causal=False),
        Structure(allowed=allowed[:, None]),
    )
    return o.transpose(1, 2)
