"""Linear attention with a forget gate: a matrix that decays by rows and takes in k v^T."""

import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable, as_given, choose, named
from kernels.gla import chunked, reference, value_gates

__all__ = ["gated_linear_attention", "value_gated_attention"]


def gated_linear_attention(
    q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor | None = None, *, backend: Backend | None = None
) -> tuple[Tensor, Tensor]:
    """S_t = diag(f_t) S_{t-1} + k_t v_t^T,  o_t = S_t^T q_t   (Yang et al. 2024, section 4.1).

    q (B, H, T, K); k (B, G, T, K); v (B, G, T, V); log_f (B, G, T, K), at most 0, or (B, G, T, 1) for one gate a
    head; S (B, G, K, V), zero by default. H is a multiple of G: query heads that follow each other share a group's
    keys, values, gates and state. Returns o (B, H, T, V) in v's dtype and the last S, float32 or wider; gates and sums
    are held in that too. No scale is applied: scale q. Differentiable in all five. Raises ValueError where shapes
    disagree. A step with log_f = 0 and k = 0 leaves S alone.
    """
    width = k.shape[-1]
    if q.dim() != 4 or q.shape[1] % k.shape[1]:
        raise ValueError(f"q is {tuple(q.shape)}, expected (B, H, T, K) with H a multiple of k's {k.shape[1]} heads")
    _check(q, k, v, S, heads=q.shape[1], log_f=(log_f, log_f.shape[-1]))
    if log_f.shape[-1] not in (1, width):
        raise ValueError(f"log_f has {log_f.shape[-1]} channels, expected 1 or {width}")
    S, log_f = _widen(k, v, S, log_f)
    if v.shape[2] == 0:
        return v[:, :1].expand(-1, q.shape[1], -1, -1), S
    chosen = choose(v, backend)
    if chosen == "triton":
        from kernels.gla import triton_kernel

        return triton_kernel.gated_linear_attention(q, k, v, log_f, S)
    shared = q.shape[1] // k.shape[1]
    if shared > 1:  # the other forms know of no groups
        k, v, log_f, S = (z.repeat_interleave(shared, 1) for z in (k, v, log_f, S))
    with as_given(v):
        o, S = (reference if chosen == "reference" else chunked).gated_linear_attention(q, k, v, log_f, S)
    return o, S[:, ::shared] if shared > 1 else S


def value_gated_attention(
    q: Tensor, k: Tensor, v: Tensor, log_g: Tensor, S: Tensor | None = None, *, backend: Backend | None = None
) -> tuple[Tensor, Tensor]:
    """S_t = S_{t-1} diag(g_t) + k_t v_t^T,  o_t = S_t^T q_t: the gate on the values' side.

    As `gated_linear_attention`, but log_g (B, H, T, V).
    """
    _check(q, k, v, S, heads=k.shape[1], log_g=(log_g, v.shape[-1]))
    S, log_g = _widen(k, v, S, log_g)
    if v.shape[2] == 0:
        return v, S
    chosen = choose(v, backend)
    if chosen == "triton":
        from kernels.gla import triton_values

        if k.shape[-1] <= triton_values.WIDEST:
            return triton_values.value_gated_attention(q, k, v, log_g, S)
        if named(backend) == "triton":
            raise BackendUnavailable(
                f"triton was asked for, but its value_gated_attention has keys of at most {triton_values.WIDEST}, and "
                f"they are {k.shape[-1]} wide"
            )
    run = value_gates.reference if chosen == "reference" else value_gates.chunked
    with as_given(v):
        return run(q, k, v, log_g, S)


def _check(q: Tensor, k: Tensor, v: Tensor, S: Tensor | None, heads: int, **gate: tuple[Tensor, int]) -> None:
    batch, groups, n_tokens, width = k.shape
    expected = {"q": (q, (batch, heads, n_tokens, width)), "v": (v, (batch, groups, n_tokens, v.shape[-1]))}
    expected |= {name: (log_f, (batch, groups, n_tokens, channels)) for name, (log_f, channels) in gate.items()}
    if S is not None:
        expected["S"] = (S, (batch, groups, width, v.shape[-1]))
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} is {tuple(tensor.shape)}, expected {shape}")


def _widen(k: Tensor, v: Tensor, S: Tensor | None, log_f: Tensor) -> tuple[Tensor, Tensor]:
    """The state, zero where there is none, and the gate in float32 or wider."""
    wide = torch.promote_types(v.dtype, torch.float32)
    if S is None:
        S = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1], dtype=wide)
    return S.to(wide), log_f.to(wide)
