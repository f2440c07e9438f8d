"""Low-rank deltas on linear layers: train them while the layers are frozen, then add them in (Hu et al. 2021)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LowRank(nn.Module):
    """y = W x + (alpha / r) B A x with W frozen; B starts at zero, so that at first nothing changes."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank is {rank}, expected at least 1")
        self.base = base.requires_grad_(False)
        self.scale = alpha / rank
        self.down = nn.Parameter(base.weight.new_empty(rank, base.in_features))
        self.up = nn.Parameter(base.weight.new_zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    @property
    def weight(self) -> Tensor:
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x) + self.scale * F.linear(F.linear(x, self.down), self.up)
        return y

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The layer with the delta in it."""
        self.base.weight += self.scale * self.up @ self.down
        return self.base


def make_low_rank(module: nn.Module, names: Sequence[str], rank: int, alpha: float) -> list[nn.Parameter]:
    """Puts a delta on every linear layer within `module` that is called one of the names; returns what is trained."""
    trained: list[nn.Parameter] = []
    for parent in list(module.modules()):
        if isinstance(parent, LowRank):
            continue
        for name in names:
            layer = getattr(parent, name, None)
            if isinstance(layer, nn.Linear):
                delta = LowRank(layer, rank, alpha)
                setattr(parent, name, delta)
                trained += [delta.down, delta.up]
    return trained


def merge(module: nn.Module) -> None:
    """Adds every delta within `module` into its layer, which stands there again."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LowRank):
                setattr(parent, name, child.merged())
