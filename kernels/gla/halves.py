"""Gated linear attention as matmuls that autograd can follow, as often as asked: `chunked` takes it for second
derivatives.

Within a chunk P_ij = sum_c q_ic k_jc exp(sum of log f over the steps after j, up to i, channel c). A chunk is halved
again and again, and the queries of a second half meet the keys of its first half over the border between them: the
sum up to the border belongs to the key, the rest to the query, and neither is ever positive. (Yang et al. 2024, section
4.3, have two such levels; the official code takes differences of one running sum, whose rounding grows with it.)
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 64


def gated_linear_attention(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """Shapes as in reference.py; log_f may be (B, H, T, 1), one gate for all key channels."""
    dtype, n_tokens = v.dtype, v.shape[2]
    q, k, v = (z.to(S.dtype) for z in (q, k, v))
    size = min(CHUNK, 1 << (n_tokens - 1).bit_length())
    if n_tokens % size:
        # A step that forgets nothing and writes nothing.
        missing = size - n_tokens % size
        q, k, v, log_f = (F.pad(z, (0, 0, 0, missing)) for z in (q, k, v, log_f))
    q, k, v, log_f = (z.unflatten(2, (-1, size)) for z in (q, k, v, log_f))  # (B, H, n, C, ...)
    o, up_to, after = (_within_one_gate if log_f.shape[-1] == 1 else _within)(q, k, v, log_f)
    written = (k * after.exp()).mT @ v  # (B, H, n, K, V)
    kept = up_to[..., -1:, :].mT.exp()  # (B, H, n, K, 1)
    starts = []
    for kept_n, written_n in zip(kept.unbind(2), written.unbind(2), strict=True):
        starts.append(S)
        S = torch.addcmul(written_n, kept_n, S)
    o = o + (q * up_to.exp()) @ torch.stack(starts, 2)
    return o.flatten(2, 3)[:, :, :n_tokens].to(dtype), S


class _Part(NamedTuple):
    o: Tensor  # P V inside the part
    up_to: Tensor  # log f summed from the part's first step to this one
    after: Tensor  # log f summed from the next step to the part's last


def _within(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor) -> _Part:
    """All of them (..., C, K or V), C a power of two."""
    size = q.shape[-2]
    if size == 1:
        return _Part((q * k).sum(-1, keepdim=True) * v, log_f, torch.zeros_like(log_f))
    q, k, v, log_f = (z.unflatten(-2, (2, size // 2)) for z in (q, k, v, log_f))  # (..., 2, C/2, K or V)
    o, up_to, after = _within(q, k, v, log_f)  # both halves at once
    first, second = (_Part(*(z[..., i, :, :] for z in (o, up_to, after))) for i in (0, 1))
    q2, k1 = q[..., 1, :, :] * second.up_to.exp(), k[..., 0, :, :] * first.after.exp()
    scores = (q2 * k1).sum(-1, keepdim=True) if size == 2 else q2 @ k1.mT
    across = scores @ v[..., 0, :, :]
    return _Part(
        torch.cat([first.o, second.o + across], -2),
        torch.cat([first.up_to, second.up_to + first.up_to[..., -1:, :]], -2),
        torch.cat([first.after + second.up_to[..., -1:, :], second.after], -2),
    )


def _within_one_gate(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor) -> _Part:
    """The same when all channels share a gate: then what is left of step j at step i is a C x C table of its own."""
    size = q.shape[-2]
    later = torch.ones(size, size, dtype=torch.bool, device=q.device).tril(-1)  # i > j
    between = torch.where(later, log_f, 0.0).cumsum(-2)  # (..., C, C): log f summed from j + 1 to i
    left = between.masked_fill(later.mT, -torch.inf).exp()
    return _Part((q @ k.mT * left) @ v, log_f.cumsum(-2), between[..., -1, :, None])
