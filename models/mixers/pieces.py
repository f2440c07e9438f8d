"""Queries answered a piece at a time, so that no table of all queries against all keys ever stands in memory."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from kernels.first_order import functional

TABLE = 2**22
"""Numbers of a table: what a piece's scores may take, unless a single query takes more."""


def by_pieces(
    answer: Callable[..., tuple[Tensor, ...]], queries: Sequence[Tensor], shared: Sequence[Tensor], row: int
) -> tuple[Tensor, ...]:
    """answer(*queries, *shared), the queries (B, T, ...) in pieces and what each answers, (B, t, ...), joined along T.

    row is how many numbers of a table one query needs, all rows of the batch together. Where there are several pieces
    the backward pass makes each one's table again, so that memory grows with T and not with T^2 there too. A compiler,
    for whom T has no number, takes all of them as one piece.
    """
    n_tokens = queries[0].shape[1]
    size = n_tokens if torch.compiler.is_compiling() else max(1, TABLE // max(1, row))
    if size >= n_tokens:
        return answer(*queries, *shared)
    again = torch.is_grad_enabled() and not functional()  # torch.func has no hooks to make a table again
    pieces = []
    for piece in zip(*(z.split(size, 1) for z in queries), strict=True):
        here: list[Any] = [*piece, *shared]
        pieces.append(checkpoint(answer, *here, use_reentrant=False) if again else answer(*here))
    return tuple(torch.cat(parts, 1) for parts in zip(*pieces, strict=True))
