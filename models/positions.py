"""Where a token stands, as numbers: sinusoidal vectors and rotary angles."""

import math

import torch
from torch import Tensor


def sinusoidal(positions: Tensor, width: int) -> Tensor:
    """[sin(p w_k)]_k then [cos(p w_k)]_k, float32, (..., width), for positions p (...).

    w_k = exp(-k ln(10000) / (width/2 - 1)); an odd width drops the last cosine.
    """
    half = (width + 1) // 2
    k = torch.arange(half, device=positions.device, dtype=torch.float32)
    angles = positions.float()[..., None] * torch.exp(k * (-math.log(10_000.0) / max(half - 1, 1)))
    return torch.cat([angles.sin(), angles.cos()], -1)[..., :width]


def rotary(x: Tensor, positions: Tensor, base: float = 10_000.0) -> Tensor:
    """x (B, T, H, K) with each pair (x_k, x_{k + K/2}) turned by p w_k, w_k = base^(-2k/K), for positions p (B, T).

    Two vectors turned so have a product that depends on their positions' difference alone (Su et al. 2021, eq. 15).
    The angles are made in float64: at position 100,000 float32 would be off by a hundredth of a radian.
    """
    half = x.shape[-1] // 2
    if x.shape[-1] != 2 * half:
        raise ValueError(f"rotary positions turn pairs, and a head is {x.shape[-1]} wide")
    frequencies = base ** (-torch.arange(half, device=x.device, dtype=torch.float64) / half)
    angles = (positions[..., None] * frequencies)[:, :, None]  # (B, T, 1, K/2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.split(half, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def alibi(n_heads: int, n_distances: int, causal: bool, device: torch.device | None = None) -> Tensor:
    """-slope_h |i - j| by distance, float32 (1, H, P), as `kernels.attention.Structure.relative` wants it.

    slope_h = 2^(-8h/H), h = 1..H (Press et al. 2022). Distances are 0 .. P-1 if causal, else -(P//2) .. P//2, with
    P = n_distances or 2 n_distances - 1.
    """
    n_distances = max(n_distances, 1)  # of no tokens
    slopes = 2.0 ** (-8.0 * torch.arange(1, n_heads + 1, device=device) / n_heads)
    distances = torch.arange(0 if causal else 1 - n_distances, n_distances, device=device).abs()
    return -(slopes[:, None] * distances)[None]
