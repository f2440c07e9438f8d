"""Linear attention with a forget gate: a matrix that decays by rows and takes in k v^T."""

import torch
from torch import Tensor

from kernels.backend import Backend, choose
from kernels.gla import chunked, reference

__all__ = ["gated_linear_attention"]


def gated_linear_attention(
    q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor | None = None, *, backend: Backend | None = None
) -> tuple[Tensor, Tensor]:
    """S_t = diag(f_t) S_{t-1} + k_t v_t^T,  o_t = S_t^T q_t   (Yang et al. 2024, section 4.1).

    q, k (B, H, T, K); v (B, H, T, V); log_f (B, H, T, K), at most 0, or (B, H, T, 1) for one gate a head;
    S (B, H, K, V), zero by default. Returns o (B, H, T, V) in v's dtype and the last S, float32 or wider; gates and
    sums are held in that too. No scale is applied: scale q. Differentiable in all five. Raises ValueError where
    shapes disagree. A step with log_f = 0 and k = 0 leaves S alone.
    """
    batch, heads, n_tokens, width = k.shape
    expected = {
        "q": (q, (batch, heads, n_tokens, width)),
        "v": (v, (batch, heads, n_tokens, v.shape[-1])),
        "log_f": (log_f, (batch, heads, n_tokens, log_f.shape[-1])),
    }
    if S is not None:
        expected["S"] = (S, (batch, heads, width, v.shape[-1]))
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} is {tuple(tensor.shape)}, expected {shape}")
    if log_f.shape[-1] not in (1, width):
        raise ValueError(f"log_f has {log_f.shape[-1]} channels, expected 1 or {width}")
    wide = torch.promote_types(v.dtype, torch.float32)
    S = v.new_zeros(batch, heads, width, v.shape[-1], dtype=wide) if S is None else S.to(wide)
    if n_tokens == 0:
        return v, S
    log_f = log_f.to(wide)
    chosen = choose(v, backend)
    if chosen == "triton":
        from kernels.gla import triton_kernel

        return triton_kernel.gated_linear_attention(q, k, v, log_f, S)
    return (reference if chosen == "reference" else chunked).gated_linear_attention(q, k, v, log_f, S)
