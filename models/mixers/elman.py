"""The simple recurrent network."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from kernels.rnn import elman
from models.mixers.recurrent import Cell, RecurrentConfig, RecurrentMixer, Vectors, newest


@dataclass(frozen=True, kw_only=True, slots=True)
class ElmanConfig(RecurrentConfig):
    contract: bool = False
    """Scales R, block by block, so that its largest singular value is at most 1: states cannot blow up."""


class AtMostOne(nn.Module):
    """Matrices (..., n, m) divided by their largest singular value where that is above 1."""

    def forward(self, weight: Tensor) -> Tensor:
        wide = weight.to(torch.promote_types(weight.dtype, torch.float32))  # which singular values want
        y: Tensor = (wide / torch.linalg.matrix_norm(wide, 2, keepdim=True).clamp_min(1.0)).to(weight.dtype)
        return y


class ElmanCell(Cell):
    """h = tanh(U x + R h + b)   (Elman 1990). R starts orthogonal."""

    def __init__(self, config: ElmanConfig, d_in: int) -> None:
        super().__init__(config, d_in, 1, 1)
        self.plain = not config.layer_norm
        if config.contract:
            parametrize.register_parametrization(self.recurrent, "weight", AtMostOne())

    def forward(self, u: Tensor, state: Vectors) -> Vectors:
        return ((u + self.heard(state[0])).tanh(),)

    def fused(self, x: Tensor, state: Vectors, lengths: Tensor | None) -> tuple[Tensor, Vectors]:
        h = elman(self.inputs(x), self.recurrent.dense(), state[0])
        return h, (newest(h, lengths, state[0]),)

    def walk(self, x: Tensor, state: Vectors, lengths: Tensor | None) -> tuple[Tensor, Vectors]:
        with parametrize.cached():  # R once, not at every step
            return super().walk(x, state, lengths)


class Elman(RecurrentMixer):
    """Layers of `ElmanCell`, N n_layers numbers of state. `kernels.rnn.elman` runs them, but for those with norms."""

    def __init__(self, config: ElmanConfig) -> None:
        super().__init__(config, ElmanCell)
