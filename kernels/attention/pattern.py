"""Which keys a query sees and how a score becomes a weight, without a T x S tensor where numbers can say it."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """The part of the structure that is the same for every row. Queries stand at the last T of the S key slots."""

    kind: Literal["softmax", "sigmoid", "exp"] = "softmax"
    causal: bool = True
    window: int | None = None
    """Keys further than this from their query are not seen: i - j <= window, and j - i <= window if not causal."""
    only: Literal["same", "other"] | None = None
    """With ids: the query sees only keys of its own id, or only those of other ids."""
    scale: float | None = None
    """Multiplies q . k; None is 1 / sqrt(K)."""
    ceiling: float = 5.0
    """With exp: a score above this counts as this."""
    dropout: float = 0.0
    """Of the weights, after they are made: what is kept is divided by 1 - dropout. Each backend draws for itself."""

    def __post_init__(self) -> None:
        if self.kind not in ("softmax", "sigmoid", "exp"):
            raise ValueError(f"kind is {self.kind!r}, expected 'softmax', 'sigmoid' or 'exp'")
        if self.only not in (None, "same", "other"):
            raise ValueError(f"only is {self.only!r}, expected None, 'same' or 'other'")
        if self.window is not None and self.window < 0:
            raise ValueError(f"window is {self.window}, expected at least 0, or None for no limit")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}, expected 0 <= dropout < 1")


class Structure(NamedTuple):
    """The part that is tensors; None is absent."""

    start: Tensor | None = None
    """(B,) long: key slots before this one hold nothing."""
    end: Tensor | None = None
    """(B,) long: key slots from this one on hold nothing. Real keys are start <= slot < end."""
    ids: Tensor | None = None
    """(B, S) integers, of which only equality matters; a query has the id of its slot."""
    k_other: Tensor | None = None
    """(B, G, S, K): the keys seen by queries of another id; k is then for queries of the same id."""
    relative: Tensor | None = None
    """(N, H, P), added to the score by distance i - j: causal 0 .. P-1, else -(P//2) .. P//2, clipped to that.

    N = 1, or 2 with ids: [0] where the ids are the same, [1] where they differ.
    """
    bias: Tensor | None = None
    """(B or 1, H or 1, T, S), added to the score."""
    allowed: Tensor | None = None
    """(B or 1, H or 1, T, S) bool, False where the key is not seen."""
    offset: Tensor | None = None
    """(B or 1, H or 1, T or 1), added to every score of a query: the sigmoid's bias."""


class Tile(NamedTuple):
    """Query slots q0 .. q1-1 against key slots k0 .. k1-1. The op's queries are its last T slots, from `first` on."""

    q0: int
    q1: int
    k0: int
    k1: int
    first: int

    def part(self, whole: Tensor) -> Tensor:
        """The tile of a (.., .., T, S) tensor."""
        return whole[:, :, self.q0 - self.first : self.q1 - self.first, self.k0 : self.k1]


def visible(pattern: Pattern, s: Structure, tile: Tile, device: torch.device) -> Tensor:
    """Who sees whom in a tile, (B or 1, H or 1, queries, keys) bool."""
    # Diagonals cut off a table of booleans, an eighth of the bytes of a table of distances.
    seen = torch.ones(tile.q1 - tile.q0, tile.k1 - tile.k0, dtype=torch.bool, device=device)
    own = tile.q0 - tile.k0  # the diagonal on which a query meets the key of its own slot
    if pattern.causal:
        seen = seen.tril_(own)
    if pattern.window is not None:
        seen = seen.triu_(own - pattern.window)
        seen = seen if pattern.causal else seen.tril_(own + pattern.window)
    seen = seen[None, None]
    if s.start is not None or s.end is not None:
        keys = torch.arange(tile.k0, tile.k1, device=device)
        if s.start is not None:
            seen = seen & (keys >= s.start[:, None])[:, None, None]
        if s.end is not None:
            seen = seen & (keys < s.end[:, None])[:, None, None]
    if pattern.only is not None:
        seen = seen & (same_id(s, tile) == (pattern.only == "same"))
    if s.allowed is not None:
        seen = seen & tile.part(s.allowed)
    return seen


def added(pattern: Pattern, s: Structure, tile: Tile) -> Tensor | None:
    """What is added to a tile's scores, broadcasting to (B, H, queries, keys), or None."""
    terms = []
    if s.relative is not None:
        tables = _toeplitz(s.relative, 0 if pattern.causal else s.relative.shape[2] // 2, tile)
        terms.append(tables if len(tables) == 1 else torch.where(same_id(s, tile), tables[0], tables[1]))
    if s.bias is not None:
        terms.append(tile.part(s.bias))
    if s.offset is not None:
        here = slice(None) if s.offset.shape[2] == 1 else slice(tile.q0 - tile.first, tile.q1 - tile.first)
        terms.append(s.offset[:, :, here, None])
    return sum(terms[1:], terms[0]) if terms else None


def same_id(s: Structure, tile: Tile) -> Tensor:
    """(B, 1, queries, keys) bool."""
    assert s.ids is not None, "checked at the door of the op"
    return (s.ids[:, tile.q0 : tile.q1, None] == s.ids[:, None, tile.k0 : tile.k1])[:, None]


def _toeplitz(tables: Tensor, centre: int, tile: Tile) -> Tensor:
    """tables[..., clip(i - j + centre)] for a tile, (N, H, queries, keys); its gradient needs no scattered adds."""
    n_queries, n_keys = tile.q1 - tile.q0, tile.k1 - tile.k0
    back = torch.arange(tile.q1 - 1 - tile.k0, tile.q0 - tile.k1, -1, device=tables.device)  # i - j, falling
    diagonals = tables.index_select(2, (back + centre).clamp(0, tables.shape[2] - 1))
    assert len(back) == n_queries + n_keys - 1
    return diagonals.unfold(2, n_keys, 1).flip(2)
