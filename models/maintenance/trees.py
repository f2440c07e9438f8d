"""How long a unit has left, by boosted trees: the hazard of every bin of remaining life, from one sample's features.

Trees learned elsewhere, kept as tensors: nothing is executed when they are read. A unit needs no state for them, since
the features are a summary of its past already.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from models.maintenance.features import FeaturesConfig
from models.maintenance.survival import log_survival


@dataclass(frozen=True, kw_only=True, slots=True)
class TreesConfig:
    """The shape of an ensemble: every tree has as many leaves as the largest, and one split fewer."""

    n_inputs: int
    n_bins: int
    n_trees: int
    n_leaves: int = 8

    def __post_init__(self) -> None:
        if min(self.n_inputs, self.n_bins, self.n_trees) < 1 or self.n_leaves < 2:
            raise ValueError("n_inputs, n_bins and n_trees: expected 1 or more, n_leaves 2 or more")


class HazardTrees(nn.Module):
    """`drifts` (..., I) of a sample to the survival curve of its remaining life, S (..., K + 1).

    logit h_k = b + sum over trees of f(x, k), where f is the value of the leaf that x and the bin's number lead to: a
    leaf is reached where every split on its way agrees, which is one product of matrices a tree (Nakandala et al.
    2020, the first of their three ways).
    """

    def __init__(self, config: TreesConfig) -> None:
        super().__init__()
        c = self.config = config
        t, j, n = c.n_trees, c.n_leaves - 1, c.n_leaves
        self.register_buffer("bias", torch.zeros(()))
        self.register_buffer("inputs", torch.zeros(t, j, dtype=torch.int16))  # what a split asks about; I is the bin
        self.register_buffer("thresholds", torch.zeros(t, j))  # left where it is no more than this
        self.register_buffer("ways", torch.zeros(t, n, j, dtype=torch.int8))  # of a leaf: 1 left, -1 right, 0 not met
        self.register_buffer("values", torch.zeros(t, n))
        self.bias: Tensor
        self.inputs: Tensor
        self.thresholds: Tensor
        self.ways: Tensor
        self.values: Tensor
        for name in ("of_sample", "by_bin", "met"):  # `_fixed`, while nothing is written to the trees
            self.register_buffer(name, None, persistent=False)
        self.of_sample: Tensor
        self.by_bin: Tensor
        self.met: Tensor

    def train(self, mode: bool = True) -> Self:
        """In evaluation what no sample changes is worked out once, and not at every one."""
        super().train(mode)
        if not mode:
            self.of_sample, self.by_bin, self.met = self._fixed()
        return self

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        c = self.config
        block = max(1, _AT_ONCE // (c.n_bins * c.n_trees * c.n_leaves))
        curves = torch.cat([log_survival(self.logits(part)).exp() for part in rows.split(block)])
        return curves.reshape(*x.shape[:-1], c.n_bins + 1)

    def logits(self, x: Tensor) -> Tensor:
        """(N, I) to the hazards' (N, K)."""
        asks = self.inputs.clamp(max=self.config.n_inputs - 1).long()
        of_sample, by_bin, met = self._fixed() if self.training else (self.of_sample, self.by_bin, self.met)
        held = x[:, asks.flatten()].unflatten(1, asks.shape)  # (N, T, J)
        by_sample = _agreeing(held <= self.thresholds, of_sample, self.ways.to(x.dtype))  # (N, T, L)
        reached = by_sample[:, None] + by_bin == met  # (N, K, T, L): one leaf a tree
        return self.bias + reached.flatten(2).to(x.dtype) @ self.values.flatten()

    def _fixed(self) -> tuple[Tensor, Tensor, Tensor]:
        """Which splits ask a sample (T, J); what the bins say of them (K, T, L); how many each leaf has met (T, L)."""
        of_bin, ways = self.inputs == self.config.n_inputs, self.ways.float()
        bins = torch.arange(self.config.n_bins, device=ways.device)
        by_bin = _agreeing(bins[:, None, None] <= self.thresholds, of_bin.float(), ways)
        return (~of_bin).float(), by_bin, ways.abs().sum(-1)


_AT_ONCE = 4_000_000
"""Leaves looked at in one block of rows."""


def _agreeing(left: Tensor, counted: Tensor, ways: Tensor) -> Tensor:
    """Of splits that go left or right (M, T, J), those counted (T, J), 1 or 0: how many more agree with the way to each
    leaf than do not, (M, T, L)."""
    return torch.einsum("mtj,tlj->mtl", (2.0 * left.to(ways.dtype) - 1.0) * counted, ways)


def drifts(config: FeaturesConfig, x: Tensor) -> Tensor:
    """Features (..., F) with how far each mean of a channel lies off the next slower one, (..., F + S C).

    That is the channel's slope, told with less noise than by a line through its last samples; trees split on one number
    at a time and cannot take a difference themselves.
    """
    c, s = config.n_channels, len(config.smooth)
    if not s:
        return x
    means = x[..., 2 * c + 1 : (2 + s) * c + 1].unflatten(-1, (s, c))
    levels = torch.cat([x[..., None, :c], means], -2)  # (..., S + 1, C)
    return torch.cat([x, (levels[..., :-1, :] - levels[..., 1:, :]).flatten(-2)], -1)


def n_inputs(config: FeaturesConfig) -> int:
    """How many numbers `drifts` makes of a sample."""
    return config.n_features + len(config.smooth) * config.n_channels
