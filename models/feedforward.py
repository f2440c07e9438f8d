"""Feed-forward layers: each token by itself, (..., D) to (..., D)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Kind = Literal["mlp", "swiglu", "geglu", "reglu", "activator"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}
GATES = {"swiglu": "silu", "geglu": "gelu", "reglu": "relu"}


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedForwardConfig:
    d_model: int
    kind: Kind = "swiglu"
    d_hidden: int | None = None
    """By default 4 D for the mlp, 8/3 D rounded up to a multiple of 8 for the gated ones (as many parameters as the
    mlp), 2 D for the activator (its authors' ratio)."""
    activation: Literal["relu", "gelu", "silu"] = "gelu"
    """Of the mlp only; the gated kinds carry theirs in the name."""
    dropout: float = 0.0
    """On the hidden values of mlp and gated kinds. The activator has none inside, as published."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or (self.d_hidden is not None and self.d_hidden < 1):
            raise ValueError(f"widths must be positive, got d_model {self.d_model} and d_hidden {self.d_hidden}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")

    @property
    def width(self) -> int:
        if self.d_hidden is not None:
            return self.d_hidden
        if self.kind == "mlp":
            return 4 * self.d_model
        return 2 * self.d_model if self.kind == "activator" else -(-8 * self.d_model // 24) * 8


class MLP(nn.Module):
    """W2 dropout(act(W1 x + b1)) + b2."""

    def __init__(self, config: FeedForwardConfig) -> None:
        super().__init__()
        self.expand = nn.Linear(config.d_model, config.width)
        self.contract = nn.Linear(config.width, config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.activation = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.contract(self.dropout(self.activation(self.expand(x))))
        return y


class GatedLinearUnit(nn.Module):
    """W3 dropout(act(W1 x) * W2 x), without biases (Shazeer 2020): silu makes it SwiGLU, gelu GEGLU, relu ReGLU."""

    def __init__(self, config: FeedForwardConfig) -> None:
        super().__init__()
        self.expand = nn.Linear(config.d_model, 2 * config.width, bias=False)  # W1 and W2 in one matmul
        self.contract = nn.Linear(config.width, config.d_model, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.activation = ACTIVATIONS[GATES[config.kind]]

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.expand(x).chunk(2, -1)
        y: Tensor = self.contract(self.dropout(self.activation(gate) * value))
        return y


class Activator(nn.Module):
    """W3 (LN(GELU(W1 x + b1)) * LN(W2 x + b2)) + b3   (Abdullah and Aydin, arXiv 2405.15953, from the authors' code).

    One layer norm serves both branches. The paper puts this unit in attention's place; it mixes no tokens, so here it
    is what it is, a feed-forward. Differs from GEGLU by the norms and the biases.
    """

    def __init__(self, config: FeedForwardConfig) -> None:
        super().__init__()
        self.expand = nn.Linear(config.d_model, 2 * config.width)
        self.norm = nn.LayerNorm(config.width)
        self.contract = nn.Linear(config.width, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        u, v = self.expand(x).chunk(2, -1)
        y: Tensor = self.contract(self.norm(F.gelu(u)) * self.norm(v))
        return y


FEEDFORWARDS: dict[str, type[nn.Module]] = {
    "mlp": MLP,
    "swiglu": GatedLinearUnit,
    "geglu": GatedLinearUnit,
    "reglu": GatedLinearUnit,
    "activator": Activator,
}


def build_feedforward(config: FeedForwardConfig) -> nn.Module:
    if config.kind not in FEEDFORWARDS:
        raise ValueError(f"no feed-forward is called {config.kind!r}; there are {', '.join(FEEDFORWARDS)}")
    return FEEDFORWARDS[config.kind](config)
