"""The gated single-head attention of MossFormer, with a near part and a far one."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.local_global import Sides, local_global_attention
from models.mixers.fsmn import Taps
from models.mossformer2.config import MossFormer2Config
from models.positions import rotary

TURNED = 32
"""Dimensions of queries and keys that rotary positions turn."""


class ScaleNorm(nn.Module):
    """g x / max(|x| / sqrt(D), eps), with one g for all channels."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.scale, self.eps = width**-0.5, eps
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * self.scale
        out: Tensor = x / size.clamp(min=self.eps) * self.gain
        return out


class ConvUnit(nn.Module):
    """norm, linear, SiLU, and a depthwise convolution around which its input goes by ("FFConvM" in the code)."""

    def __init__(self, d_in: int, d_out: int, taps: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.norm = ScaleNorm(d_in)
        self.linear = nn.Linear(d_in, d_out)
        ahead = 0 if causal else taps // 2
        self.conv = Taps(d_out, taps - ahead, ahead=ahead)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.linear(self.norm(x)))
        near, _ = self.conv(h, None, self.conv.initial_state(len(x)))
        out: Tensor = self.dropout(h + near)
        return out


class GatedAttention(nn.Module):
    """x + unit((a_u * v) * sigmoid(a_v * u)), with [v, u] = unit(x') and a = near and far attention over v and u.

    x (B, T, D); x' is x with its first half of channels a frame late. Queries and keys are four scaled and shifted
    copies of one unit(x') of d_key channels. Read in the authors' code; there `causal` leaves the convolutions
    symmetric, here they look back alone.
    """

    def __init__(self, config: MossFormer2Config) -> None:
        super().__init__()
        self.config = c = config
        d, more = c.d_model, (c.conv_width, c.dropout, c.causal)
        self.values = ConvUnit(d, 4 * d, *more)
        self.shared = ConvUnit(d, c.d_key, *more)
        self.gamma = nn.Parameter(torch.empty(4, c.d_key).normal_(0, 0.02))
        self.beta = nn.Parameter(torch.zeros(4, c.d_key))
        self.out = ConvUnit(2 * d, d, *more)

    def forward(self, x: Tensor) -> Tensor:
        late, same = x.chunk(2, -1)
        shifted = torch.cat([F.pad(late, (0, 0, 1, -1)), same], -1)
        both = self.values(shifted)  # (B, T, 4 D): v and u
        q, q_far, k, k_far = self._copies(self.shared(shifted))
        a_v, a_u = local_global_attention(
            Sides(q, q_far), Sides(k, k_far), both, self.config.chunk, causal=self.config.causal
        ).chunk(2, -1)
        v, u = both.chunk(2, -1)
        y: Tensor = x + self.out((a_u * v) * torch.sigmoid(a_v * u))
        return y

    def _copies(self, z: Tensor) -> tuple[Tensor, ...]:
        """near and far queries, near and far keys, each (B, T, K), their first dimensions turned by position."""
        copies = z[:, :, None] * self.gamma + self.beta  # (B, T, 4, K)
        turned = min(TURNED, z.shape[-1] // 2 * 2)
        positions = torch.arange(z.shape[1], device=z.device).expand(z.shape[:2])
        copies = torch.cat([rotary(copies[..., :turned], positions), copies[..., turned:]], -1)
        return copies.unbind(2)
