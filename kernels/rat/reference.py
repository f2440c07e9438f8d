"""RAT's two halves, written out: the moving average inside a chunk, and attention over what chunks ended in."""

import torch
from torch import Tensor


def chunk_scan(
    k: Tensor, v: Tensor, g: Tensor, size: int, phase: Tensor, k_before: Tensor, v_before: Tensor
) -> tuple[Tensor, Tensor]:
    """v~_t = g_t v~_{t-1} + (1 - g_t) v_t, and k~ likewise with the same g, from zero at every chunk's first token.

    v, g (B, T, H, P); k (B, T, G, P), head h reading group h mod G (Wei et al. 2025, section 3). size is L, the chunk's
    length; phase (B,) long says where in its chunk each row's first token stands, and k_before, v_before (B, H, P)
    hold what the chunk has gathered before it. Returns k~, v~ (B, T, H, P) in the dtype of k_before.
    """
    k = k.repeat(1, 1, v.shape[2] // k.shape[2], 1)
    ks, vs = [], []
    for t in range(v.shape[1]):
        opens = ((phase + t) % size == 0)[:, None, None]
        g_t = g[:, t].to(v_before.dtype)
        k_before = torch.where(opens, 0.0, g_t * k_before) + (1 - g_t) * k[:, t]
        v_before = torch.where(opens, 0.0, g_t * v_before) + (1 - g_t) * v[:, t]
        ks.append(k_before)
        vs.append(v_before)
    return torch.stack(ks, 1), torch.stack(vs, 1)


def chunk_attention(
    q: Tensor, k_own: Tensor, v_own: Tensor, k_ends: Tensor, v_ends: Tensor, first: Tensor, end: Tensor
) -> Tensor:
    """y = softmax([q . k_ends, q . k_own] / sqrt(P)) [v_ends; v_own]: closed chunks, and the token's own chunk so far.

    q, k_own, v_own (B, T, H, P); k_ends, v_ends (B, S, H, P). A token sees the slots first[b] <= s < end[b, t] and
    the one vector of its own chunk. Returns y (B, T, H, P) in v_own's dtype.
    """
    scale = q.shape[-1] ** -0.5
    slots = torch.arange(k_ends.shape[1], device=q.device)
    seen = (slots >= first[:, None, None]) & (slots < end[:, :, None])  # (B, T, S)
    scores = torch.einsum("bthp,bshp->bhts", q, k_ends).masked_fill(~seen[:, None], -torch.inf)
    own = (q * k_own).sum(-1).transpose(1, 2)[..., None]  # (B, H, T, 1)
    p = (torch.cat([scores, own], -1) * scale).softmax(-1)
    y: Tensor = torch.einsum("bhts,bshp->bthp", p[..., :-1], v_ends) + p[..., -1].transpose(1, 2)[..., None] * v_own
    return y
