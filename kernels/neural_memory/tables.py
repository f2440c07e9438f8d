"""What the gates of a chunk come to: how much of the weights, the momentum and each update is left at each token."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from kernels.neural_memory.rule import Gates, Rule


class Tables(NamedTuple):
    """Of chunks of C tokens, (..., C) or (..., C, C), the leading axes being the gates'. Read at each token: B of the
    chunk's first weights, c of its first momentum, P of each update before. At the end: the same."""

    B: Tensor
    c: Tensor
    P: Tensor
    B_end: Tensor  # (...)
    c_end: Tensor  # (...)
    reach: Tensor
    eta_end: Tensor  # (...): of the momentum in the momentum
    reach_momentum: Tensor


def tables(gates: Gates, real: Tensor, rule: Rule) -> Tables:
    """gates (..., C); real, of the same shape or broadcast to it, is 1 where there is a token and 0 elsewhere."""
    step, log_keep, log_eta = gates[:3]
    size = step.shape[-1]
    past = torch.ones(size, size, dtype=torch.bool, device=step.device).tril()
    keep, eta = (_products(z, past) for z in (log_keep, log_eta))  # (..., C, C): over (i, t]
    added = keep * real[..., None, :]
    G = added @ eta
    from_momentum = log_eta.cumsum(-1).exp()
    B, c = log_keep.cumsum(-1).exp(), (added @ from_momentum[..., None])[..., 0]
    last = (B[..., -1], c[..., -1], step * G[..., -1, :], from_momentum[..., -1], step * eta[..., -1, :])
    if rule.read == "before":  # the row above, and for the first token the chunk's start
        B, c, G = pad(B, (1, 0), value=1.0)[..., :-1], pad(c, (1, 0))[..., :-1], pad(G, (0, 0, 1, 0))[..., :-1, :]
    return Tables(B, c, G * step[..., None, :], *last)


def _products(logs: Tensor, past: Tensor) -> Tensor:
    """prod_{i<j<=t} exp(logs_j) at (t, i), 0 where i > t."""
    sums = logs.cumsum(-1)
    return (sums[..., :, None] - sums[..., None, :]).masked_fill(~past, -torch.inf).exp()
