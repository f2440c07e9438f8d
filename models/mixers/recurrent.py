"""What the mixers with a non-linear recurrence share: layers of cells, walked through time, and attention on top."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.backend import choose
from kernels.first_order import functional
from models.mixers.along import take_along
from models.mixers.attention import AttentionState
from models.mixers.base import SequenceMixer
from models.mixers.cell_op import known_as, walked
from models.mixers.softmax import SoftmaxAttention, SoftmaxAttentionConfig
from models.residual import Residual, ResidualKind

Vectors = tuple[Tensor, ...]
"""A cell's state: (B, N) each, float32 or wider, the output h first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecurrentConfig:
    d_model: int
    d_hidden: int | None = None
    """N, a state's width; None is d_model. Where it differs, a linear layer leads back to d_model."""
    n_layers: int = 1
    n_heads: int = 1
    """Blocks of the recurrent weights: with H of them a unit hears only the N/H units of its own block."""
    dropout: float = 0.0
    """Between layers."""
    layer_norm: bool = False
    """Of U x and of R h, each by itself, as they enter a cell."""
    learned_start: bool = False
    """The states before the first token are parameters that start at zero; otherwise they are zero."""
    attention: Literal["none", "after", "feedback"] = "none"
    """Attention over the states so far: joined to the finished states, or fed to the first layer's next step too,
    which makes the two of them sequential."""
    attention_heads: int = 4
    attention_window: int | None = None
    """How many states back are seen; None is all of them, and the state then grows."""
    join: ResidualKind = "input"
    """How what attention found is joined to a state: the gates of `Residual`."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_layers < 1 or self.n_heads < 1 or self.width < 1:
            raise ValueError(
                f"d_model {self.d_model}, d_hidden {self.d_hidden}, n_layers {self.n_layers} and n_heads "
                f"{self.n_heads} must be positive"
            )
        if self.width % self.n_heads:
            raise ValueError(f"the states' width {self.width} is not a multiple of n_heads {self.n_heads}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}, expected 0 <= dropout < 1")
        if self.attention not in ("none", "after", "feedback"):
            raise ValueError(f"attention is {self.attention!r}, expected 'none', 'after' or 'feedback'")

    @property
    def width(self) -> int:
        return self.d_model if self.d_hidden is None else self.d_hidden


class BlockLinear(nn.Module):
    """R h for R of H blocks, h (B, N) to (B, n_out N); block by block where H > 1. Blocks start orthogonal."""

    def __init__(self, width: int, n_out: int, n_heads: int) -> None:
        super().__init__()
        d = width // n_heads
        self.n_out, self.n_heads = n_out, n_heads
        self.weight = nn.Parameter(torch.empty(n_heads, n_out * d, d))
        for block in self.weight.data.view(-1, d, d):
            nn.init.orthogonal_(block)

    def dense(self) -> Tensor:
        """The same R as one matrix (n_out N, N)."""
        if self.n_heads == 1:
            return self.weight[0]
        gates = self.weight.unflatten(1, (self.n_out, -1)).transpose(0, 1)  # (n_out, H, d, d)
        return torch.cat([torch.block_diag(*blocks) for blocks in gates])

    def forward(self, h: Tensor) -> Tensor:
        h = h.to(self.weight.dtype)
        if self.n_heads == 1:
            return F.linear(h, self.weight[0])
        parts = torch.einsum("bhd,hod->bho", h.unflatten(-1, (self.n_heads, -1)), self.weight)
        y: Tensor = parts.unflatten(-1, (self.n_out, -1)).transpose(1, 2).flatten(1)  # (B, n_out N), gate by gate
        return y


class Cell(nn.Module, ABC):
    """One layer's recurrence: `inputs` reads the whole sequence at once, `forward` takes one step."""

    n_states = 1
    plain: bool
    """Whether `fused` is the cell as configured."""

    def __init__(self, config: RecurrentConfig, d_in: int, n_inputs: int, n_recurrent: int) -> None:
        super().__init__()
        self.kind = known_as(type(self), config, d_in)
        self.width = config.width
        self.inputs = nn.Linear(d_in, n_inputs * self.width)
        nn.init.xavier_uniform_(self.inputs.weight)
        nn.init.zeros_(self.inputs.bias)
        self.recurrent = BlockLinear(self.width, n_recurrent, config.n_heads)
        self.input_norm: nn.Module = nn.Identity()
        self.recurrent_norm: nn.Module = nn.Identity()
        if config.layer_norm:
            self.input_norm = nn.LayerNorm(n_inputs * self.width)
            self.recurrent_norm = nn.LayerNorm(n_recurrent * self.width)

    @abstractmethod
    def forward(self, u: Tensor, state: Vectors) -> Vectors:
        """The state after one step; u (B, n_inputs N) is U x + b of that step, in the states' dtype."""

    def heard(self, h: Tensor) -> Tensor:
        """R h in the states' dtype."""
        y: Tensor = self.recurrent_norm(self.recurrent(h)).to(h.dtype)
        return y

    def weights(self) -> tuple[Tensor, ...]:
        """Its recurrent matrix (n N, N), and what else its op wants beside the input's share and a state."""
        return (self.recurrent.dense(),)

    @abstractmethod
    def fused(self, x: Tensor, state: Vectors, lengths: Tensor | None) -> tuple[Tensor, Vectors]:
        """What `run` answers, by an op or a library's own loop; asked of a plain cell alone."""

    @staticmethod
    def quick(x: Tensor) -> bool:
        """Whether `fused` is wanted: not for one token, nor by torch.func, whom no loop written by hand answers."""
        if choose(x) == "reference" or torch.compiler.is_compiling() or functional():
            return False
        return len(x) > 0 and x.shape[1] > 1 and x.dtype in (torch.float32, torch.float64)

    def run(self, x: Tensor, state: Vectors, lengths: Tensor | None) -> tuple[Tensor, Vectors]:
        """x (B, T, d_in) to h (B, T, N) in the states' dtype, and each row's state after its own last token.

        An op or a library's loop is taken where there is one; `use_backend("reference")` forbids it. A compiler takes
        all of it as one op.
        """
        if torch.compiler.is_compiling():
            return walked(self, x, state, lengths)
        return self.walk(x, state, lengths)

    def walk(self, x: Tensor, state: Vectors, lengths: Tensor | None) -> tuple[Tensor, Vectors]:
        """`run` where nothing is compiled."""
        wide = state[0].dtype
        if self.plain and x.dtype == wide and self.quick(x):
            return self.fused(x, state, lengths)
        outputs = []
        u = self.input_norm(self.inputs(x)).to(wide)
        for t, u_t in enumerate(u.unbind(1)):
            after = self(u_t, state)
            state = after if lengths is None else keep(t < lengths, after, state)
            outputs.append(state[0])
        return (torch.stack(outputs, 1) if outputs else u[..., : self.width]), state


def newest(h: Tensor, lengths: Tensor | None, start: Tensor) -> Tensor:
    """Each row's state (B, N) after its own last token, of h (B, T, N); `start` where it has none."""
    if lengths is None:
        return h[:, -1]
    last = take_along(h, (lengths - 1).clamp(min=0)[:, None, None], 1)[:, 0]
    return torch.where((lengths > 0)[:, None], last, start)


def keep(real: Tensor, after: Vectors, before: Vectors) -> Vectors:
    """The state after a step for rows whose token is real (B,) bool, the one before it for the others."""
    return tuple(torch.where(real[:, None], a, b) for a, b in zip(after, before, strict=True))


class RecurrentState(NamedTuple):
    layers: tuple[Vectors, ...]  # each layer's cell's own
    attention: tuple[Any, ...]  # the attention's state, or nothing
    found: Tensor  # (B, N): what attention found last, for the next step; (B, 0) without feedback


class RecurrentMixer(SequenceMixer[RecurrentState]):
    """Layers of one kind of cell. With attention, m_t = Attn(query h_t; keys and values of h_{<=t}) over the last
    layer's states, with a learned bias by distance, and out_t = join(h_t, m_t). The exact form of the hybrids compared
    by Heidenreich et al. (2024) could not be had; this one has an exact step.

    Recurrence after attention, their harmful direction, is a `Backbone` of an attention and a recurrent mixer.
    """

    def __init__(self, config: RecurrentConfig, cell: type[Cell]) -> None:
        super().__init__()
        self.config = c = config
        widths = [c.d_model] + [c.width] * (c.n_layers - 1)
        self.cells = nn.ModuleList(cell(config, d_in) for d_in in widths)  # type: ignore[call-arg]
        self.n_states = cell.n_states
        if c.learned_start:
            self.start = nn.Parameter(torch.zeros(c.n_layers, self.n_states, c.width))
        self.dropout = nn.Dropout(c.dropout)
        self.out = nn.Identity() if c.width == c.d_model else nn.Linear(c.width, c.d_model)
        if c.attention != "none":
            self.attention = SoftmaxAttention(
                SoftmaxAttentionConfig(
                    d_model=c.width, n_heads=c.attention_heads, window=c.attention_window, positions="learned"
                )
            )
            self.join = Residual(c.join, c.width)
        if c.attention == "feedback":
            self.feedback = nn.Linear(c.width, c.d_model, bias=False)

    def initial_state(self, batch: int) -> RecurrentState:
        c, weight = self.config, next(self.parameters())
        wide = torch.promote_types(weight.dtype, torch.float32)
        zero = torch.zeros(batch, c.width, dtype=wide, device=weight.device)
        start = self.start.to(wide) if c.learned_start else zero.new_zeros(c.n_layers, self.n_states, c.width)
        layers = tuple(tuple(z.expand_as(zero).contiguous() for z in layer.unbind()) for layer in start.unbind())
        attention = () if c.attention == "none" else self.attention.initial_state(batch)
        return RecurrentState(layers, attention, zero.clone() if c.attention == "feedback" else zero[:, :0])

    def state_floats(self, n_tokens: int) -> int:
        c = self.config
        cells = c.width * (self.n_states * c.n_layers + (c.attention == "feedback"))
        return cells + (0 if c.attention == "none" else self.attention.state_floats(n_tokens))

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: RecurrentState | None = None
    ) -> tuple[Tensor, RecurrentState]:
        self.refuse_ids(ids)
        state = self.initial_state(len(x)) if state is None else state
        lengths = None if mask is None else mask.sum(1)
        if self.config.attention == "feedback":
            y, state = self._with_feedback(x, lengths, state)
        else:
            y, layers = self._layers(x, lengths, state.layers)
            y, seen = y.to(x.dtype), state.attention
            if self.config.attention == "after":
                found, seen = self.attention(y, mask=mask, state=cast(AttentionState, seen))
                y = self.join(y, found)
            state = RecurrentState(layers, seen, state.found)
        y = self.out(y)
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        return y, state

    def _layers(
        self, x: Tensor, lengths: Tensor | None, states: tuple[Vectors, ...]
    ) -> tuple[Tensor, tuple[Vectors, ...]]:
        after: list[Vectors] = []
        for cell, state in zip(self.cells, states, strict=True):
            x, state = cell.run(self.dropout(x) if after else x, state, lengths)  # type: ignore[operator]
            x = x.to(self.cells[0].inputs.weight.dtype)  # type: ignore[union-attr, arg-type]
            after.append(state)
        return x, tuple(after)

    def _with_feedback(self, x: Tensor, lengths: Tensor | None, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """One token after another: each hears what attention found for the one before."""
        outputs = []
        for t, x_t in enumerate(x.unbind(1)):
            real = None if lengths is None else t < lengths
            heard = (x_t + self.feedback(state.found.to(x.dtype)))[:, None]
            h, layers = self._layers(heard, None if real is None else real.long(), state.layers)
            m, seen = self.attention(
                h, mask=None if real is None else real[:, None], state=cast(AttentionState, state.attention)
            )
            found = m[:, 0].to(state.found.dtype)
            if real is not None:
                found = torch.where(real[:, None], found, state.found)
            state = RecurrentState(layers, seen, found)
            outputs.append(self.join(h, m)[:, 0])
        return (torch.stack(outputs, 1) if outputs else x.new_zeros(len(x), 0, self.config.width)), state
