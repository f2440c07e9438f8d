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
