"""Landmark attention: the past in blocks, each reached through one key that stands for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from kernels.first_order import functional
from kernels.landmark import Blocks, Far, chosen_blocks, landmark_attention
from models.mixers.along import take_along
from models.mixers.base import SequenceMixer
from models.mixers.pieces import by_pieces
from models.positions import rotary

CROWD = 4
"""From how many times as many blocks as are looked into on they are fetched instead of all scored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LandmarkConfig:
    d_model: int
    n_heads: int = 4
    block: int = 8
    """Tokens of a block; the paper's 50."""
    landmarks: Literal["pool", "external"] = "pool"
    """pool: a block's landmark key is a learned map of the mean of its keys, which is our approximation; external:
    every (block + 1)th token is the landmark of those before it, as in the paper: `with_landmarks` puts them there, and
    as tokens of the model they are refined by its every layer."""
    retrieve: int | None = 4
    """In evaluation, how many earlier blocks a token looks into, those whose landmarks it likes best; None is all."""
    together: bool = False
    """All heads of a token look into the same blocks, by the most any of them gives a landmark."""
    memory: int | None = None
    """How many whole blocks are kept; None is all, and the state then grows."""
    positions: Literal["rotary", "stingy", "none"] = "rotary"
    """stingy: blocks further back than `retrieve` (or 4, where that is None) stand, for a query, all in the place
    before those, so that no distance is ever longer than in a short text."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if self.block < 1 or any(n is not None and n < 1 for n in (self.retrieve, self.memory)):
            raise ValueError(f"block {self.block}, retrieve {self.retrieve} and memory {self.memory} must be positive")
        for name, allowed in (("landmarks", ("pool", "external")), ("positions", ("rotary", "stingy", "none"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected one of {allowed}")
        if self.positions != "none" and self.d_head % 2:
            raise ValueError(f"rotary positions turn pairs, and a head is {self.d_head} wide")

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads

    @property
    def size(self) -> int:
        """Slots of a block, its landmark among them where that is a token."""
        return self.block + (self.landmarks == "external")

    @property
    def reach(self) -> int:
        """How many blocks back positions are true where they are stingy."""
        return 4 if self.retrieve is None else self.retrieve


class LandmarkState(NamedTuple):
    k: Tensor  # (B, S, H, K), not turned; slot s of a row holds its token first * size + s
    v: Tensor
    marks: Tensor  # (B, S / size, H, K): landmark keys of whole blocks; (B, 0, H, K) where they are tokens
    first: Tensor  # (B,) long: the number of the first block kept
    position: Tensor  # (B,) long: tokens seen


class Landmark(SequenceMixer[LandmarkState]):
    """y_t of one softmax over the tokens of t's own block and the landmarks of the blocks before it, a landmark's
    weight going to its block's tokens by a softmax among them   (Mohtashami and Jaggi 2023, sections 3.1 and 3.2).

    A landmark ignores its own key and sees its block and the landmarks before. With `retrieve`, evaluation keeps the
    landmarks of that many blocks a head and token, and a step reads them, its own block and the landmarks, nothing
    more; with `memory` as well neither its work nor the state grows: 2 D (memory + 1) block numbers and a landmark a
    block, else 2 S D. Retrieval for a whole chunk of queries at once, the paper's cheaper way, is left out, since a
    step would then differ from a forward.
    """

    def __init__(self, config: LandmarkConfig) -> None:
        super().__init__()
        self.config = c = config
        d = c.d_model
        self.query, self.key, self.value, self.out = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.blocks = Blocks(c.size, c.landmarks == "external")
        if c.landmarks == "pool":
            self.pool = nn.Parameter(torch.eye(c.d_head).repeat(c.n_heads, 1, 1))

    def initial_state(self, batch: int) -> LandmarkState:
        c, weight = self.config, self.out.weight
        slots = 0 if c.memory is None else (c.memory + 1) * c.size
        k = weight.new_zeros(batch, slots, c.n_heads, c.d_head)
        position = torch.zeros(batch, dtype=torch.long, device=weight.device)
        return LandmarkState(k, k.clone(), k[:, : self._n_marks(slots)], position, position)

    def state_floats(self, n_tokens: int) -> int:
        c = self.config
        slots = n_tokens if c.memory is None else (c.memory + 1) * c.size
        return (2 * slots + self._n_marks(slots)) * c.d_model + 2

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: LandmarkState | None = None
    ) -> tuple[Tensor, LandmarkState]:
        self.refuse_ids(ids)
        c = self.config
        batch, n_tokens, _ = x.shape
        state = self.initial_state(batch) if state is None else state
        q, k, v = (z(x).unflatten(-1, (c.n_heads, -1)) for z in (self.query, self.key, self.value))  # (B, T, H, K)
        place = (state.position - state.first * c.size)[:, None] + torch.arange(n_tokens, device=x.device)
        slots = state.k.shape[1] + n_tokens
        room = n_tokens + -slots % c.size  # to a whole number of blocks
        if torch.compiler.is_compiling():  # and always past the last token, or whole blocks are a graph of their own
            room = n_tokens + c.size - slots % c.size
        k, v = written(state.k, room, k, place), written(state.v, room, v, place)
        marks = self._marks(k, place, state.marks)
        y = self.out(self._answers(q.to(k.dtype), place, k, v, marks).flatten(2))
        y = y if mask is None else y.masked_fill(~mask[..., None], 0.0)
        position = state.position + (n_tokens if mask is None else mask.sum(1))
        if c.memory is None:
            return y, LandmarkState(k[:, :slots], v[:, :slots], marks[:, : self._n_marks(slots)], state.first, position)
        first = torch.maximum(state.first, position // c.size - c.memory)
        drop, kept = first - state.first, c.memory + 1
        k, v = (_shifted(z, drop * c.size, kept * c.size) for z in (k, v))
        return y, LandmarkState(k, v, _shifted(marks, drop, self._n_marks(kept * c.size)), first, position)

    def _n_marks(self, slots: int) -> int:
        return slots // self.config.size if self.config.landmarks == "pool" else 0

    def _marks(self, k: Tensor, place: Tensor, old: Tensor) -> Tensor:
        """Landmark keys (B, n, H, K) of k's blocks; those of blocks that are not whole mean nothing."""
        c = self.config
        blocks: Tensor = k.unflatten(1, (-1, c.size))
        if c.landmarks == "external":
            return blocks[:, :, -1]
        if place.shape[1] == 1:  # the one block that may have become whole
            own = place // c.size
            mean = take_along(blocks, own[..., None, None, None], 1).mean(2)
            mark = torch.einsum("bnhk,hkl->bnhl", mean, self.pool.to(mean.dtype))
            return written(old, blocks.shape[1] - old.shape[1], mark, own)
        return torch.einsum("bnhk,hkl->bnhl", blocks.mean(2), self.pool.to(k.dtype))

    def _answers(self, q: Tensor, place: Tensor, k: Tensor, v: Tensor, marks: Tensor) -> Tensor:
        """(B, T, H, V) of queries q (B, T, H, K) at slots place (B, T), and what they see. Nothing is turned yet; since
        distances alone count, positions are slots.

        Few blocks of many are fetched, and cost T (retrieve + 1) block beside the landmarks' scores. Otherwise all are
        scored and those that are not looked into left out.
        """
        c = self.config
        batch, n_tokens, heads, _ = q.shape
        n_blocks, slots = marks.shape[1], torch.arange(k.shape[1], device=q.device)
        ends = slots[c.size - 1 :: c.size]
        seen = [self._turned(marks, ends.expand(batch, -1)).transpose(1, 2)]
        if c.positions == "stingy":  # as seen from the query's block, a far block stands reach + 1 blocks back
            seen.append(self._turned(marks, (ends % c.size).expand(batch, -1)).transpose(1, 2))
        look = self._few
        if look is not None and (n_tokens == 1 or n_blocks > CROWD * (look + 1) or torch.compiler.is_compiling()):
            k = k if n_tokens == 1 else self._turned(k, (slots % c.size).expand(batch, -1))
            blocks = [z.unflatten(1, (-1, c.size)).permute(0, 3, 1, 2, 4) for z in (k, v)]  # (B, H, n, size, K)
            if n_tokens > 1:  # for one token nothing of the past is copied
                blocks = [z.contiguous() for z in blocks]
            numbers = n_blocks + (look + 1) * c.size * 2 * c.d_head
            answer: Callable[..., tuple[Tensor]] = partial(self._fetch, turned=n_tokens > 1)
            past = [*blocks, *seen]
        else:
            near, numbers = self._turned(k, slots.expand(batch, -1)), k.shape[1]
            answer, past = self._score, [near.transpose(1, 2), v.transpose(1, 2), *seen]
            if c.positions == "stingy":
                past.append(self._turned(k, (slots % c.size).expand(batch, -1)).transpose(1, 2))
        (o,) = by_pieces(answer, [q, place], past, batch * heads * numbers)
        return o

    @property
    def _few(self) -> int | None:
        """How many blocks a token looks into; None is all."""
        return None if self.training else self.config.retrieve

    def _turned(self, z: Tensor, positions: Tensor) -> Tensor:
        return z if self.config.positions == "none" else rotary(z, positions)

    def _reached(self, place: Tensor, n_blocks: int) -> tuple[int, int]:
        """From which block on and up to which these queries see any; at least as many as are looked into."""
        c = self.config
        if place.shape[1] == 1 or not place.numel() or torch.compiler.is_compiling() or functional():
            return 0, n_blocks
        least = min(n_blocks, 1 + (self._few or 0))
        last = max(int(place.max()) // c.size + 1, least)
        first = 0 if c.memory is None else max(0, int(place.min()) // c.size - c.memory)
        return min(first, last - least), last

    def _liked(self, q: Tensor, place: Tensor, marks: Sequence[Tensor], first: int, last: int) -> Tensor:
        """Scores (B, H, T, last - first) of landmarks, -inf for those that are not seen; marks (B, H, n, K) by their
        slots, and as they stand far away."""
        c = self.config
        own, block = (place // c.size)[:, None, :, None], torch.arange(first, last, device=q.device)
        q = q * c.d_head**-0.5
        logits = self._turned(q, place).transpose(1, 2) @ marks[0][:, :, first:last].mT
        if c.positions == "stingy":
            far = rotary(q, place % c.size + (c.reach + 1) * c.size).transpose(1, 2) @ marks[1][:, :, first:last].mT
            logits = torch.where(own - block > c.reach, far, logits)
        unseen = block >= own
        if c.memory is not None:
            unseen = unseen | (block < own - c.memory)
        return logits.masked_fill(unseen, -torch.inf)

    def _best(self, logits: Tensor, look: int) -> Tensor:
        """Which blocks are looked into, (B, H, T, look or as many as there are), the best first."""
        if torch.compiler.is_compiling():  # a graph does not ask whether there are as many
            logits = nn.functional.pad(logits, (0, look), value=-torch.inf)
        else:
            look = min(look, logits.shape[-1])
        if self.config.together:
            logits = logits.softmax(-1).nan_to_num(0.0).amax(1, keepdim=True).expand_as(logits)
        return logits.topk(look, -1).indices

    def _score(self, q: Tensor, place: Tensor, k: Tensor, v: Tensor, *marks_and_far: Tensor) -> tuple[Tensor]:
        """Queries against all blocks that any of them reaches."""
        c, look = self.config, self._few
        first, last = self._reached(place, k.shape[2] // c.size)
        slots = slice(first * c.size, last * c.size)
        logits, far = self._liked(q, place, marks_and_far, first, last), None
        if c.positions == "stingy":
            far_q = rotary(q, place % c.size + (c.reach + 1) * c.size).transpose(1, 2)
            far = Far(far_q, marks_and_far[-1][:, :, slots], c.reach)
        if look is not None and look < last - first:
            kept = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, self._best(logits, look), True)
            logits = logits.masked_fill(~kept, -torch.inf)
        near = self._turned(q, place).transpose(1, 2)
        at = place - first * c.size
        o = landmark_attention(near, k[:, :, slots], v[:, :, slots], logits, at, self.blocks, far)
        return (o.transpose(1, 2),)

    def _fetch(self, q: Tensor, place: Tensor, k: Tensor, v: Tensor, *marks: Tensor, turned: bool) -> tuple[Tensor]:
        """Each query with the blocks chosen by their landmarks, k and v (B, H, n, size, K), and its own.

        A query is turned once for each block, by how far back that is, and keys by their place in theirs; `turned`
        says that they are, as where many queries share them.
        """
        c, look = self.config, self._few
        assert look is not None
        first, last = self._reached(place, k.shape[2])
        logits = self._liked(q, place, marks, first, last)
        chosen = self._best(logits, look)
        own = (place // c.size)[:, None, :, None]
        which = torch.cat([chosen + first, own.expand(-1, c.n_heads, -1, -1)], -1)  # (B, H, T, C), its own last
        if torch.compiler.is_compiling():
            logits, which = nn.functional.pad(logits, (0, look), value=-torch.inf), which.clamp(max=k.shape[2] - 1)
        k, v = (fetched(z, which) for z in (k, v))  # (B, H, T, C, size, K)
        asked = q.transpose(1, 2)[..., None, :].expand(*which.shape, -1)
        if c.positions != "none":
            back = own - which if c.positions == "rotary" else (own - which).clamp(max=c.reach + 1)
            position = (place % c.size)[:, None, :, None] + back * c.size
            asked = rotary(asked.flatten(1, 3)[:, :, None], position.flatten(1)).view_as(asked)
            if not turned:
                k = rotary(k.flatten(0, 3)[:, :, None], torch.arange(c.size, device=q.device)[None]).view_as(k)
        o = chosen_blocks(asked, k, v, take_along(logits, chosen, -1), place % c.size, self.blocks.landmark_last)
        return (o.transpose(1, 2),)


def with_landmarks(x: Tensor, landmark: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """Tokens x (B, T, D) with the vector landmark (D,) after every `block` of them, and where the tokens went, (T,)
    long.

    For a model of mixers with external landmarks, from the first token on: `y[:, places]` takes the landmarks out
    again.
    """
    places = torch.arange(x.shape[1], device=x.device)
    places = places + places // block
    longer = landmark.expand(len(x), x.shape[1] + x.shape[1] // block, -1).to(x.dtype)
    return longer.index_copy(1, places, x), places


def written(entries: Tensor, room: int, new: Tensor, place: Tensor) -> Tensor:
    """entries (B, S, H, K), `room` slots longer, with new (B, T, H, K) at slots place (B, T)."""
    index = place[..., None, None].expand_as(new)
    longer, new = nn.functional.pad(entries, (0, 0, 0, 0, 0, room)), new.to(entries.dtype)
    return longer.scatter(1, index, new) if functional() else longer.scatter_(1, index, new)


def fetched(blocks: Tensor, which: Tensor) -> Tensor:
    """Blocks (B, H, n, size, K) by their numbers (B, H, T, C), (B, H, T, C, size, K)."""
    if not blocks.is_contiguous():  # rows of memory are copied far quicker than elements, but there are none here
        found: Tensor = take_along(blocks, which.flatten(2)[..., None, None], 2).unflatten(2, which.shape[2:])
        return found
    batch, heads, n = blocks.shape[:3]
    row = which + n * torch.arange(batch * heads, device=which.device).view(batch, heads, 1, 1)
    return blocks.flatten(0, 2).index_select(0, row.flatten()).view(*which.shape, *blocks.shape[3:])


def _shifted(entries: Tensor, by: Tensor, width: int) -> Tensor:
    """`width` entries of (B, S, H, K) from slot by (B,) on; past the end, anything."""
    slot = (by[:, None] + torch.arange(width, device=entries.device)).clamp(max=entries.shape[1] - 1)
    return take_along(entries, slot[..., None, None], 1)
