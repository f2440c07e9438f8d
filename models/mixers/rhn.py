"""The recurrent highway network: several gated layers within each step of time."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kernels.rnn import highway
from models.mixers.recurrent import BlockLinear, Cell, RecurrentConfig, RecurrentMixer, Vectors, newest


@dataclass(frozen=True, kw_only=True, slots=True)
class RHNConfig(RecurrentConfig):
    depth: int = 3
    """Highway layers a step."""
    coupled: bool = True
    """The carry gate is 1 - t; otherwise it has weights of its own."""
    transform_bias: float = -2.0
    """Of t at the start: below 0 the state is mostly carried."""

    def __post_init__(self) -> None:
        RecurrentConfig.__post_init__(self)
        if self.depth < 1:
            raise ValueError(f"depth is {self.depth}, expected at least 1")


class RHNCell(Cell):
    """s_0 = h; for l = 1..L: s_l = t_l a_l + c_l s_{l-1}; h = s_L   (Zilly et al. 2017, eqs. 6 to 9), with

    a_l = tanh(R_al s_{l-1} + b_al), t_l = sigmoid(R_tl s_{l-1} + b_tl), c_l = 1 - t_l or sigmoid(R_cl s_{l-1} + b_cl);
    the input U x enters the first layer alone.
    """

    def __init__(self, config: RHNConfig, d_in: int) -> None:
        self.n_gates = 2 if config.coupled else 3
        super().__init__(config, d_in, self.n_gates, self.n_gates)
        self.plain = not config.layer_norm
        deeper = range(config.depth - 1)
        self.deeper = nn.ModuleList(BlockLinear(self.width, self.n_gates, config.n_heads) for _ in deeper)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(self.n_gates * self.width)) for _ in deeper)
        self.norms = nn.ModuleList(
            nn.LayerNorm(self.n_gates * self.width) if config.layer_norm else nn.Identity() for _ in deeper
        )
        with torch.no_grad():
            for bias in (self.inputs.bias, *self.biases):
                gates = bias.view(self.n_gates, -1)
                gates[1] = config.transform_bias
                gates[2:] = -config.transform_bias

    def forward(self, u: Tensor, state: Vectors) -> Vectors:
        s = self._highway(state[0], u + self.heard(state[0]))
        for recurrent, norm, bias in zip(self.deeper, self.norms, self.biases, strict=True):
            s = self._highway(s, (norm(recurrent(s)) + bias).to(s.dtype))
        return (s,)

    def fused(self, x: Tensor, state: Vectors, lengths: Tensor | None) -> tuple[Tensor, Vectors]:
        u, (start,) = self.inputs(x), state
        recurrent = torch.stack([layer.dense() for layer in (self.recurrent, *self.deeper)])
        biases = torch.stack(list(self.biases)) if len(self.biases) else u.new_zeros(0, u.shape[-1])
        h = highway(u, recurrent, biases, start)
        return h, (newest(h, lengths, start),)

    def _highway(self, s: Tensor, logits: Tensor) -> Tensor:
        a, t, *carry = logits.chunk(self.n_gates, -1)
        t = t.sigmoid()
        return t * a.tanh() + (carry[0].sigmoid() if carry else 1 - t) * s


class RHN(RecurrentMixer):
    """Layers of `RHNCell`, N n_layers numbers of state, run by `kernels.rnn.highway` where there are no norms.

    With `attention` and `join` it is the network that Heidenreich et al. (2024) found best on high-dimensional chaos:
    recurrent highway, attention and gating.
    """

    def __init__(self, config: RHNConfig) -> None:
        super().__init__(config, RHNCell)
