"""The Activator's gating unit in a mixer's place: the control that mixes nothing, and a causal extension of ours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from models.mixers.base import SequenceMixer
from models.mixers.short_conv import CausalConv

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "silu": F.silu, "relu": F.relu}


@dataclass(frozen=True, kw_only=True, slots=True)
class ActivatorConfig:
    d_model: int
    d_hidden: int | None = None
    """None is 2 d_model, the authors' ratio."""
    mode: Literal["pointwise", "causal_token_glu"] = "pointwise"
    width: int = 4
    """Of causal_token_glu's convolution; as wide as the longest sequence it is the whole Toeplitz map."""
    activation: Literal["gelu", "silu", "relu"] = "gelu"
    """Of the gate: GEGLU is the code's, SwiGLU and ReGLU the paper tries too."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.hidden < 1 or self.width < 1:
            raise ValueError(f"d_model {self.d_model}, d_hidden {self.d_hidden}, width {self.width} must be positive")
        if self.mode not in ("pointwise", "causal_token_glu"):
            raise ValueError(f"mode is {self.mode!r}, expected 'pointwise' or 'causal_token_glu'")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation is {self.activation!r}, expected one of {', '.join(ACTIVATIONS)}")

    @property
    def hidden(self) -> int:
        return 2 * self.d_model if self.d_hidden is None else self.d_hidden


class ActivatorState(NamedTuple):
    tail: Tensor  # (B, width-1, d_hidden): the convolution's last inputs; (B, 0, d_hidden) without one


class Activator(SequenceMixer[ActivatorState]):
    """pointwise: y = W3 (LN(GELU(W1 x + b1)) * LN(W2 x + b2)) + b3   (Abdullah and Aydin 2024, from their code)

    The paper puts this unit in attention's place, and its code mixes no tokens whatever: patches meet in the final
    mean. It is here as what it is, the control without mixing. As a feed-forward it is in `models.feedforward`.

    causal_token_glu, ours and not the paper's: y = W3 (u * v~) + b3, u = GELU(W1 x + b1), v = LN(W2 x + b2), v~_t =
    c + sum_{s<m} a_s * v_{t-s}. It starts pointwise, with a = 0 and c = 1.
    """

    def __init__(self, config: ActivatorConfig) -> None:
        super().__init__()
        self.config = config
        self.expand = nn.Linear(config.d_model, 2 * config.hidden)
        self.norm = nn.LayerNorm(config.hidden)
        self.contract = nn.Linear(config.hidden, config.d_model)
        if config.mode == "causal_token_glu":
            self.conv = CausalConv(config.hidden, config.width)
            nn.init.zeros_(self.conv.weight)
            assert self.conv.bias is not None
            nn.init.ones_(self.conv.bias)

    def initial_state(self, batch: int) -> ActivatorState:
        if self.config.mode == "causal_token_glu":
            return ActivatorState(self.conv.initial_state(batch))
        return ActivatorState(self.expand.weight.new_zeros(batch, 0, self.config.hidden))

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: ActivatorState | None = None
    ) -> tuple[Tensor, ActivatorState]:
        self.refuse_ids(ids)
        state = self.initial_state(len(x)) if state is None else state
        u, v = self.expand(x).chunk(2, -1)
        u, v, tail = ACTIVATIONS[self.config.activation](u), self.norm(v), state.tail
        if self.config.mode == "causal_token_glu":
            v, tail = self.conv(v, mask, tail)
        else:
            u = self.norm(u)  # one norm for both branches
        y = self.contract(u * v)
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        return y, ActivatorState(tail)
