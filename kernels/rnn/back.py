"""The way back through a recurrence whose steps are all of one kind: a carried state, and logits that hear it."""

from collections.abc import Sequence
from itertools import cycle

import torch
from torch import Tensor


def hear(logits: Tensor, h: Tensor, weight: Tensor) -> Tensor:
    """logits += h @ weight, in place; (B, N), or (G, B, N) where each of G recurrences has weights of its own."""
    return logits.addmm_(h, weight) if h.dim() == 2 else logits.baddbmm_(h, weight)


def back_through(d_states: Tensor, slopes: Tensor, carry: Tensor | None, weights: Sequence[Tensor]) -> Tensor:
    """The gradient of every step's logits, (J, ..., n N), and in place that of the states before it.

    d_states (J + 1, ..., N), to begin with what reaches them from outside; slopes (J, ..., n, N), how much each logit
    moves its step's state, which the answer overwrites; carry (J, ..., N), how much the state before does by itself.
    weights (n N, N), or (G, n N, N), take turns. So a step backwards is three operations.
    """
    d_logits = slopes.flatten(-2)
    after, before = d_states[1:], d_states[:-1].unbind()
    steps = zip(
        slopes.unbind(), d_logits.unbind(), after.unsqueeze(-2).unbind(), after.unbind(), before,
        [None] * len(before) if carry is None else carry.unbind(), strict=True,
    )  # fmt: skip
    turns = cycle(reversed(weights))
    for (slope, d_logit, d_wide, d_after, d_before, kept), weight in zip(reversed(list(steps)), turns, strict=False):
        slope.mul_(d_wide)
        if kept is not None:
            d_before.addcmul_(d_after, kept)
        hear(d_before, d_logit, weight)
    return d_logits


def summed(d_logits: Tensor, states: Tensor) -> Tensor:
    """The weights' gradient from (T, ..., B, n N) and (T, ..., B, N): one product for all steps."""
    return torch.einsum("t...bi,t...bj->...ij", d_logits, states)
