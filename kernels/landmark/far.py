"""Queries and keys of their own for blocks that are far away."""

from typing import NamedTuple

from torch import Tensor


class Far(NamedTuple):
    """What stands for q and k where a block is more than `reach` blocks before the query's own."""

    q: Tensor
    k: Tensor
    reach: int
