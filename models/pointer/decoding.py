"""Beam search over pointers, with or without a constraint on what may follow."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from models.mixers.base import take_rows
from models.pointer.model import END, PointerNetwork

Constraint = Callable[[Tensor, Tensor], Tensor]
"""(visited, real), both (B, K, N+1) bool, to what may be pointed at next, of the same shape. `real` broadcasts."""


def anything(visited: Tensor, real: Tensor) -> Tensor:
    """Any input any number of times, and the end at any time."""
    return real.expand_as(visited)


def tour(visited: Tensor, real: Tensor) -> Tensor:
    """Every input once, then the end: the valid tours of the paper's section 4.4."""
    left = real & ~visited
    left[..., END] = ~left[..., END + 1 :].any(-1)
    return left


class Found(NamedTuple):
    """The best sequences, likeliest first: K of them, of at most `max_steps` pointers."""

    pointers: Tensor  # (B, K, M) long, the end included; what follows it is END too
    log_prob: Tensor  # (B, K) in nats, under the constraint; -inf where there are fewer than K sequences


@torch.inference_mode()
def beam_search(
    model: PointerNetwork,
    points: Tensor,
    mask: Tensor | None = None,
    *,
    width: int,
    max_steps: int,
    constraint: Constraint = anything,
) -> Found:
    """The likeliest sequences for points (B, N, d_input) that a beam of `width` finds; width 1 is greedy.

    Probabilities are renormalised over what the constraint allows, step by step. A sequence without an end after
    `max_steps` stands as it is. Raises ValueError for a width or a limit below 1.
    """
    if width < 1 or max_steps < 1:
        raise ValueError(f"width and max_steps must be positive, got {width} and {max_steps}")
    encoded = model.encode(points, mask)
    B, n_keys, _ = encoded.keys.shape
    batch = torch.arange(B, device=points.device)[:, None]
    heard, state = encoded.start[:, None], encoded.state
    total = points.new_zeros(B, 1)
    pointers = torch.zeros(B, 1, 0, dtype=torch.long, device=points.device)
    visited = torch.zeros(B, 1, n_keys, dtype=torch.bool, device=points.device)
    only_end = torch.arange(n_keys, device=points.device) == END
    for _ in range(max_steps):
        logits, state = model.step(heard, encoded, state)
        allowed = constraint(visited, encoded.real[:, None])
        steps = logits.masked_fill(~allowed, -torch.inf).log_softmax(-1)
        ended = visited[..., END, None]
        steps = torch.where(ended, torch.where(only_end, 0.0, -torch.inf), steps)  # What has ended costs no more.
        every = (total[..., None] + steps).flatten(1)  # (B, K (N+1))
        total, best = every.topk(min(width, every.shape[1]), 1)
        parent, pointer = best // n_keys, best % n_keys  # (B, K')
        pointers = torch.cat([pointers[batch, parent], pointer[..., None]], 2)
        visited = visited[batch, parent].scatter(2, pointer[..., None], True)
        if bool(visited[..., END].all()):
            break
        state = take_rows(state, (batch * logits.shape[1] + parent).flatten())
        heard = encoded.inputs[batch, pointer]
    return Found(pointers, total)
