"""Softmax over a token's last few keys, with sinks, scores that take weight and give nothing, and a prefix."""

import torch
import torch.nn.functional as F
from torch import Tensor


def window_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    start: Tensor,
    sinks: Tensor | None = None,
    prefix: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """y_t = sum_j exp(s_tj) v_j / (sum_i exp(t_i) + sum_j exp(s_tj)), s = q . k / sqrt(P), over the last w keys.

    q (B, H, T, P); k, v (B, H, w-1+T, P), whose slots below start (B,) hold nothing; sinks t (m,); prefix, keys and
    values (1, H, m, P) that every query sees beside its last ones. Work and memory grow with T w: queries go in blocks
    of w, which between them see 2w - 1 slots. Returns (B, H, T, P) in v's dtype.
    """
    n_tokens, width = q.shape[2], q.shape[3]
    if n_tokens == 0:
        return v[:, :, :0]
    window = k.shape[2] - n_tokens + 1
    size = window if torch.compiler.is_compiling() else min(window, n_tokens)  # a graph is for any length
    missing = (n_tokens + size - 1) // size * size - n_tokens  # -n % size has bounds that an exporter gets wrong
    q, k, v = (F.pad(z, (0, 0, 0, missing)) for z in (q, k, v))
    q = q.unflatten(2, (-1, size))  # (B, H, n, C, P)
    wide = torch.promote_types(q.dtype, torch.float32)
    k, v = (z.unfold(2, size + window - 1, size) for z in (k, v))  # (B, H, n, P, C+w-1)
    scores = (q @ k).to(wide) * width**-0.5
    query, slot = torch.arange(size, device=q.device)[:, None], torch.arange(size + window - 1, device=q.device)
    seen = (slot >= query) & (slot < query + window)  # (C, C+w-1)
    first = torch.arange(q.shape[2], device=q.device) * size  # of each block's slots, among all
    filled = slot + first[:, None] >= start[:, None, None]  # (B, n, C+w-1)
    scores = scores.masked_fill(~(seen & filled[:, None, :, None, :]), -torch.inf)
    beside = []  # scores of what stands in no window
    if sinks is not None:
        beside.append(sinks.to(wide).expand(*scores.shape[:-1], -1))
    if prefix is not None:
        beside.append((q @ prefix[0][:, :, None].mT).to(wide) * width**-0.5)
    p = torch.cat([scores, *beside], -1).softmax(-1).to(v.dtype)
    y = p[..., : scores.shape[-1]] @ v.mT
    if prefix is not None:
        y = y + p[..., -prefix[0].shape[2] :] @ prefix[1][:, :, None]
    answer: Tensor = y.flatten(2, 3)[:, :, :n_tokens]
    return answer
