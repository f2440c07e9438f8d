"""Taylor attention in PyTorch, quick: the polynomial of the scores inside a chunk, the features between chunks."""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from kernels.taylor.features import features, polynomial


def taylor_attention(q: Tensor, k: Tensor, v: Tensor, S: Tensor, order: int, lowest: int) -> tuple[Tensor, Tensor]:
    """As `reference.taylor_attention`. With more than one chunk the features are made again in the backward."""
    size = chunk_size(S.shape[2])
    wide = [z.to(S.dtype) for z in (q, k, v)]
    many = q.shape[2] > size and torch.is_grad_enabled()
    outputs = []
    for q_c, k_c, v_c in zip(*(z.split(size, 2) for z in wide), strict=True):
        if many:
            o, S = checkpoint(_chunk, q_c, k_c, v_c, S, order, lowest, use_reentrant=False)
        else:
            o, S = _chunk(q_c, k_c, v_c, S, order, lowest)
        outputs.append(o)
    return torch.cat(outputs, 2).to(v.dtype), S


def chunk_size(n_features: int) -> int:
    """A token costs C (K + V) inside its chunk and 2 F V outside it, so many features want a long chunk."""
    return 64 if n_features <= 256 else 256


def _chunk(q: Tensor, k: Tensor, v: Tensor, S: Tensor, order: int, lowest: int) -> tuple[Tensor, Tensor]:
    weights = polynomial(q @ k.transpose(-1, -2), order, lowest).tril()
    o = weights @ v + features(q, order, lowest) @ S
    return o, S + features(k, order, lowest).transpose(-1, -2) @ v
