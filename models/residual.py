"""How a branch is joined to what it branched off from: plainly, or through a gate."""

from typing import Literal

import torch
from torch import Tensor, nn

ResidualKind = Literal["add", "rate", "input"]


class Residual(nn.Module):
    """Joins a branch y to its input x, both (..., D). Heidenreich et al. (2024) compare three families of gates; their
    exact formulas could not be had, so these are ours:

    add:   x + y
    rate:  x + a * y, with a (D) learned from 0.5
    input: (1 - g) * x + g * y, g = sigmoid(W [x; y] + b), with b from -2: mostly x at the start
    """

    def __init__(self, kind: ResidualKind, d_model: int) -> None:
        super().__init__()
        if kind not in ("add", "rate", "input"):
            raise ValueError(f"residual must be add, rate or input, got {kind!r}")
        self.kind = kind
        if kind == "rate":
            self.rate = nn.Parameter(torch.full((d_model,), 0.5))
        elif kind == "input":
            self.gate = nn.Linear(2 * d_model, d_model)
            nn.init.constant_(self.gate.bias, -2.0)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        if self.kind == "add":
            return x + y
        if self.kind == "rate":
            return x + self.rate * y
        return x + torch.sigmoid(self.gate(torch.cat([x, y], -1))) * (y - x)
