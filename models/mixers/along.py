"""Entries taken along one dimension, for any length under a compiler."""

import torch
from torch import Tensor


def take_along(z: Tensor, index: Tensor, dim: int) -> Tensor:
    """`z.take_along_dim(index, dim)`, shapes broadcasting but for `dim`.

    torch's own makes a graph for the one length that it was traced with, so there it is a gather.
    """
    if not torch.compiler.is_compiling():
        return z.take_along_dim(index, dim)
    dim %= z.dim()
    common = list(torch.broadcast_shapes(_but(z, dim), _but(index, dim)))
    of_z, of_index = list(common), list(common)
    of_z[dim], of_index[dim] = z.shape[dim], index.shape[dim]
    return z.expand(of_z).gather(dim, index.expand(of_index))


def _but(z: Tensor, dim: int) -> list[int]:
    return [1 if i == dim else n for i, n in enumerate(z.shape)]
