"""The bidirectional recurrent network: one recurrence from the left, one from the right."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from kernels.rnn import elman, gru
from models.mixers.along import take_along
from models.mixers.base import SequenceMixer
from models.mixers.elman import ElmanCell, ElmanConfig
from models.mixers.gru import GRUCell, GRUConfig
from models.mixers.lstm import LSTMCell, LSTMConfig
from models.mixers.recurrent import Cell, RecurrentConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class BRNNConfig:
    d_model: int
    d_hidden: int | None = None
    """A direction's width; None is d_model."""
    cell: Literal["elman", "gru", "lstm"] = "gru"
    n_heads: int = 1
    """Blocks of the recurrent weights."""
    lookahead: int | None = None
    """The recurrence from the right starts anew for every token, this many tokens after it; None starts at the row's
    end. A row read live is then late by that many tokens and no more, at that many times the work."""

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise ValueError(f"cell is {self.cell!r}, expected one of {', '.join(CELLS)}")
        if self.lookahead is not None and self.lookahead < 0:
            raise ValueError(f"lookahead is {self.lookahead}, expected at least 0, or None for the whole row")
        self.direction()

    def direction(self) -> RecurrentConfig:
        """One direction's own config."""
        return CELLS[self.cell][0](d_model=self.d_model, d_hidden=self.d_hidden, n_heads=self.n_heads)


CELLS: dict[str, tuple[type[RecurrentConfig], type[Cell]]] = {
    "elman": (ElmanConfig, ElmanCell),
    "gru": (GRUConfig, GRUCell),
    "lstm": (LSTMConfig, LSTMCell),
}

BESIDE: dict[str, Callable[..., Tensor]] = {"elman": elman, "gru": gru}
"""The ops that run both directions side by side; PyTorch's own loop runs an LSTM's, one after the other."""


class BRNNState(NamedTuple):
    """Nothing is carried on: a later token would change every earlier answer."""

    nothing: Tensor  # (B, 0)


class BRNN(SequenceMixer[BRNNState]):
    """y_t = W_h h_t + W_z z_t + b, h from the left and z from the right   (Schuster and Paliwal 1997).

    It needs later tokens, so it does not stream. Each row is reversed within its own length.
    """

    streams = False

    def __init__(self, config: BRNNConfig) -> None:
        super().__init__()
        self.config = config
        direction = config.direction()
        cell = CELLS[config.cell][1]
        self.left, self.right = (cell(direction, config.d_model) for _ in range(2))  # type: ignore[call-arg]
        self.out = nn.Linear(2 * direction.width, config.d_model)

    def initial_state(self, batch: int) -> BRNNState:
        return BRNNState(self.out.weight.new_zeros(batch, 0))

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: BRNNState | None = None
    ) -> tuple[Tensor, BRNNState]:
        self.refuse_ids(ids)
        lengths = None if mask is None else mask.sum(1)
        if self.config.lookahead is not None:
            h, z = self._run(self.left, x, lengths), self._ahead(x, lengths)
        else:
            h, z = self._from_both_ends(x, lengths)
        y = self.out(torch.cat([h, z], -1).to(x.dtype))
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        return y, self.initial_state(len(x))

    def _run(self, cell: Cell, x: Tensor, lengths: Tensor | None) -> Tensor:
        """One direction's states, (B, T, N)."""
        wide = torch.promote_types(x.dtype, torch.float32)
        zero = torch.zeros(len(x), cell.width, dtype=wide, device=x.device)
        return cell.run(x, (zero,) * cell.n_states, lengths)[0]

    def _from_both_ends(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        back = x.shape[1] - 1 - torch.arange(x.shape[1], device=x.device)[None]
        if lengths is not None:
            back = (back + lengths[:, None] - x.shape[1]).clamp(min=0)
        back = back[..., None]  # (B or 1, T, 1): a row backwards, within its own length
        turned, beside = take_along(x, back, 1), BESIDE.get(self.config.cell)
        if beside is not None and self.left.plain and self.left.quick(x):
            weights = (torch.stack(pair) for pair in zip(self.left.weights(), self.right.weights(), strict=True))
            u = torch.stack([self.left.inputs(x), self.right.inputs(turned)])
            h, z = beside(u, *weights, u.new_zeros(2, len(x), self.left.width))
        else:
            h, z = self._run(self.left, x, lengths), self._run(self.right, turned, lengths)
        return h, take_along(z, back, 1)

    def _ahead(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """For every token, the state after reading from `lookahead` tokens after it back to itself."""
        n_tokens, ahead = x.shape[1], self.config.lookahead or 0
        now = torch.arange(n_tokens, device=x.device)
        last = torch.minimum(now + ahead, (now.new_full((1, 1), n_tokens) if lengths is None else lengths[:, None]) - 1)
        n_read = (last - now + 1).clamp(min=1).expand(len(x), -1)  # (B, T)
        places = (now + n_read - 1)[..., None] - torch.arange(ahead + 1, device=x.device)  # (B, T, ahead + 1)
        read = take_along(x.unsqueeze(2).expand(-1, -1, ahead + 1, -1), places.clamp(min=0)[..., None], 1)
        states = self._run(self.right, read.flatten(0, 1), n_read.flatten())
        newest = take_along(states, n_read.reshape(-1, 1, 1) - 1, 1)
        return newest.view(len(x), n_tokens, self.right.width)
