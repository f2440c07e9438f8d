"""A short causal convolution over time, and the gated one that moves each token's neighbours onto it."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.mixers.base import SequenceMixer
from models.mixers.cache import last


class CausalConv(nn.Module):
    """y_t = c + sum_{i<k} w_i * u_{t-i}, channel by channel; u (B, T, D) to y (B, T, D), u_{<0} from the state.

    The state is the last k-1 inputs, (B, k-1, D). Weights and bias start as PyTorch's depthwise convolution's do.
    """

    def __init__(self, d_model: int, width: int, *, bias: bool = True) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"the convolution's width must be at least 1, got {width}")
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(width, d_model).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(d_model).uniform_(-bound, bound)) if bias else None

    @property
    def width(self) -> int:
        return self.weight.shape[0]

    def initial_state(self, batch: int) -> Tensor:
        return self.weight.new_zeros(batch, self.width - 1, self.weight.shape[1])

    def forward(self, u: Tensor, mask: Tensor | None, tail: Tensor | None) -> tuple[Tensor, Tensor]:
        n_tokens = u.shape[1]
        seen = torch.cat([self.initial_state(len(u)) if tail is None else tail, u], 1)  # (B, k-1+T, D)
        taps = (seen[:, self.width - 1 - i : self.width - 1 - i + n_tokens] for i in range(self.width))
        y = sum(w * tap for w, tap in zip(self.weight, taps, strict=True))
        y = y if self.bias is None else y + self.bias
        lengths = None if mask is None else mask.sum(1)
        return y, last(seen, self.width - 1, n_tokens, lengths)


@dataclass(frozen=True, kw_only=True, slots=True)
class GatedConvConfig:
    d_model: int
    width: int = 3
    skip: bool = True
    """Adds the input to what comes out."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")


class GatedConvState(NamedTuple):
    tail: Tensor  # (B, width-1, D): the last inputs


class GatedConv(SequenceMixer[GatedConvState]):
    """y_t = conv(x)_t * (W x_t + b) + x_t   (BaseConv; Zoology, Arora et al. 2024), conv causal and depthwise.

    A token sees width - 1 tokens back. Zoology puts it in the first layer of every model it compares, since a mixer
    without any shift cannot bring a key onto the value that follows it.
    """

    def __init__(self, config: GatedConvConfig) -> None:
        super().__init__()
        self.config = config
        self.conv = CausalConv(config.d_model, config.width)
        self.gate = nn.Linear(config.d_model, config.d_model)

    def initial_state(self, batch: int) -> GatedConvState:
        return GatedConvState(self.conv.initial_state(batch))

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        ids: Tensor | None = None,
        state: GatedConvState | None = None,
    ) -> tuple[Tensor, GatedConvState]:
        self.refuse_ids(ids)
        near, tail = self.conv(x, mask, None if state is None else state.tail)
        y = near * self.gate(x)
        if self.config.skip:
            y = y + x
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        return y, GatedConvState(tail)
