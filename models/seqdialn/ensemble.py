"""One ranking from several models' scores of the same options."""

from typing import Literal

import torch
from torch import Tensor

How = Literal["probability", "rank", "reciprocal_rank", "score"]
HOW: tuple[How, ...] = ("probability", "rank", "reciprocal_rank", "score")


def combine(scores: Tensor, how: How = "probability", *, power: float = 1.0) -> Tensor:
    """Combined scores (..., N), higher is better, of M models' scores (M, ..., N); an absent option has -inf.

    probability: the mean of softmax(s)^power.  rank: minus the mean of rank^power, 1 the best, ties shared at the
    worse end.  reciprocal_rank: the mean of rank^-power.  score: the mean of s after each list of each model is brought
    to 0..1; the official code brings all models to one range together, which leaves the loudest model the loudest.
    """
    if how not in HOW:
        raise ValueError(f"how is {how!r}, expected one of {', '.join(HOW)}")
    absent = scores.isneginf().any(0)
    if how == "probability":
        combined = scores.softmax(-1).pow(power).mean(0)
    elif how == "score":
        low = scores.masked_fill(absent, torch.inf).amin(-1, keepdim=True)
        span = scores.amax(-1, keepdim=True) - low
        combined = ((scores - low) / span.clamp(min=1e-12)).clamp(min=0).pow(power).mean(0)
    else:
        r = ranks(scores).to(scores.dtype)
        combined = -r.pow(power).mean(0) if how == "rank" else r.pow(-power).mean(0)
    return combined.masked_fill(absent, -torch.inf)


def ranks(scores: Tensor) -> Tensor:
    """1 + how many other options have at least this score, (..., N) long: ties count against an option."""
    ordered = scores.sort(-1).values.contiguous()
    return scores.shape[-1] - torch.searchsorted(ordered, scores.contiguous(), side="left")
