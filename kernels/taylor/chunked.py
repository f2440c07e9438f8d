"""Taylor attention in PyTorch, quick: the polynomial of the scores inside a chunk, the features between chunks."""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from kernels.taylor.features import features, n_features, polynomial
from kernels.whole import Whole


def taylor_attention(
    q: Tensor, k: Tensor, v: Tensor, S: Tensor | None, order: int, lowest: int
) -> tuple[Tensor, Tensor]:
    """As `reference.taylor_attention`; no S is one of zeros: then nothing is asked of it."""
    if torch.compiler.is_compiling():
        whole: tuple[Tensor, Tensor] = _whole(q, k, v, S, order=order, lowest=lowest)
        return whole
    return _run(q, k, v, S, order, lowest)


def _run(q: Tensor, k: Tensor, v: Tensor, S: Tensor | None, order: int, lowest: int) -> tuple[Tensor, Tensor]:
    """With more than one chunk the features are made again in the backward."""
    size = chunk_size(n_features(q.shape[-1], order, lowest))
    wide = torch.promote_types(v.dtype, torch.float32) if S is None else S.dtype
    many = q.shape[2] > size and torch.is_grad_enabled()
    outputs = []
    for q_c, k_c, v_c in zip(*(z.to(wide).split(size, 2) for z in (q, k, v)), strict=True):
        if many:
            o, S = checkpoint(_chunk, q_c, k_c, v_c, S, order, lowest, use_reentrant=False)
        else:
            o, S = _chunk(q_c, k_c, v_c, S, order, lowest)
        outputs.append(o)
    assert S is not None
    return torch.cat(outputs, 2).to(v.dtype), S


def _empty(q: Tensor, k: Tensor, v: Tensor, S: Tensor | None, order: int, lowest: int) -> tuple[Tensor, Tensor]:
    wide = torch.promote_types(v.dtype, torch.float32) if S is None else S.dtype
    shape = (*v.shape[:2], n_features(q.shape[-1], order, lowest), v.shape[-1])
    return v.new_empty(v.shape), v.new_empty(shape, dtype=wide)


_whole = Whole("taylor_attention", run=_run, like=_empty)


def chunk_size(n_features: int) -> int:
    """A token costs C (K + V) inside its chunk and 2 F V outside it, so many features want a long chunk."""
    return 64 if n_features <= 256 else 256


def _chunk(q: Tensor, k: Tensor, v: Tensor, S: Tensor | None, order: int, lowest: int) -> tuple[Tensor, Tensor]:
    o = polynomial(q @ k.transpose(-1, -2), order, lowest).tril() @ v
    written = features(k, order, lowest).transpose(-1, -2) @ v
    return (o, written) if S is None else (o + features(q, order, lowest) @ S, S + written)
