"""DialogGRU: a GRU over a conversation that reads who spoke (EmotionIC's local branch)."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kernels.rnn import Links, Turns, dialog_gru, link, no_turns
from models.mixers.base import SequenceMixer


@dataclass(frozen=True, kw_only=True, slots=True)
class DialogGRUConfig:
    d_model: int
    d_hidden: int | None = None
    """Width of the states; None is d_model. Where it differs, a linear layer leads back to d_model."""
    n_layers: int = 1
    dropout: float = 0.0
    """Between layers."""
    learned_distance: bool = False
    """Trains the constants of the two distance weights, one set a layer, from the paper's values."""
    long_links: bool = False
    """Keeps the inertia link over any number of foreign turns, while the speaker is in the table below.

    Without it the link jumps over exactly one foreign turn, which is the paper's rule and a table of two speakers.
    """
    n_speakers: int = 16
    """With long_links: how many of the most recent speakers a row remembers, so that the state stays bounded."""

    def __post_init__(self) -> None:
        for name in ("d_model", "n_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.d_hidden is not None and self.d_hidden < 1:
            raise ValueError(f"d_hidden is {self.d_hidden}, expected at least 1, or None for d_model")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}, expected 0 <= dropout < 1")
        if self.long_links and self.n_speakers < 2:
            raise ValueError(f"n_speakers is {self.n_speakers}, and the table holds at least 2")

    @property
    def width(self) -> int:
        return self.d_hidden or self.d_model

    @property
    def n_remembered(self) -> int:
        return self.n_speakers if self.long_links else 2


class DialogGRUState(NamedTuple):
    turns: Turns
    h: Tensor  # (B, M, n_layers, H) float32 or wider: the last output of each speaker in the table


class DialogGRU(SequenceMixer[DialogGRUState]):
    """Two earlier states are read at utterance i (EmotionIC, section on DialogGRU; the cell is in `kernels.rnn`):

    inertia hI, the output at the same speaker's most recent utterance, times sigm(3 - d), d utterances in between;
    contagion hC, the output at i-1 if somebody else spoke it, times sigm(m / 2), m turns of A-B-A-B so far.

    Which links exist is said in `kernels.rnn.link`; ids (B, T) are the speakers. Strictly causal. The state holds M
    outputs a layer and the table of their speakers: 4 M H n_layers bytes and a little, however long the conversation.
    """

    takes_ids = True

    def __init__(self, config: DialogGRUConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.d_model] + [config.width] * (config.n_layers - 1)
        self.layers = nn.ModuleList(DialogGRULayer(d_in, config.width, config.learned_distance) for d_in in widths)
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Identity() if config.width == config.d_model else nn.Linear(config.width, config.d_model)

    def initial_state(self, batch: int) -> DialogGRUState:
        c, weight = self.config, next(self.parameters())
        h = torch.zeros(
            (batch, c.n_remembered, c.n_layers, c.width),
            dtype=torch.promote_types(weight.dtype, torch.float32),
            device=weight.device,
        )
        return DialogGRUState(no_turns(batch, c.n_remembered, weight.device), h)

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        ids: Tensor | None = None,
        state: DialogGRUState | None = None,
    ) -> tuple[Tensor, DialogGRUState]:
        if ids is None or ids.shape != x.shape[:2]:
            raise ValueError(f"ids is {None if ids is None else tuple(ids.shape)}, expected {tuple(x.shape[:2])}")
        if state is None:
            state = self.initial_state(len(x))
        lengths = ids.new_full((len(ids),), ids.shape[1]).long() if mask is None else mask.sum(1)
        links, turns, kept = link(ids, lengths, state.turns)
        y = x
        memories: list[Tensor] = []
        for layer, memory in zip(self.layers, state.h.unbind(2), strict=True):
            y = layer(self.dropout(y) if memories else y, links, memory, None if mask is None else lengths)
            outputs = torch.cat([memory, y], 1)
            memories.append(outputs.gather(1, kept[..., None].expand(-1, -1, outputs.shape[-1])))
            y = y.to(x.dtype)
        y = self.out(y)
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        return y, DialogGRUState(turns, torch.stack(memories, 2))


class DialogGRULayer(nn.Module):
    """One layer's weights: 4 H D + 6 H^2 + 10 H numbers, and 4 more where the distance weights are learned."""

    def __init__(self, d_in: int, width: int, learned_distance: bool) -> None:
        super().__init__()
        self.input = nn.Linear(d_in, 4 * width)  # r z s n
        self.w_contagion = nn.Parameter(torch.empty(3 * width, width))  # r z n
        self.b_contagion = nn.Parameter(torch.empty(3 * width))
        self.w_inertia = nn.Parameter(torch.empty(3 * width, width))  # z s n
        self.b_inertia = nn.Parameter(torch.empty(3 * width))
        for weight in (self.input.weight, self.w_contagion, self.w_inertia):
            nn.init.orthogonal_(weight)
        for bias in (self.input.bias, self.b_contagion, self.b_inertia):
            nn.init.uniform_(bias, -1 / math.sqrt(width), 1 / math.sqrt(width))
        # Inertia offset and slope, contagion offset and slope.
        constants = torch.tensor([3.0, -1.0, 0.0, 0.5])
        self.distance: Tensor
        if learned_distance:
            self.distance = nn.Parameter(constants)
        else:
            self.register_buffer("distance", constants, persistent=False)

    def forward(self, x: Tensor, links: Links, memory: Tensor, lengths: Tensor | None) -> Tensor:
        """h (B, T, H), float32 or wider, from x (B, T, D) and the states (B, M, H) of earlier utterances."""
        a, b, c, d = self.distance.unbind()
        return dialog_gru(
            self.input(x),
            self.w_contagion,
            self.b_contagion,
            self.w_inertia,
            self.b_inertia,
            links.source,
            (a + b * links.between).sigmoid() * links.inertia,
            (c + d * links.alternation).sigmoid() * links.contagion,
            memory,
            lengths=lengths,
        )
