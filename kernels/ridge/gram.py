"""Kernel ridge regression of every prefix by one factorisation.

The factor L of the whole Gram matrix begins with the factors of its leading blocks, and so do L^{-1} kappa(k, q) and
L^{-1} v: token t's answer is the product of the two up to its own slot.
"""

import torch
from torch import Tensor


def kernel_ridge(q: Tensor, k: Tensor, v: Tensor, scale: Tensor, ridge: Tensor, start: Tensor) -> Tensor:
    """As `reference.kernel_ridge`."""
    n_tokens, n_slots = q.shape[2], k.shape[2]
    scale, ridge = scale[:, None, None], ridge[:, None, None]
    full = (torch.arange(n_slots, device=k.device) >= start[:, None])[:, None, :, None].to(k.dtype)
    eye = torch.eye(n_slots, dtype=k.dtype, device=k.device)
    gram = (scale * (k @ k.mT - 1)).exp() * full * full.mT + ridge * eye  # an empty slot's row is its diagonal
    across = (scale * (k @ q.mT - 1)).exp() * full  # (B, H, S, T)
    both = torch.cat([across, v * full], -1)
    left, right = torch.linalg.solve_triangular(torch.linalg.cholesky(gram), both, upper=False).split(
        (n_tokens, v.shape[-1]), -1
    )
    o: Tensor = left.mT.tril(n_slots - n_tokens) @ right
    return o
