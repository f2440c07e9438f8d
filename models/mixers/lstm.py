"""The long short-term memory and its variants."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from models.mixers.recurrent import Cell, RecurrentConfig, RecurrentMixer, Vectors


@dataclass(frozen=True, kw_only=True, slots=True)
class LSTMConfig(RecurrentConfig):
    peepholes: bool = False
    """The gates also see c, channel by channel: i and f the one before, o the new one."""
    coupled: bool = False
    """i = 1 - f."""
    forget_gate: bool = True
    """Without one f = 1, the cell of 1997."""
    output: Literal["tanh", "identity"] = "tanh"
    """What stands between c and h."""

    def __post_init__(self) -> None:
        RecurrentConfig.__post_init__(self)
        if self.output not in ("tanh", "identity"):
            raise ValueError(f"output is {self.output!r}, expected 'tanh' or 'identity'")
        if self.coupled and not self.forget_gate:
            raise ValueError("coupled gates are i = 1 - f, and without a forget gate f is 1 for ever")


class LSTMCell(Cell):
    """i, f, o = sigmoid(U x + R h + b), g = tanh(U x + R h + b); c = f c + i g; h = o tanh(c).

    Gates in PyTorch's order i, f, g, o, all four even where a variant leaves one unused (its rows are then zero in
    effect, never read). The forget gate's bias starts at 1. One bias a gate: PyTorch's two only double its step size.
    """

    n_states = 2

    def __init__(self, config: LSTMConfig, d_in: int) -> None:
        # A coupled or absent gate has no weights.
        self.gates = "".join(g for g in "ifgo" if not (g == "i" and config.coupled))
        self.gates = self.gates if config.forget_gate else self.gates.replace("f", "")
        super().__init__(config, d_in, len(self.gates), len(self.gates))
        self.coupled, self.identity = config.coupled, config.output == "identity"
        self.plain = self.gates == "ifgo" and not (config.peepholes or self.identity or config.layer_norm)
        if config.forget_gate:
            with torch.no_grad():
                self.inputs.bias.view(len(self.gates), -1)[self.gates.index("f")] = 1.0
        if config.peepholes:
            self.peepholes = nn.ParameterDict(
                {g: nn.Parameter(torch.zeros(self.width)) for g in self.gates if g != "g"}
            )

    def forward(self, u: Tensor, state: Vectors) -> Vectors:
        h, c = state
        parts = dict(zip(self.gates, (u + self.heard(h)).chunk(len(self.gates), -1), strict=True))
        f = self._gate(parts, "f", c) if "f" in parts else torch.ones_like(c)
        i = 1 - f if self.coupled else self._gate(parts, "i", c)
        c = f * c + i * parts["g"].tanh()
        o = self._gate(parts, "o", c)
        return o * (c if self.identity else c.tanh()), c

    def _gate(self, parts: dict[str, Tensor], name: str, c: Tensor) -> Tensor:
        logits = parts[name]
        return (logits + self.peepholes[name] * c if hasattr(self, "peepholes") else logits).sigmoid()

    def fused(self, x: Tensor, state: Vectors, lengths: Tensor | None) -> tuple[Tensor, Vectors]:
        weights = [self.inputs.weight, self.recurrent.dense(), self.inputs.bias, torch.zeros_like(self.inputs.bias)]
        if lengths is None:
            h, *after = torch.lstm(x, [z[None] for z in state], weights, True, 1, 0.0, self.training, False, True)
            return h, tuple(z[0] for z in after)
        rows = lengths.nonzero()[:, 0]  # packing wants no empty row
        if not len(rows):
            return x.new_zeros(*x.shape[:2], self.width), state
        packed = pack_padded_sequence(x[rows], lengths[rows].cpu(), batch_first=True, enforce_sorted=False)
        order = rows if packed.sorted_indices is None else rows[packed.sorted_indices]
        before = [z[order][None] for z in state]
        data, *after = torch.lstm(packed.data, packed.batch_sizes, before, weights, True, 1, 0.0, self.training, False)
        packed = PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
        padded, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
        h = x.new_zeros(*x.shape[:2], self.width).index_copy(0, rows, padded)
        return h, tuple(old.index_copy(0, order, new[0]) for old, new in zip(state, after, strict=True))


class LSTM(RecurrentMixer):
    """Layers of `LSTMCell` (Hochreiter and Schmidhuber 1997; Gers et al. 2000), 2 N n_layers numbers of state.

    The plain cell runs in PyTorch's own loop (cuDNN on a GPU); every variant in a loop over its step.
    """

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__(config, LSTMCell)
