"""Recycled attention: a step over all keys now and then, and between two of them steps over those it liked most."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.mixers.along import take_along
from models.mixers.base import SequenceMixer
from models.mixers.grouped import GroupedConfig
from models.mixers.pieces import by_pieces
from models.positions import rotary


@dataclass(frozen=True, kw_only=True, slots=True)
class RecycledConfig(GroupedConfig):
    keep: int = 8
    """Keys a group of heads has between two full steps, those its last full step liked most."""
    stride: int = 4
    """Every so many tokens there is a full step; the paper's 10 to 50."""
    evict: Literal["rank", "none", "running"] = "rank"
    """Which key goes when a new token comes in: the one ranked last by the full step; none, and there are more of them;
    or, as in the paper, the one with the least weight in the step just made, which can only go token by token."""
    refresh: Literal["stride", "query"] = "stride"
    """With running eviction: a full step by count, or where the query has turned away from that of the last one."""
    check: int = 1
    """refresh="query": looks every so many tokens after a full step."""
    threshold: float = 0.8
    """refresh="query": a full step where the queries' cosine, mean over heads, is below this."""
    aggregate: Literal["mean", "max"] = "mean"
    """Over the query heads that share keys, of their weights."""
    n_sinks: int = 0
    """The first tokens, always among those kept."""
    n_recent: int = 0
    """The last tokens before a full step, likewise."""
    positions: Literal["rotary", "none"] = "rotary"

    def __post_init__(self) -> None:
        GroupedConfig.__post_init__(self)
        for name, allowed in (
            ("evict", ("rank", "none", "running")),
            ("refresh", ("stride", "query")),
            ("aggregate", ("mean", "max")),
            ("positions", ("rotary", "none")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected one of {allowed}")
        if min(self.keep, self.stride, self.check) < 1 or min(self.n_sinks, self.n_recent) < 0:
            raise ValueError(
                f"keep {self.keep}, stride {self.stride} and check {self.check} must be positive, "
                f"n_sinks {self.n_sinks} and n_recent {self.n_recent} not negative"
            )
        if self.n_sinks + self.n_recent > self.keep:
            raise ValueError(f"n_sinks {self.n_sinks} and n_recent {self.n_recent} are more than keep {self.keep}")
        if self.refresh == "query" and self.evict != "running":
            raise ValueError(f"refresh 'query' goes with evict 'running', not {self.evict!r}")
        if self.positions == "rotary" and self.d_head % 2:
            raise ValueError(f"rotary positions turn pairs, and a head is {self.d_head} wide")


class RecycledState(NamedTuple):
    k: Tensor  # (B, S, G, K), turned; slot s holds token s
    v: Tensor
    chosen: Tensor  # (B, G, keep) long: slots kept since the last full step, best first; -1 is none
    anchor: Tensor  # (B,) long: the slot of the last full step; -1 is none
    query: Tensor  # (B, H, K): the query of it, or (B, 0, K) where nobody asks
    position: Tensor  # (B,) long: tokens seen


class Recycled(SequenceMixer[RecycledState]):
    """y_t = softmax attention over all keys where t is an anchor, else over the keys the last anchor liked most and the
    tokens since   (Recycled Attention, Xu et al. 2024; later RefreshKV).

    Nothing is ever dropped from the cache: the state is 2 S G K numbers, and a step reads 2 keep G K of them, a full
    one all. Keys are chosen for each group of heads that share them, and keep their true positions. With a stride and
    eviction by rank or none, all segments between anchors are computed at once, O(T^2 / stride + T (keep + stride))
    scores, and a step is equal to it; the paper says nothing of training. Its own prompt, read by full attention with
    the last token as anchor, is `prefill`.
    """

    def __init__(self, config: RecycledConfig) -> None:
        super().__init__()
        self.config = c = config
        d = c.d_model
        width = c.n_heads * c.d_head
        self.query, self.out = nn.Linear(d, width, bias=False), nn.Linear(width, d, bias=False)
        self.key, self.value = (nn.Linear(d, c.kv_heads * c.d_head, bias=False) for _ in range(2))

    def initial_state(self, batch: int) -> RecycledState:
        c, weight = self.config, self.out.weight
        k = weight.new_zeros(batch, 0, c.kv_heads, c.d_head)
        chosen = torch.full((batch, c.kv_heads, c.keep), -1, dtype=torch.long, device=weight.device)
        query = weight.new_zeros(batch, c.n_heads if c.refresh == "query" else 0, c.d_head)
        return RecycledState(k, k.clone(), chosen, chosen[:, 0, 0], query, chosen.new_zeros(batch))

    def state_floats(self, n_tokens: int) -> int:
        return SequenceMixer.state_floats(self, n_tokens) + 2 * n_tokens * self.config.kv_heads * self.config.d_head

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: RecycledState | None = None
    ) -> tuple[Tensor, RecycledState]:
        self.refuse_ids(ids)
        state = self.initial_state(len(x)) if state is None else state
        lengths = state.position.new_full((len(x),), x.shape[1]) if mask is None else mask.sum(1)
        q, state = self._written(x, state)
        if self.config.evict == "running":
            o, state = self._one_by_one(q, state, lengths)
        else:
            o, state = self._segments(q, state, lengths)
        y = self.out(o.flatten(2).to(self.out.weight.dtype))
        return (y if mask is None else y.masked_fill(~mask[..., None], 0.0)), state

    def prefill(self, x: Tensor, *, mask: Tensor | None = None) -> tuple[Tensor, RecycledState]:
        """A prompt by full attention, its last token the first anchor; for running eviction, which asks no place of it.

        Raises ValueError for another eviction, and for no tokens.
        """
        if self.config.evict != "running" or x.shape[1] == 0:
            raise ValueError(f"prefill wants tokens and evict 'running', got {x.shape[1]} and {self.config.evict!r}")
        lengths = torch.full((len(x),), x.shape[1], device=x.device) if mask is None else mask.sum(1)
        x = x if mask is None else x.masked_fill(~mask[..., None], 0.0)
        q, state = self._written(x, self.initial_state(len(x)))
        o, chosen = self._full(q, state.k, state.v, torch.arange(x.shape[1], device=x.device).expand(x.shape[:2]))
        at = (lengths - 1).clamp(min=0)[:, None, None, None]
        chosen = take_along(chosen, at, 1)[:, 0].masked_fill((lengths == 0)[:, None, None], -1)
        query = take_along(q, at, 1)[:, 0, : state.query.shape[1]]
        y = self.out(o.flatten(2).to(self.out.weight.dtype))
        y = y if mask is None else y.masked_fill(~mask[..., None], 0.0)
        return y, RecycledState(state.k, state.v, chosen, lengths - 1, query, lengths)

    def _written(self, x: Tensor, state: RecycledState) -> tuple[Tensor, RecycledState]:
        """The queries (B, T, H, K), and the state with T slots more, which hold the new keys and values."""
        c = self.config
        q, k, v = (z(x).unflatten(-1, (-1, c.d_head)) for z in (self.query, self.key, self.value))
        place = state.position[:, None] + torch.arange(x.shape[1], device=x.device)
        if c.positions == "rotary":
            q, k = rotary(q, place), rotary(k, place)
        dtype, index = state.k.dtype, place[..., None, None]
        k, v = (
            F.pad(old, (0, 0, 0, 0, 0, x.shape[1])).scatter(1, index.expand_as(new), new.to(dtype))
            for old, new in ((state.k, k), (state.v, v))
        )
        return q.to(dtype), state._replace(k=k, v=v)

    def _full(self, q: Tensor, k: Tensor, v: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """Full steps of queries q (B, N, H, K) at slots (B, N): answers (B, N, H, K), and slots (B, N, G, keep)."""
        o, best = by_pieces(self._some_full, [q, at], [k, v], len(q) * self.config.n_heads * k.shape[1])
        return o, best

    def _some_full(self, q: Tensor, at: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        c = self.config
        q = q.unflatten(2, (c.kv_heads, -1))  # (B, N, G, R, K)
        slot = torch.arange(k.shape[1], device=k.device)
        seen = (slot <= at[..., None])[:, None, None]  # (B, 1, 1, N, S)
        scores = torch.einsum("bngrk,bsgk->bgrns", q, k) * c.d_head**-0.5
        p = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        o = torch.einsum("bgrns,bsgk->bngrk", p, v).flatten(2, 3)
        liked = self._liked(p.detach(), 2)  # (B, G, N, S)
        # What must be kept comes first; a weight is at most 1.
        liked = liked + 3.0 * (slot < c.n_sinks) + 2.0 * (slot > at[..., None] - c.n_recent)[:, None]
        liked = liked.masked_fill(~seen[:, 0], -1.0)
        liked = F.pad(liked, (0, c.keep), value=-1.0)  # as many as are kept there are always
        best = liked.argsort(dim=-1, descending=True, stable=True)[..., : c.keep]  # ties to the earlier token
        return o, best.masked_fill(take_along(liked, best, -1) < 0, -1).transpose(1, 2)

    def _liked(self, p: Tensor, heads: int) -> Tensor:
        return p.mean(heads) if self.config.aggregate == "mean" else p.amax(heads)

    def _segments(self, q: Tensor, state: RecycledState, lengths: Tensor) -> tuple[Tensor, RecycledState]:
        """All tokens, laid out by the segments between anchors, which stand at multiples of the stride."""
        c = self.config
        n_tokens = q.shape[1]
        phase = state.position % c.stride
        n = max(1, -(-(n_tokens + c.stride - 1) // c.stride))
        token = torch.arange(n * c.stride, device=q.device) - phase[:, None]  # (B, n stride)
        real = ((token >= 0) & (token < lengths[:, None])).unflatten(1, (n, -1))
        start = (state.position - phase)[:, None] + torch.arange(n, device=q.device) * c.stride  # (B, n)
        if n_tokens == 0:
            return q, state
        q = take_along(q, token.clamp(0, n_tokens - 1)[..., None, None], 1).unflatten(1, (n, -1))
        anchors, chosen = self._anchors(q[:, :, 0], state, start, real[:, :, 0])
        o = self._recycle(q, state, start, chosen)
        o = torch.cat([anchors[:, :, None], o[:, :, 1:]], 2).flatten(1, 2)
        o = take_along(o, (phase[:, None] + torch.arange(n_tokens, device=q.device))[..., None, None], 1)
        last = ((phase + lengths - 1) // c.stride).clamp(min=0)
        kept = take_along(chosen, last[:, None, None, None], 1)[:, 0]
        position = state.position + lengths
        anchor = torch.where(position > 0, (position - 1) // c.stride * c.stride, -1)
        return o, state._replace(chosen=kept, anchor=anchor, position=position)

    def _anchors(self, q: Tensor, state: RecycledState, start: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """The full steps q (B, n, H, K) that are real, and what each segment goes on with, (B, n, G, keep)."""
        before = state.chosen[:, None]
        if q.shape[1] > 1 or torch.compiler.is_compiling():
            o, found = self._full(q, state.k, state.v, start)
            return o, torch.where(real[..., None, None], found, before)
        none = q.new_zeros(*q.shape[:-1], state.v.shape[-1])
        rows = real[:, 0].nonzero()[:, 0]  # one token a row: only rows that stand at an anchor read their whole cache
        if len(rows) == 0:
            return none, before
        o, found = self._full(q[rows], state.k[rows], state.v[rows], start[rows])
        return none.index_copy(0, rows, o), before.index_copy(0, rows, found)

    def _recycle(self, q: Tensor, state: RecycledState, start: Tensor, chosen: Tensor) -> Tensor:
        """Queries (B, n, stride, H, K) over the keys chosen for their segment and the segment's own after its
        anchor."""
        c = self.config
        offset = torch.arange(c.stride, device=q.device)
        own = (start[..., None] + offset).clamp(max=state.k.shape[1] - 1)  # (B, n, stride)
        slots = torch.cat([chosen.clamp(min=0), own[:, :, None].expand(-1, -1, c.kv_heads, -1)], -1)
        k, v = (_taken(z, slots) for z in (state.k, state.v))  # (B, n, G, keep + stride, K)
        room = c.keep - offset[:, None] * (c.evict == "rank")  # of ranks, by how far from the anchor
        ranked = (torch.arange(c.keep, device=q.device) < room) & (chosen >= 0)[..., None, :]  # (B, n, G, stride, keep)
        since = (offset >= 1) & (offset <= offset[:, None])
        seen = torch.cat([ranked, since.expand(*ranked.shape[:-1], -1)], -1)
        q = q.unflatten(3, (c.kv_heads, -1))
        scores = torch.einsum("bnigrk,bngsk->bngris", q, k) * c.d_head**-0.5
        # A segment's first row is its anchor, which is answered elsewhere and may see nothing here.
        p = scores.masked_fill(~seen[:, :, :, None], torch.finfo(scores.dtype).min).softmax(-1)
        return torch.einsum("bngris,bngsk->bnigrk", p, v).flatten(3, 4)

    def _one_by_one(self, q: Tensor, state: RecycledState, lengths: Tensor) -> tuple[Tensor, RecycledState]:
        outputs = []
        for t in range(q.shape[1]):
            o, after = self._one(q[:, t], state)
            real = t < lengths
            moved = (
                torch.where(real.view(-1, *[1] * (a.dim() - 1)), a, b)
                for a, b in zip(after[2:], state[2:], strict=True)
            )
            state = RecycledState(state.k, state.v, *moved)
            outputs.append(o)
        return torch.stack(outputs, 1) if outputs else q, state

    def _one(self, q: Tensor, state: RecycledState) -> tuple[Tensor, RecycledState]:
        """One token, q (B, H, K), whose key is in its slot already, with the paper's running eviction."""
        c, at = self.config, state.position
        slots = torch.cat([state.chosen, at[:, None, None].expand(-1, c.kv_heads, 1)], -1)  # (B, G, keep + 1)
        k, v = (_taken(z, slots.clamp(min=0)[:, None])[:, 0] for z in (state.k, state.v))
        scores = torch.einsum("bgrk,bgsk->bgrs", q.unflatten(1, (c.kv_heads, -1)), k) * c.d_head**-0.5
        p = scores.masked_fill((slots < 0)[:, :, None], -torch.inf).softmax(-1)
        o = torch.einsum("bgrs,bgsk->bgrk", p, v).flatten(1, 2)
        liked = self._liked(p.detach(), 2)
        kept = (slots < c.n_sinks) | (slots > at[:, None, None] - c.n_recent)
        liked = liked.masked_fill(kept, 2.0).masked_fill(slots < 0, -1.0)  # an empty place goes first
        least = torch.arange(c.keep + 1, device=q.device) == liked.argmin(-1, keepdim=True)
        chosen = take_along(slots, least.long().argsort(dim=-1, stable=True)[..., : c.keep], -1)
        full = self._due(q, state)
        rows = torch.arange(len(q), device=q.device) if torch.compiler.is_compiling() else full.nonzero()[:, 0]
        if len(rows):
            whole, best = self._full(q[rows][:, None], state.k[rows], state.v[rows], at[rows][:, None])
            here = full[rows][:, None, None]
            o = o.index_copy(0, rows, torch.where(here, whole[:, 0], o[rows]))
            chosen = chosen.index_copy(0, rows, torch.where(here, best[:, 0], chosen[rows]))
        query = torch.where(full[:, None, None], q, state.query) if c.refresh == "query" else state.query
        anchor = torch.where(full, at, state.anchor)
        return o, RecycledState(state.k, state.v, chosen, anchor, query, at + 1)

    def _due(self, q: Tensor, state: RecycledState) -> Tensor:
        """(B,) bool: where this step is to be a full one."""
        c, since = self.config, state.position - state.anchor
        if c.refresh == "stride":
            return (state.anchor < 0) | (since >= c.stride)
        turned = F.cosine_similarity(q, state.query, dim=-1).mean(-1) < c.threshold
        return (state.anchor < 0) | (turned & (since % c.check == 0))


def _taken(cache: Tensor, slots: Tensor) -> Tensor:
    """Entries (B, n, G, s, K) of a cache (B, S, G, K) at slots (B, n, G, s)."""
    flat = slots.transpose(1, 2).flatten(2)  # (B, G, n s)
    taken: Tensor = take_along(cache.transpose(1, 2), flat[..., None], 2)
    taken = taken.unflatten(2, (slots.shape[1], -1))
    return taken.transpose(1, 2)
