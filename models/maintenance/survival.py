"""Discrete-time survival: hazards over bins of remaining life, their likelihood, and what is read off the curve."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]


def log_survival(hazard_logits: Tensor) -> Tensor:
    """(..., K) logits of the hazards to (..., K + 1) the log of S at 0 and at every bin's upper edge.

    h_k = sigmoid(logit_k), S_k = prod_{j <= k} (1 - h_j): never rising.
    """
    return F.pad(F.logsigmoid(-hazard_logits).cumsum(-1), (1, 0))


def negative_log_likelihood(hazard_logits: Tensor, edges: Tensor, left: Tensor, failed: Tensor) -> Tensor:
    """(...,) of remaining lives `left` (...,), for units that `failed` (...,) and those last seen alive.

    -log(h_K prod_{j<K} (1 - h_j)) for a failure in bin K, and -log of the product over the bins lived through for one
    that did not fail within what was seen. Edges (K,) are the bins' upper ends; what is beyond the last is a life that
    was longer than all of them. A unit counts that part of its last bin which it lived through.
    """
    log_s = log_survival(hazard_logits)
    lower = F.pad(edges[:-1], (1, 0))
    inside = torch.searchsorted(edges, left.clamp(min=0.0).contiguous(), right=False)  # bin K is (e_{K-1}, e_K]
    beyond = inside >= len(edges)
    bin_ = inside.clamp(max=len(edges) - 1)
    share = ((left - lower[bin_]) / (edges - lower)[bin_]).clamp(0.0, 1.0)
    lived = log_s.gather(-1, bin_[..., None])[..., 0]
    hit = F.logsigmoid(hazard_logits.gather(-1, bin_[..., None])[..., 0])
    through = log_s.gather(-1, bin_[..., None] + 1)[..., 0]
    return -torch.where(beyond, log_s[..., -1], torch.where(failed, lived + hit, torch.lerp(lived, through, share)))


def mean_life(survival: Tensor, edges: Tensor) -> Tensor:
    """(...,) the mean of min(life, last edge): the area under S (..., K + 1), straight between the edges (K,)."""
    widths = torch.diff(edges, prepend=edges.new_zeros(1))
    return ((survival[..., 1:] + survival[..., :-1]) / 2 * widths).sum(-1)


def lived_by(survival: Floats, ends: Floats, shares: Floats) -> Floats:
    """(n, q) the lives that `shares` (q,) of such units do not outlive, straight between the ends (K + 1,) of the bins.

    The first end is 0; the last is said where the curve (n, K + 1) stays above that.
    """
    levels = 1.0 - shares
    if len(survival) == 1:  # a stream's: the same, by interpolation of the curve read backwards
        life = np.interp(levels, survival[0, ::-1], ends[::-1])
        return np.where(survival[0, -1] > levels, ends[-1], life)[None]
    above = (survival[:, None] > levels[:, None]).sum(-1)  # ends at which more than the level are alive
    at = above.clip(1, len(ends) - 1)
    high, low = np.take_along_axis(survival, at - 1, 1), np.take_along_axis(survival, at, 1)
    part = ((high - levels) / np.maximum(high - low, 1e-12)).clip(0.0, 1.0)
    found: Floats = np.where(above == len(ends), ends[-1], ends[at - 1] + part * (ends[at] - ends[at - 1]))
    return found
