"""Titans' memory as a context: attention over a segment and over what the memory recalls of the time before it."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.neural_memory.rule import answer
from models.mixers.along import take_along
from models.mixers.base import SequenceMixer
from models.mixers.titans import Titans, TitansConfig, TitansState
from models.positions import rotary


@dataclass(frozen=True, kw_only=True, slots=True)
class TitansContextConfig(TitansConfig):
    chunk: int = 16
    """Tokens of a segment: what attention sees directly, and the chunk of the memory."""
    attention_heads: int = 4

    def __post_init__(self) -> None:
        TitansConfig.__post_init__(self)
        if self.attention_heads < 1 or self.d_model % (2 * self.attention_heads):
            raise ValueError(
                f"d_model {self.d_model} is not a multiple of twice attention_heads {self.attention_heads}"
            )


class TitansContextState(NamedTuple):
    memory: TitansState
    x: Tensor  # (B, C, D): the current segment's tokens so far
    h: Tensor  # (B, C, D): what the memory recalled for each


class TitansContext(SequenceMixer[TitansContextState]):
    """MAC: h_i = M(q(x_i)) from the weights at the segment's start, y_i = Attn(x_i; P, h_{<=i}, x_{<=i}) within it,

    the memory learns y, and o_i = sigmoid(norm(M_i(y_i))) * norm(y_i)   (Behrouz et al. 2024, eq. 21 to 25).

    Read literally the paper leaks: a token attends to what was recalled for later tokens of its segment, and the last
    line reads a memory that has learned them. Here a token sees h of itself and of earlier ones, and the memory as it
    stands after itself. The state is the memory's and 2 C D numbers.
    """

    def __init__(self, config: TitansContextConfig) -> None:
        super().__init__()
        self.config = c = config
        d = c.d_model
        self.memory = Titans(c)
        self.recall_query, self.recalled = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.query, self.key, self.value = (nn.Linear(d, d, bias=False) for _ in range(3))
        self.attention_out = nn.Linear(d, d, bias=False)
        self.prefix = nn.Parameter(torch.randn(c.n_persistent, d) * 0.02) if c.n_persistent else None
        self.memory_norm, self.attention_norm = nn.RMSNorm(d, eps=1e-5), nn.RMSNorm(d, eps=1e-5)

    def initial_state(self, batch: int) -> TitansContextState:
        rows = self.attention_out.weight.new_zeros(batch, self.config.chunk, self.config.d_model)
        memory = self.memory.initial_state(batch)
        # Segments are chunks of the tokens themselves: the persistent vectors are not counted among them.
        return TitansContextState(memory._replace(phase=torch.zeros_like(memory.phase)), rows, rows.clone())

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        ids: Tensor | None = None,
        state: TitansContextState | None = None,
    ) -> tuple[Tensor, TitansContextState]:
        self.refuse_ids(ids)
        batch, n_tokens, d = x.shape
        size = self.config.chunk
        state = self.initial_state(batch) if state is None else state
        if not n_tokens:
            return x, state
        memory, rows_x, rows_h = state
        lengths = torch.full_like(memory.phase, n_tokens) if mask is None else mask.sum(1)
        now = torch.arange(size, device=x.device)
        start = torch.zeros_like(lengths)
        # One slot more than there are tokens takes what falls beside them.
        y = x.new_zeros(batch, n_tokens + 1, d)
        for _ in range(-(-(n_tokens + size - 1) // size)):
            phase = memory.phase
            real = now < torch.minimum(size - phase, lengths - start)[:, None]  # (B, C): what this round reads
            place = (start[:, None] + now).clamp(max=n_tokens - 1)
            new = take_along(x, place[..., None], 1).masked_fill(~real[..., None], 0.0)
            fresh = memory._replace(anchor=self._segment_weights(memory))
            recalled = self._recall(new, fresh)
            rows_x, rows_h = (self._put(rows, part, phase, real) for rows, part in ((rows_x, new), (rows_h, recalled)))
            a = self._attend(new, rows_x, rows_h, phase)
            m, memory = self.memory(a, mask=real, state=memory)
            o = self.memory_norm(m).sigmoid() * self.attention_norm(a)
            where = torch.where(real, place, n_tokens)
            y = y.scatter(1, where[..., None].expand(-1, -1, d), o)
            start = start + real.sum(1)
        y = y[:, :n_tokens]
        y = y if mask is None else y.masked_fill(~mask[..., None], 0.0)
        return y, TitansContextState(memory, rows_x, rows_h)

    def _segment_weights(self, memory: TitansState) -> tuple[Tensor, ...]:
        """The weights at the start of each row's segment."""
        begun = (memory.phase > 0)[:, None, None, None]
        anchor = memory.anchor or memory.weights
        return tuple(torch.where(begun, a, w) for a, w in zip(anchor, memory.weights, strict=True))

    def _recall(self, x: Tensor, memory: TitansState) -> Tensor:
        q = F.silu(self.recall_query(x)).unflatten(-1, (self.config.n_heads, -1)).transpose(1, 2)
        q = F.normalize(q, dim=-1).to(memory.anchor[0].dtype)
        found = answer(memory.anchor, q, self.memory.rule)
        recalled: Tensor = self.recalled(found.transpose(1, 2).flatten(2).to(x.dtype))
        return recalled

    def _put(self, rows: Tensor, new: Tensor, phase: Tensor, real: Tensor) -> Tensor:
        """The segment's rows with the new ones in their slots."""
        size = self.config.chunk
        spare = F.pad(rows, (0, 0, 0, 1))
        slot = torch.where(real, phase[:, None] + torch.arange(size, device=rows.device), size)
        return spare.scatter(1, slot[..., None].expand_as(new), new.to(rows.dtype))[:, :size]

    def _attend(self, x: Tensor, rows_x: Tensor, rows_h: Tensor, phase: Tensor) -> Tensor:
        c = self.config
        heads = c.attention_heads
        slot = torch.arange(c.chunk, device=x.device).expand(len(x), -1)
        mine = (phase[:, None] + slot).clamp(max=c.chunk - 1)

        def split(z: Tensor) -> Tensor:
            by_head: Tensor = z.unflatten(-1, (heads, -1))
            return by_head

        q = rotary(split(self.query(x)), mine)
        k = torch.cat([rotary(split(self.key(rows)), slot) for rows in (rows_h, rows_x)], 1)
        v = torch.cat([split(self.value(rows)) for rows in (rows_h, rows_x)], 1)
        seen = (slot[:, None] <= mine[..., None]).repeat(1, 1, 2)
        if self.prefix is not None:
            prefix = self.prefix.expand(len(x), -1, -1)
            k, v = torch.cat([split(self.key(prefix)), k], 1), torch.cat([split(self.value(prefix)), v], 1)
            seen = F.pad(seen, (len(self.prefix), 0), value=True)
        q, k, v = (z.transpose(1, 2) for z in (q, k, v))
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None])
        out: Tensor = self.attention_out(o.transpose(1, 2).flatten(2))
        return out
