"""RAT: a gated average of keys and values inside chunks, softmax attention between the chunks."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kernels.rat import chunk_attention, chunk_scan
from models.mixers.along import take_along
from models.mixers.base import SequenceMixer
from models.mixers.cache import last
from models.positions import rotary


@dataclass(frozen=True, kw_only=True, slots=True)
class RATConfig:
    d_model: int
    n_heads: int = 4
    chunk: int = 16
    """L, tokens a chunk: 1 is softmax attention, as long as the sequence is a gated moving average."""
    n_groups: int | None = None
    """G, of queries and keys, head h using group h mod G; None is 2, the paper's, or 1 for an odd number of heads."""
    rotary: bool = True
    """Turns queries and keys by their chunk's number."""
    rotary_base: float = 10_000.0

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if self.chunk < 1:
            raise ValueError(f"a chunk holds at least 1 token, got {self.chunk}")
        if self.groups < 1 or self.n_heads % self.groups:
            raise ValueError(f"n_heads {self.n_heads} is not a multiple of n_groups {self.groups}")
        if self.rotary and self.d_head % 2:
            raise ValueError(f"rotary positions turn pairs, and a head is {self.d_head} wide")

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads

    @property
    def groups(self) -> int:
        return (1 if self.n_heads % 2 else 2) if self.n_groups is None else self.n_groups


class RATState(NamedTuple):
    k_ends: Tensor  # (B, S, H, P): what closed chunks ended in, turned; the newest in the last slot
    v_ends: Tensor  # (B, S, H, P)
    k: Tensor  # (B, H, P), float32 or wider: the open chunk so far, not turned
    v: Tensor  # (B, H, P)
    position: Tensor  # (B,) long: tokens seen


class RAT(SequenceMixer[RATState]):
    """One gate g a channel, one token t = (c, l), chunk c and place l in it   (Wei et al. 2025, section 3):

    v~_l = g v~_{l-1} + (1 - g) v_l, k~ likewise with the same g, from zero in every chunk;
    y = softmax([q . k~_{c', L-1} for c' < c, q . k~_l] / sqrt(P)) [v~_{c', L-1}; v~_l];  out = (z * y) W_o.

    So a token sees one vector of its own chunk. q and k~ are turned by the chunk's number, after the average. z and g
    are sigmoids of the input, g with a bias that starts at log u, u uniform in [1, L-1]: memories spread over the
    chunk. With L = 1 there is nothing to average: g is 0 and has no parameters (the official code leaves its bias
    uninitialised). The official layer holds a norm and the residual too; here those are the block's.

    The state grows by 2 D numbers a chunk. The mixer's result depends on where chunks begin, so each row counts from
    its own first token.
    """

    def __init__(self, config: RATConfig) -> None:
        super().__init__()
        self.config = c = config
        d_group = c.groups * c.d_head
        self.widths = [c.d_model, c.d_model if c.chunk > 1 else 0, c.d_model, d_group, d_group]
        self.project = nn.Linear(c.d_model, sum(self.widths), bias=False)  # z, g, v, q, k
        self.out = nn.Linear(c.d_model, c.d_model, bias=False)
        for linear in (self.project, self.out):
            nn.init.normal_(linear.weight, std=0.02)
        if c.chunk > 1:
            self.gate_bias = nn.Parameter(torch.empty(c.d_model).uniform_(1.0, c.chunk - 1.0).log())

    def initial_state(self, batch: int) -> RATState:
        c, weight = self.config, self.out.weight
        ends = weight.new_zeros(batch, 0, c.n_heads, c.d_head)
        wide = torch.promote_types(weight.dtype, torch.float32)
        open_chunk = weight.new_zeros(batch, c.n_heads, c.d_head, dtype=wide)
        position = torch.zeros(batch, dtype=torch.long, device=weight.device)
        return RATState(ends, ends.clone(), open_chunk, open_chunk.clone(), position)

    def state_floats(self, n_tokens: int) -> int:
        return 2 * self.config.d_model * (n_tokens // self.config.chunk + 1) + 1

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: RATState | None = None
    ) -> tuple[Tensor, RATState]:
        self.refuse_ids(ids)
        c = self.config
        batch, n_tokens, _ = x.shape
        fresh = state is None
        state = self.initial_state(batch) if state is None else state
        lengths = state.position.new_full((batch,), n_tokens) if mask is None else mask.sum(1)
        z, g, v, q, k = self.parts(x)
        k_own, v_own = chunk_scan(k, v, g, c.chunk, state.position % c.chunk, state.k, state.v)

        positions = state.position[:, None] + torch.arange(n_tokens, device=x.device)
        chunks = positions // c.chunk  # (B, T)
        if c.rotary:
            q, k_turned = rotary(q, chunks, c.rotary_base), rotary(k_own, chunks, c.rotary_base)
        else:
            k_turned = k_own
        q, k_turned, v_seen = (y.to(x.dtype) for y in (q.repeat(1, 1, c.n_heads // c.groups, 1), k_turned, v_own))

        # Slots: the old ends, the newest last, then those of the chunks that close here, the first of them first: the
        # tokens (B, J) that close them, J enough for the row that closes most.
        n_old, n_before = state.k_ends.shape[1], state.position // c.chunk
        most = n_tokens // c.chunk if fresh else self._most(state.position, lengths)
        closing = c.chunk - 1 - (state.position % c.chunk)[:, None] + c.chunk * torch.arange(most, device=x.device)
        slots = closing.clamp(max=max(n_tokens - 1, 0))[:, :, None, None]
        k_new, v_new = (take_along(y, slots, 1) if n_tokens else y[:, :0] for y in (k_turned, v_seen))
        k_ends, v_ends = torch.cat([state.k_ends, k_new], 1), torch.cat([state.v_ends, v_new], 1)
        first = n_old - n_before
        y = chunk_attention(q, k_turned, v_seen, k_ends, v_ends, first, first[:, None] + chunks)
        y = self.out((z.sigmoid() * y).flatten(2))
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        # Rows close chunks at different times: no more slots than the row with most has chunks.
        n_slots = most if fresh else self._most(torch.zeros_like(lengths), state.position + lengths)
        return y, self._after(state, lengths, k_own, v_own, k_ends, v_ends, most, n_slots)

    def parts(self, x: Tensor) -> list[Tensor]:
        """z, the gate g, float32 or wider, v, q and k of x, (B, T, H or G, P)."""
        z, gate, v, q, k = self.project(x).split(self.widths, -1)
        if self.config.chunk == 1:
            g = torch.zeros_like(v)
        else:
            g = (gate.to(torch.promote_types(gate.dtype, torch.float32)) + self.gate_bias).sigmoid()
        return [part.unflatten(-1, (-1, self.config.d_head)) for part in (z, g, v, q, k)]

    def _most(self, position: Tensor, lengths: Tensor) -> int:
        """How many chunks the row closes that closes most, reading that many tokens from that position on."""
        size = self.config.chunk
        return int(((position + lengths) // size - position // size).max()) if len(position) else 0

    def _after(
        self,
        state: RATState,
        lengths: Tensor,
        k_own: Tensor,
        v_own: Tensor,
        k_ends: Tensor,
        v_ends: Tensor,
        n_new: int,
        n_slots: int,
    ) -> RATState:
        """The state after each row's real tokens; a chunk that has just closed leaves nothing open."""
        position = state.position + lengths
        n_closed = position // self.config.chunk - state.position // self.config.chunk
        k_ends, v_ends = (last(y, n_slots, n_new, n_closed) for y in (k_ends, v_ends))
        newest = (lengths - 1).clamp(min=0)[:, None, None, None]
        opened = []
        for before, own in ((state.k, k_own), (state.v, v_own)):
            now = take_along(own, newest, 1)[:, 0] if own.shape[1] else before
            now = torch.where((lengths > 0)[:, None, None], now, before)
            opened.append(now.masked_fill((position % self.config.chunk == 0)[:, None, None], 0.0))
        return RATState(k_ends, v_ends, opened[0], opened[1], position)
