"""Landmark attention: the past in blocks, each reached through one key that stands for it."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from kernels.first_order import functional
from kernels.landmark import Blocks, Far, landmark_attention
from models.mixers.along import take_along
from models.mixers.base import SequenceMixer
from models.mixers.pieces import by_pieces
from models.positions import rotary


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
    retrieve: int | None = None
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
        marks, q = self._marks(k, place, state.marks), q.to(k.dtype)
        if n_tokens == 1 and self._retrieves:
            o = self._decode(q, k, v, marks, place, state.first).transpose(1, 2)
        else:
            (o,) = by_pieces(self._attend, [q, place], [k, v, marks, state.first], batch * c.n_heads * k.shape[1])
        y = self.out(o.flatten(2))
        y = y if mask is None else y.masked_fill(~mask[..., None], 0.0)
        position = state.position + (n_tokens if mask is None else mask.sum(1))
        if c.memory is None:
            return y, LandmarkState(k[:, :slots], v[:, :slots], marks[:, : self._n_marks(slots)], state.first, position)
        first = torch.maximum(state.first, position // c.size - c.memory)
        drop, kept = first - state.first, c.memory + 1
        k, v = (_shifted(z, drop * c.size, kept * c.size) for z in (k, v))
        return y, LandmarkState(k, v, _shifted(marks, drop, self._n_marks(kept * c.size)), first, position)

    @property
    def _retrieves(self) -> bool:
        return self.config.retrieve is not None and not self.training

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

    def _turned(self, z: Tensor, positions: Tensor) -> Tensor:
        return z if self.config.positions == "none" else rotary(z, positions)

    def _attend(self, q: Tensor, place: Tensor, k: Tensor, v: Tensor, marks: Tensor, first: Tensor) -> tuple[Tensor]:
        """(B, T, H, K), every query against all blocks up to the last query's."""
        c = self.config
        n_blocks = k.shape[1] // c.size
        if q.shape[1] > 1 and place.numel() and not torch.compiler.is_compiling() and not functional():
            n_blocks = int(place.max()) // c.size + 1
        k, v, marks = k[:, : n_blocks * c.size], v[:, : n_blocks * c.size], marks[:, :n_blocks]
        block, slot = (torch.arange(n, device=q.device) for n in (marks.shape[1], k.shape[1]))
        begin = (first * c.size)[:, None]
        turned = self._turned(q, begin + place), self._turned(k, begin + slot)
        mark = self._turned(marks, begin + (block + 1) * c.size - 1)
        near_q, near_k, mark = (z.transpose(1, 2) for z in (*turned, mark))
        logits = near_q @ mark.mT * c.d_head**-0.5  # (B, H, T, n)
        own, far = (place // c.size)[:, None, :, None], None
        if c.positions == "stingy":
            # As seen from the query's block, a far block stands reach + 1 blocks back.
            far_q = rotary(q, place % c.size + (c.reach + 1) * c.size).transpose(1, 2)
            far_k = rotary(k, (slot % c.size).expand(len(k), -1)).transpose(1, 2)
            far_mark = rotary(marks, block.new_full((len(k), len(block)), c.size - 1)).transpose(1, 2)
            logits = torch.where(own - block > c.reach, far_q @ far_mark.mT * c.d_head**-0.5, logits)
            far = Far(far_q, far_k, c.reach)
        seen = block < own
        if c.memory is not None:
            seen = seen & (block >= own - c.memory)
        logits, chosen = self._chosen(logits.masked_fill(~seen, -torch.inf))
        if chosen is not None:
            kept = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, chosen, True)
            logits = logits.masked_fill(~kept, -torch.inf)
        o = landmark_attention(near_q, near_k, v.transpose(1, 2), logits, place, self.blocks, far)
        return (o.transpose(1, 2),)

    def _chosen(self, logits: Tensor) -> tuple[Tensor, Tensor | None]:
        """The marks (B, H, T, n), and the numbers of the blocks that are looked into, (B, H, T, retrieve), best
        first."""
        c = self.config
        if not self._retrieves or c.retrieve is None or c.retrieve >= logits.shape[-1]:
            return logits, None
        liked = logits
        if c.together:
            liked = logits.softmax(-1).nan_to_num(0.0).amax(1, keepdim=True).expand_as(logits)
        return logits, liked.topk(c.retrieve, -1).indices

    def _decode(self, q: Tensor, k: Tensor, v: Tensor, marks: Tensor, place: Tensor, first: Tensor) -> Tensor:
        """One query a row, which reads its landmarks, the blocks chosen by them, and its own block."""
        c = self.config
        own, block = place // c.size, torch.arange(marks.shape[1], device=q.device)  # (B, 1), (n,)
        # Which block each stands for, once far ones are moved up.
        stands = torch.where(own - block > c.reach, own - c.reach - 1, block) if c.positions == "stingy" else block
        stands = (stands + first[:, None]).expand(len(q), -1)  # (B, n)
        q = self._turned(q, (first * c.size)[:, None] + place)
        mark = self._turned(marks, (stands + 1) * c.size - 1)
        logits = torch.einsum("bthk,bnhk->bhtn", q, mark) * c.d_head**-0.5
        seen = block < own
        if c.memory is not None:
            seen = seen & (block >= own - c.memory)
        logits, chosen = self._chosen(logits.masked_fill(~seen[:, None, None], -torch.inf))
        if chosen is None:
            chosen = block.expand_as(logits)
        which = torch.cat([chosen[:, :, 0], own[:, None].expand(-1, c.n_heads, -1)], -1)  # (B, H, n'), its own last
        positions = stands.gather(1, which.flatten(1)).view_as(which)[..., None] * c.size
        positions = positions + torch.arange(c.size, device=q.device)  # (B, H, n', size)
        k, v = (
            take_along(z.unflatten(1, (-1, c.size)).permute(0, 3, 1, 2, 4), which[..., None, None], 2) for z in (k, v)
        )  # (B, H, n', size, K)
        k = self._turned(k.flatten(0, 1).flatten(1, 2)[:, :, None], positions.flatten(0, 1).flatten(1))
        k = k[:, :, 0].unflatten(0, (len(q), c.n_heads))
        logits = nn.functional.pad(take_along(logits, chosen, -1), (0, 1), value=-torch.inf)
        at = (which.shape[-1] - 1) * c.size + place % c.size
        return landmark_attention(q.transpose(1, 2), k, v.flatten(2, 3), logits, at, self.blocks)


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
    return nn.functional.pad(entries, (0, 0, 0, 0, 0, room)).scatter(1, index, new.to(entries.dtype))


def _shifted(entries: Tensor, by: Tensor, width: int) -> Tensor:
    """`width` entries of (B, S, H, K) from slot by (B,) on; past the end, anything."""
    slot = (by[:, None] + torch.arange(width, device=entries.device)).clamp(max=entries.shape[1] - 1)
    return take_along(entries, slot[..., None, None], 1)
