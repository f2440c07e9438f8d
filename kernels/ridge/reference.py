"""What least squares at every token means, token by token."""

import torch
from torch import Tensor


def ridge_regression(
    q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, weight: Tensor, ridge: Tensor, S: Tensor, N: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """S_t = f_t S_{t-1} + w_t k_t k_t^T,  N_t = f_t N_{t-1} + w_t k_t v_t^T,  o_t = N_t^T (S_t + diag(ridge))^{-1} q_t:

    the M that makes sum_i w_i (prod_{i<j<=t} f_j) |v_i - M k_i|^2 + sum_c ridge_c |M_c|^2 least, at q_t  (test-time
    regression, Wang et al. 2025, the row of the Mesa layer; von Oswald et al. 2023).
    """
    outputs = []
    for t in range(q.shape[2]):
        f, w = (z[:, :, t, None, None] for z in (log_f.exp(), weight))
        k_t, v_t = k[:, :, t, :, None], v[:, :, t, None, :]
        S = f * S + w * k_t * k_t.mT
        N = f * N + w * k_t * v_t
        x = torch.linalg.solve(S + torch.diag_embed(ridge), q[:, :, t])
        outputs.append((x[..., None] * N).sum(-2))
    return torch.stack(outputs, 2), S, N


def kernel_ridge(q: Tensor, k: Tensor, v: Tensor, scale: Tensor, ridge: Tensor, start: Tensor) -> Tensor:
    """alpha = (kappa(k, k) + ridge I)^{-1} v over the slots that token t sees, o_t = kappa(q_t, k) alpha."""
    n_tokens, n_slots = q.shape[2], k.shape[2]
    scale, ridge = scale[:, None, None], ridge[:, None, None]
    outputs = []
    for t in range(n_tokens):
        seen = n_slots - n_tokens + t + 1
        full = (torch.arange(seen, device=k.device) >= start[:, None])[:, None, :, None].to(k.dtype)
        keys, values = k[:, :, :seen], v[:, :, :seen] * full
        kappa = (scale * (keys @ keys.mT - 1)).exp() * full * full.mT
        alpha = torch.linalg.solve(kappa + ridge * torch.eye(seen, dtype=k.dtype, device=k.device), values)
        across = (scale * (q[:, :, t : t + 1] @ keys.mT - 1)).exp() * full.mT
        outputs.append(across @ alpha)
    return torch.cat(outputs, 2)
