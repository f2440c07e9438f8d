"""What local polynomial regression means, query by query."""

import torch
from torch import Tensor

Pairs = tuple[Tensor, Tensor]
"""Which products of two coordinates a polynomial of order 2 has, by their numbers."""


def local_polynomial_attention(
    q: Tensor, k: Tensor, v: Tensor, scale: Tensor, ridge: Tensor, start: Tensor, order: int, pairs: Pairs | None
) -> Tensor:
    """o_t = c of the least  sum_i p_i |v_i - c - A phi(k_i - q_t)|^2 + ridge |A|^2,   p = softmax(scale q_t . k),

    phi(z) = z at order 1, and the products z_i z_j of the pairs beside it at order 2 (test-time regression, Wang et al.
    2025; its equations of higher order were not to be had, these are the textbook's, Fan and Gijbels 1996). The ridge
    is relative to the weights' sum, which is 1, and spares the constant.
    """
    n_tokens, n_slots = q.shape[2], k.shape[2]
    outputs = []
    for t in range(n_tokens):
        slot = torch.arange(n_slots, device=k.device)
        seen = (slot <= n_slots - n_tokens + t) & (slot >= start[:, None, None])  # (B, 1, S)
        scores = scale[:, None] * (k @ q[:, :, t, :, None])[..., 0]
        p = scores.masked_fill(~seen, -torch.inf).softmax(-1)[..., None]  # (B, H, S, 1)
        z = k - q[:, :, t, None]
        columns = [torch.ones_like(p)]
        if order > 0:
            columns.append(z)
        if pairs is not None:
            columns.append(z[..., pairs[0]] * z[..., pairs[1]])
        X = torch.cat(columns, -1)  # (B, H, S, 1 + F)
        penalty = torch.diag_embed(ridge[:, None] * (torch.arange(X.shape[-1], device=k.device) > 0))
        outputs.append(torch.linalg.solve((p * X).mT @ X + penalty, (p * X).mT @ v)[:, :, 0])
    return torch.stack(outputs, 2)
