"""Sigmoid attention: every key is weighed by itself."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.mixers.attention import AttentionConfig, AttentionMixer, norm_of


@dataclass(frozen=True, kw_only=True, slots=True)
class SigmoidAttentionConfig(AttentionConfig):
    qk_norm: Literal["layer", "rms", "none"] = "layer"
    score_bias: Literal["visible", "static", "learned"] = "visible"
    """-log of how many keys a token sees; or -log n_keys whatever it sees; or a number a head, from -log n_keys."""
    n_keys: int = 2048
    """The length that a static bias is made for, and a learned one starts at."""
    layer_scale: float | None = None
    """Starts a learned scale of every output channel at this; 1e-4 in vision models. None has no such scale."""
    out_norm: Literal["layer", "rms", "none"] = "none"
    """Of the output: the "hybrid norm" x + norm(attention(norm(x))), used at length 4096."""

    def __post_init__(self) -> None:
        AttentionConfig.__post_init__(self)
        if self.score_bias not in ("visible", "static", "learned"):
            raise ValueError(f"score_bias is {self.score_bias!r}, expected 'visible', 'static' or 'learned'")
        if self.out_norm not in ("layer", "rms", "none"):
            raise ValueError(f"out_norm is {self.out_norm!r}, expected 'layer', 'rms' or 'none'")
        if self.n_keys < 1:
            raise ValueError(f"n_keys is {self.n_keys}, expected at least 1")
        if self.only is not None and self.score_bias == "visible":
            raise ValueError("a visible score_bias does not look at ids; with only, take 'static' or 'learned'")


class SigmoidAttention(AttentionMixer):
    """o_t = sum_j sigmoid(q_t . k_j / sqrt(K) + b) v_j, not divided by anything   (Ramapuram et al. 2024, eq. 3).

    b = -log n keeps the sum of a row's weights at order 1. Which n is part of the model and is the same whole or
    step by step: "visible" counts the keys that token t sees (window and padding included), "static" is a constant,
    which gives the first tokens of a sequence almost no answer. The state is that of softmax attention.
    """

    kind = "sigmoid"
    config: SigmoidAttentionConfig

    def __init__(self, config: SigmoidAttentionConfig) -> None:
        super().__init__(config)
        if config.score_bias == "learned":
            self.score_bias = nn.Parameter(torch.full((config.n_heads,), -math.log(config.n_keys)))
        if config.layer_scale is not None:
            self.layer_scale = nn.Parameter(torch.full((config.d_model,), config.layer_scale))
        self.out_norm = norm_of(config.out_norm, config.d_model)

    def offset(self, positions: Tensor, lengths: Tensor | None) -> Tensor:
        c, dtype = self.config, self.out.weight.dtype
        if c.score_bias == "learned":
            return self.score_bias[None, :, None]
        if c.score_bias == "static":
            return torch.full((1, 1, 1), -math.log(c.n_keys), dtype=dtype, device=positions.device)
        n = self.n_visible(positions, lengths).to(torch.promote_types(dtype, torch.float32))
        return -n.log()[:, None]

    def finish(self, y: Tensor) -> Tensor:
        y = self.out_norm(y)
        return y * self.layer_scale if self.config.layer_scale is not None else y
