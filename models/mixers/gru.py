"""The gated recurrent unit, in both of its forms."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kernels.rnn import gru
from models.mixers.recurrent import BlockLinear, Cell, RecurrentConfig, RecurrentMixer, Vectors, newest


@dataclass(frozen=True, kw_only=True, slots=True)
class GRUConfig(RecurrentConfig):
    reset_after: bool = True
    """The reset gate falls on R h (PyTorch, cuDNN) and not on h (Cho et al. 2014): the two are not interchangeable."""


class GRUCell(Cell):
    """r, z = sigmoid(U x + R h + b); h = (1 - z) n + z h, PyTorch's sign, with

    reset after: n = tanh(U x + b + r (R h + b')), reset before: n = tanh(U x + b + R (r h)).
    Gates in PyTorch's order r, z, n. The bias of z starts at 1, which keeps the state.
    """

    def __init__(self, config: GRUConfig, d_in: int) -> None:
        super().__init__(config, d_in, 3, 2)
        self.candidate = BlockLinear(self.width, 1, config.n_heads)
        self.candidate_norm = nn.LayerNorm(self.width) if config.layer_norm else nn.Identity()
        self.plain = not config.layer_norm
        self.candidate_bias = nn.Parameter(torch.zeros(self.width)) if config.reset_after else None
        with torch.no_grad():
            self.inputs.bias.view(3, -1)[1] = 1.0

    def forward(self, u: Tensor, state: Vectors) -> Vectors:
        (h,) = state
        u_r, u_z, u_n = u.chunk(3, -1)
        r, z = (torch.cat([u_r, u_z], -1) + self.heard(h)).sigmoid().chunk(2, -1)
        if self.candidate_bias is None:
            heard = self.candidate_norm(self.candidate(r * h)).to(h.dtype)
        else:
            heard = r * (self.candidate_norm(self.candidate(h)) + self.candidate_bias).to(h.dtype)
        return (torch.lerp((u_n + heard).tanh(), h, z),)

    def weights(self) -> tuple[Tensor, ...]:
        recurrent = torch.cat([self.recurrent.dense(), self.candidate.dense()])
        return (recurrent,) if self.candidate_bias is None else (recurrent, self.candidate_bias)

    def fused(self, x: Tensor, state: Vectors, lengths: Tensor | None) -> tuple[Tensor, Vectors]:
        (start,), (recurrent, *bias) = state, self.weights()
        if x.is_cuda and bias:
            heard = torch.cat([bias[0].new_zeros(2 * self.width), bias[0]])
            weights = [self.inputs.weight, recurrent, self.inputs.bias, heard]
            h, _ = torch.gru(x, start[None], weights, True, 1, 0.0, self.training, False, True)
        else:
            h = gru(self.inputs(x), recurrent, bias[0] if bias else None, start)
        return h, (newest(h, lengths, start),)


class GRU(RecurrentMixer):
    """Layers of `GRUCell`, N n_layers numbers of state. `kernels.rnn.gru` runs them, cuDNN those with reset after on a
    GPU, and a loop over its step those with norms."""

    def __init__(self, config: GRUConfig) -> None:
        super().__init__(config, GRUCell)
