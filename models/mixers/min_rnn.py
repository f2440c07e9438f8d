"""Recurrences whose gates see the input alone: linear in the state, so all tokens are computed at once."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.scan import scan_and_state
from models.mixers.base import SequenceMixer


@dataclass(frozen=True, kw_only=True, slots=True)
class MinRNNConfig:
    d_model: int
    kind: Literal["gru", "lstm", "qlstm"] = "gru"
    d_hidden: int | None = None
    """None is d_model. Where it differs, a linear layer leads back to d_model."""
    reversed_sigmoid: bool = False
    """qLSTM: f = sigmoid(-W x)^a with a learned from 1, the decay of Mamba (Sieber et al. 2024)."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.width < 1:
            raise ValueError(f"d_model {self.d_model} and d_hidden {self.d_hidden} must be positive")
        if self.kind not in ("gru", "lstm", "qlstm"):
            raise ValueError(f"kind is {self.kind!r}, expected 'gru', 'lstm' or 'qlstm'")
        if self.reversed_sigmoid and self.kind != "qlstm":
            raise ValueError(f"reversed_sigmoid is the qlstm's, and kind is {self.kind!r}")

    @property
    def width(self) -> int:
        return self.d_model if self.d_hidden is None else self.d_hidden


class MinRNNState(NamedTuple):
    h: Tensor  # (B, N), float32 or wider; the qlstm's c


class MinRNN(SequenceMixer[MinRNNState]):
    """h_t = f_t h_{t-1} + i_t n_t, gates of x_t alone, by `kernels.scan`:

    gru:   z = sigmoid(W x), h_t = (1 - z) h_{t-1} + z n_t, n_t = W x   (minGRU; Feng et al. 2024, section 3.1)
    lstm:  f, i = sigmoid(W x), each divided by f + i   (minLSTM; section 3.2)
    qlstm: f, i, o = sigmoid(W x), c_t = f c_{t-1} + i tanh(W x), h_t = o tanh(c_t)   (dsf sheet, section 3)

    Biases start so that the state is mostly kept. The state is N numbers.
    """

    def __init__(self, config: MinRNNConfig) -> None:
        super().__init__()
        self.config = c = config
        self.n_parts = {"gru": 2, "lstm": 3, "qlstm": 4}[c.kind]
        self.inputs = nn.Linear(c.d_model, self.n_parts * c.width)
        self.out = nn.Identity() if c.width == c.d_model else nn.Linear(c.width, c.d_model)
        with torch.no_grad():
            # The gate that keeps: minGRU's z writes, the qLSTM's reversed forget gate counts backwards.
            kept = -1.0 if c.kind == "gru" or c.reversed_sigmoid else 1.0
            self.inputs.bias.zero_()[: c.width] = kept
        if c.reversed_sigmoid:
            self.exponent = nn.Parameter(torch.ones(()))

    def initial_state(self, batch: int) -> MinRNNState:
        weight = self.inputs.weight
        wide = torch.promote_types(weight.dtype, torch.float32)
        return MinRNNState(torch.zeros(batch, self.config.width, dtype=wide, device=weight.device))

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: MinRNNState | None = None
    ) -> tuple[Tensor, MinRNNState]:
        self.refuse_ids(ids)
        state = self.initial_state(len(x)) if state is None else state
        parts = self.inputs(x)
        narrow = parts.dtype if parts.dtype.itemsize == 2 else state.h.dtype
        parts = parts.to(state.h.dtype).chunk(self.n_parts, -1)
        f, written = self._gates(parts)
        if mask is not None:
            # A padded step must leave the state alone: keep all of it, write nothing.
            pad = ~mask[..., None]
            f, written = f.masked_fill(pad, 1.0), written.masked_fill(pad, 0.0)
        # What is written and what comes out may have 16 bits; a gate may not, which would be 1 from 0.998 on.
        states, h_last = scan_and_state(f, written.to(narrow), state.h, dtype=narrow)
        h = parts[2].sigmoid() * states.tanh() if self.config.kind == "qlstm" else states
        y = self.out(h.to(x.dtype))
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        # Padding is on the right and changes nothing, so the last step's state is every row's.
        return y, MinRNNState(h_last)

    def _gates(self, parts: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """f and i n, (B, T, N)."""
        if self.config.kind == "gru":
            z = parts[0].sigmoid()
            return 1 - z, z * parts[1]
        if self.config.kind == "lstm":
            # f / (f + i) = sigmoid(log f - log i): nothing is divided by something small.
            f = (F.logsigmoid(parts[0]) - F.logsigmoid(parts[1])).sigmoid()
            return f, (1 - f) * parts[2]
        f = parts[0].sigmoid()
        if self.config.reversed_sigmoid:
            f = (F.logsigmoid(-parts[0]) * self.exponent.relu()).exp()
        return f, parts[1].sigmoid() * parts[3].tanh()
