"""Gated linear attention, one token after another."""

import torch
from torch import Tensor


def gated_linear_attention(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """S_t = diag(f_t) S_{t-1} + k_t v_t^T,  o_t = S_t^T q_t   (Yang et al. 2024, section 4.1).

    q, k, log_f (B, H, T, K); v (B, H, T, V); S (B, H, K, V). Returns o (B, H, T, V) and the last S.
    """
    outputs = []
    for q_t, k_t, v_t, f_t in zip(*(z.unbind(2) for z in (q, k, v, log_f.exp())), strict=True):
        S = f_t[..., None] * S + k_t[..., None] * v_t[..., None, :]  # (B, H, K, V)
        outputs.append((q_t[..., None] * S).sum(-2))
    return torch.stack(outputs, 2).to(v.dtype), S
