"""What attention with a truncated exponential means as a recurrence, written to be read."""

import torch
from torch import Tensor

from kernels.taylor.features import features


def taylor_attention(q: Tensor, k: Tensor, v: Tensor, S: Tensor, order: int, lowest: int) -> tuple[Tensor, Tensor]:
    """N (B, H, T, V), N_t = sum_{i<=t} T(q_t . k_i) v_i, and the last S, with T(z) = sum_{n=lowest}^{order} z^n / n!.

    q, k (B, H, T, K), scaled already; v (B, H, T, V); S (B, H, F, V) float32 or wider. A sum of recurrences, one an
    order, that share one state (Mongaras and Larson 2025): S_t = S_{t-1} + phi(k_t) v_t^T,  N_t = phi(q_t)^T S_t.
    """
    outputs = []
    for q_t, k_t, v_t in zip(*(z.to(S.dtype).unbind(2) for z in (q, k, v)), strict=True):
        S = S + features(k_t, order, lowest)[..., None] * v_t[..., None, :]  # (B, H, F, V)
        outputs.append((features(q_t, order, lowest)[..., None] * S).sum(-2))
    return (torch.stack(outputs, 2).to(v.dtype) if outputs else v), S
