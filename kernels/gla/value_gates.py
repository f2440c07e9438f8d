"""Linear attention whose forget gate falls on the values' side: the other half of gated slot attention."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.gla.halves import CHUNK
from kernels.whole import Whole


def reference(q: Tensor, k: Tensor, v: Tensor, log_g: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """S_t = S_{t-1} diag(g_t) + k_t v_t^T,  o_t = S_t^T q_t.

    q, k (B, H, T, K); v, log_g (B, H, T, V); S (B, H, K, V). Returns o (B, H, T, V) and the last S.
    """
    outputs = []
    for q_t, k_t, v_t, g_t in zip(*(z.unbind(2) for z in (q, k, v, log_g.exp())), strict=True):
        S = S * g_t[..., None, :] + k_t[..., None] * v_t[..., None, :]
        outputs.append((q_t[..., None] * S).sum(-2))
    return torch.stack(outputs, 2).to(v.dtype), S


def chunked(q: Tensor, k: Tensor, v: Tensor, log_g: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """The same by chunks."""
    y: tuple[Tensor, Tensor] = (_whole if torch.compiler.is_compiling() else _chunked)(q, k, v, log_g, S)
    return y


def _chunked(q: Tensor, k: Tensor, v: Tensor, log_g: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """By halves of chunks, as `kernels.gla.halves` does it; the decays here go with v and o."""
    dtype, n_tokens = v.dtype, v.shape[2]
    q, k, v = (z.to(S.dtype) for z in (q, k, v))
    size = min(CHUNK, 1 << (n_tokens - 1).bit_length())
    missing = -n_tokens % size
    q, k, v, log_g = (F.pad(z, (0, 0, 0, missing)).unflatten(2, (-1, size)) for z in (q, k, v, log_g))
    o, up_to, after = _within(q, k, v, log_g)
    written = k.mT @ (v * after.exp())  # (B, H, n, K, V)
    kept = up_to[..., -1:, :].exp()  # (B, H, n, 1, V)
    starts = []
    for kept_n, written_n in zip(kept.unbind(2), written.unbind(2), strict=True):
        starts.append(S)
        S = torch.addcmul(written_n, kept_n, S)
    o = o + (q @ torch.stack(starts, 2)) * up_to.exp()
    return o.flatten(2, 3)[:, :, :n_tokens].to(dtype), S


_whole = Whole(
    "value_gated_attention",
    run=_chunked,
    like=lambda q, k, v, log_g, S: (v.new_empty(v.shape), S.new_empty(S.shape)),
)


def _within(q: Tensor, k: Tensor, v: Tensor, log_g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """o inside each part, and log g summed up to each step and after it; all (..., C, K or V)."""
    if q.shape[-2] == 1:
        return (q * k).sum(-1, keepdim=True) * v, log_g, torch.zeros_like(log_g)
    q, k, v, log_g = (z.unflatten(-2, (2, -1)) for z in (q, k, v, log_g))
    o, up_to, after = (z.unbind(-3) for z in _within(q, k, v, log_g))
    scores = q[..., 1, :, :] @ k[..., 0, :, :].mT
    across = scores @ (v[..., 0, :, :] * after[0].exp()) * up_to[1].exp()
    return (
        torch.cat([o[0], o[1] + across], -2),
        torch.cat([up_to[0], up_to[1] + up_to[0][..., -1:, :]], -2),
        torch.cat([after[0] + up_to[1][..., -1:, :], after[1]], -2),
    )
