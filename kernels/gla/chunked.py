"""Gated linear attention as matmuls: a recurrence between chunks, attention within them.

With b the running sum of log f inside a chunk, P_ij = sum_c q_ic k_jc exp(b_ic - b_jc) for j <= i. exp(-b) alone would
overflow, so q and k never meet over a pivot that lies outside their pair: a chunk is halved again and again, and the
queries of a second half meet the keys of its first half over p, b at the second half's first row. Both exponents,
b_i - p and p - b_j, are then at most 0, as the sheet's secondary chunking has it (Yang et al. 2024, section 4.3).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 64
SMALLEST = 4
"""Blocks of this side on the diagonal are computed element by element."""


def gated_linear_attention(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """Shapes as in reference.py; log_f may be (B, H, T, 1), one gate for all key channels."""
    dtype, n_tokens = v.dtype, v.shape[2]
    q, k, v = (z.to(S.dtype) for z in (q, k, v))
    if n_tokens == 1:
        S = log_f[:, :, 0, :, None].exp() * S + k[:, :, 0, :, None] * v[:, :, 0, None, :]
        return (q @ S).to(dtype), S
    size = min(CHUNK, max(SMALLEST, 1 << (n_tokens - 1).bit_length()))
    if n_tokens % size:
        # A step that forgets nothing and writes nothing.
        missing = size - n_tokens % size
        q, k, v, log_f = (F.pad(z, (0, 0, 0, missing)) for z in (q, k, v, log_f))
    q, k, v, log_f = (z.unflatten(2, (-1, size)) for z in (q, k, v, log_f))  # (B, H, n, C, ...)
    b = log_f.cumsum(3)
    whole = b[:, :, :, -1:]  # (B, H, n, 1, K)
    written = (k * (whole - b).exp()).mT @ v  # (B, H, n, K, V)
    kept = whole.mT.exp()  # (B, H, n, K, 1)
    starts = []
    for kept_n, written_n in zip(kept.unbind(2), written.unbind(2), strict=True):
        starts.append(S)
        S = torch.addcmul(written_n, kept_n, S)
    o = (q * b.exp()) @ torch.stack(starts, 2)
    o = o + (_within_scalar(q, k, v, b) if b.shape[-1] == 1 else _within(q, k, v, b))
    return o.flatten(2, 3)[:, :, :n_tokens].to(dtype), S


def _within_scalar(q: Tensor, k: Tensor, v: Tensor, b: Tensor) -> Tensor:
    """P V inside every chunk when all channels share a gate: then exp(b_i - b_j) is a C x C table of its own."""
    size = q.shape[-2]
    future = torch.ones(size, size, dtype=torch.bool, device=q.device).triu(1)
    decay = (b - b.mT).masked_fill(future, -torch.inf).exp()
    return (q @ k.mT * decay) @ v


def _within(q: Tensor, k: Tensor, v: Tensor, b: Tensor) -> Tensor:
    """P V inside every chunk, all of them (..., C, K or V)."""
    size = q.shape[-2]
    if size == SMALLEST:
        return _diagonal(q, k, v, b)
    half = size // 2
    q, k, v, b = (z.unflatten(-2, (2, half)) for z in (q, k, v, b))  # (..., 2, C/2, K or V)
    q2, b2 = q[..., 1, :, :], b[..., 1, :, :]
    k1, v1, b1 = k[..., 0, :, :], v[..., 0, :, :], b[..., 0, :, :]
    pivot = b2[..., :1, :]
    across = (q2 * (b2 - pivot).exp()) @ (k1 * (pivot - b1).exp()).mT @ v1
    o = _within(q, k, v, b)  # both halves at once
    first, second = o.unbind(-3)
    return torch.cat([first, second + across], -2)


def _diagonal(q: Tensor, k: Tensor, v: Tensor, b: Tensor) -> Tensor:
    """P V inside blocks too small to be worth a matmul."""
    size = q.shape[-2]
    future = torch.ones(size, size, dtype=torch.bool, device=q.device).triu(1)[..., None]
    decay = (b[..., :, None, :] - b[..., None, :, :]).masked_fill(future, -torch.inf).exp()  # (..., c, c, K)
    return (q[..., :, None, :] * k[..., None, :, :] * decay).sum(-1) @ v
