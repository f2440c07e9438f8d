"""Scale-invariant signal-to-noise ratio, and the assignment of estimates to voices."""

from itertools import permutations

import torch
from torch import Tensor


def si_snr(estimate: Tensor, target: Tensor, eps: float = 1e-8) -> Tensor:
    """10 log10(|a s|^2 / |e - a s|^2) in dB, a = <e, s> / |s|^2, of waveforms (..., n) without their means.

    Any scale of e gives the same (Le Roux et al. 2019). At most about 10 log10(1 / eps), for a perfect estimate.
    """
    e, s = (z - z.mean(-1, keepdim=True) for z in (estimate, target))
    power = s.square().sum(-1, keepdim=True)
    part = (e * s).sum(-1, keepdim=True) / (power + eps) * s
    signal, noise = part.square().sum(-1), (e - part).square().sum(-1)
    return 10 * torch.log10((signal + eps * eps) / (noise + eps * signal + eps * eps))


def best_assignment(estimates: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The mean si_snr (B,) under the best of the K! assignments, and which estimate (B, K) each target gets.

    estimates, targets (B, K, n).
    """
    if estimates.shape != targets.shape or estimates.dim() != 3:
        raise ValueError(
            f"estimates are {tuple(estimates.shape)} and targets {tuple(targets.shape)}, expected (B, K, n)"
        )
    n_voices = targets.shape[1]
    each = si_snr(estimates[:, None], targets[:, :, None])  # (B, target, estimate)
    orders = torch.tensor(list(permutations(range(n_voices))), device=each.device)  # (K!, K)
    means = each[:, torch.arange(n_voices, device=each.device), orders].mean(-1)  # (B, K!)
    best, which = means.max(-1)
    return best, orders[which]


def separation_loss(estimates: Tensor, targets: Tensor, ceiling: float = 30.0) -> Tensor:
    """Minus the best mean si_snr, mean over the batch; what is better than `ceiling` dB teaches no more."""
    return -best_assignment(estimates, targets)[0].clamp(max=ceiling).mean()
