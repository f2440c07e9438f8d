"""The next token of a reply: drawn among the likeliest, and never one that goes round in a circle."""

from collections.abc import Sequence

import torch
from torch import Tensor

TEMPERATURE, TOP_P = 0.7, 0.9
NO_REPEAT = 4
"""So many tokens in a row never come twice in a reply: a small model would go round in a circle."""


def drawn(logits: Tensor, never: Sequence[int], generator: torch.Generator) -> int:
    """One of the likeliest tokens of logits (V,), which together have TOP_P; none of those that may never come."""
    logits = logits.index_fill(0, torch.tensor(never, dtype=torch.long, device="cpu"), -torch.inf)
    p, order = (logits / TEMPERATURE).softmax(-1).sort(descending=True)
    p = p * (p.cumsum(-1) - p < TOP_P)
    return int(order[torch.multinomial(p, 1, generator=generator)])


def would_repeat(made: Sequence[int]) -> list[int]:
    """The tokens that would make the last NO_REPEAT ones the same as some before."""
    n = NO_REPEAT - 1
    tail = tuple(made[len(made) - n :])
    if len(tail) < n:
        return []
    return [made[i + n] for i in range(len(made) - n) if tuple(made[i : i + n]) == tail]
