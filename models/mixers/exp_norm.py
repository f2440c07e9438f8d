"""Softmax attention with another normaliser: the exponential kept, its row sum replaced by a norm."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import normalize

from models.mixers.attention import AttentionConfig, AttentionMixer, norm_of


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpNormConfig(AttentionConfig):
    normaliser: Literal["l2", "rms", "layer", "row_sum", "count", "none"] = "l2"
    """What the numerator is divided by: its own length, a learned norm, the weights' sum, the number of keys seen."""
    gate: Literal["in", "out", "none"] = "none"
    """sigmoid(W x + b), a number a head: on the values, or on the answers."""

    def __post_init__(self) -> None:
        AttentionConfig.__post_init__(self)
        if self.normaliser not in ("l2", "rms", "layer", "row_sum", "count", "none"):
            raise ValueError(f"normaliser is {self.normaliser!r}, expected l2, rms, layer, row_sum, count or none")
        if self.gate not in ("in", "out", "none"):
            raise ValueError(f"gate is {self.gate!r}, expected 'in', 'out' or 'none'")
        if self.only is not None and self.normaliser == "count":
            raise ValueError("the normaliser count does not look at ids; with only, take another")


class ExpNorm(AttentionMixer):
    """o_t = N_t / G_t,  N_t = sum_i exp(q_t . k_i / sqrt(K)) v_i   (Mongaras and Larson 2025), G_t a norm of N_t.

    A length, or a root mean square, does not change when N_t is multiplied by a number above 0. So those normalisers
    take softmax's answer, which is N_t over its row sum and safe for any score. "count" and "none" need N_t itself:
    there a score above 5 counts as 5, as in the official code. The state is that of softmax attention.
    """

    config: ExpNormConfig

    def __init__(self, config: ExpNormConfig) -> None:
        super().__init__(config)
        self.kind = "exp" if config.normaliser in ("count", "none") else "softmax"
        if config.gate != "none":
            self.gate = nn.Linear(config.d_model, config.key_heads if config.gate == "in" else config.n_heads)
        learned = config.normaliser if config.normaliser in ("rms", "layer") else "none"
        self.norm = norm_of(learned, config.head_width)

    def values(self, v: Tensor, x: Tensor) -> Tensor:
        return v * self.gate(x).sigmoid()[..., None] if self.config.gate == "in" else v

    def answers(self, o: Tensor, x: Tensor, positions: Tensor, lengths: Tensor | None) -> Tensor:
        if self.config.normaliser == "l2":
            o = normalize(o, dim=-1)
        elif self.config.normaliser == "count":
            o = o / self.n_visible(positions, lengths)[..., None, None]
        else:
            o = self.norm(o)
        return o * self.gate(x).sigmoid()[..., None] if self.config.gate == "out" else o
