"""Least squares solved anew at every token: by a matrix of the keys' width (Mesa), or over all keys (kernel ridge)."""

import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable, as_given, choose, named
from kernels.ridge import chunked, gram, reference

__all__ = ["kernel_ridge", "ridge_regression"]


def ridge_regression(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_f: Tensor,
    weight: Tensor,
    ridge: Tensor,
    state: tuple[Tensor, Tensor],
    *,
    backend: Backend | None = None,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """o_t = N_t^T (S_t + diag(ridge))^{-1} q_t and the last (S, N); `reference.ridge_regression` says what they are.

    q, k (B, H, T, K); v (B, H, T, V); log_f (B, H, T), at most 0, and weight (B, H, T), at least 0; ridge (H, K) above
    0; S (B, H, K, K) and N (B, H, K, V). Sums in float32 or wider, o in v's dtype. Differentiable in all of them. A
    step with log_f = 0 and weight = 0 leaves the state alone. ValueError where shapes disagree; there is no Triton
    kernel.
    """
    batch, heads, n_tokens, width = q.shape
    S, N = state
    expected = {
        "k": (k, q.shape),
        "v": (v, (batch, heads, n_tokens, v.shape[-1])),
        "log_f": (log_f, (batch, heads, n_tokens)),
        "weight": (weight, (batch, heads, n_tokens)),
        "ridge": (ridge, (heads, width)),
        "S": (S, (batch, heads, width, width)),
        "N": (N, (batch, heads, width, v.shape[-1])),
    }
    _check(expected)
    _no_triton(backend, "ridge regression")
    if n_tokens == 0:
        return v, state
    wide = torch.promote_types(v.dtype, torch.float32)
    run = (reference if choose(v, backend) == "reference" else chunked).ridge_regression
    given = [z.to(wide) for z in (q, k, v, log_f, weight, ridge)]
    with as_given(v):
        o, S, N = run(*given, S.to(wide), N.to(wide))
    return o.to(v.dtype), (S, N)


def kernel_ridge(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: Tensor,
    ridge: Tensor,
    start: Tensor,
    *,
    backend: Backend | None = None,
) -> Tensor:
    """o_t = kappa(q_t, k_{<=t}) (kappa(k_{<=t}, k_{<=t}) + ridge I)^{-1} v_{<=t}, kappa(a, b) = exp(scale (a . b - 1)).

    q (B, H, T, K), of the last T of the S slots of k (B, H, S, K) and v (B, H, S, V), whose slots below start (B,) hold
    nothing; scale and ridge (H,), both above 0. Keys of length 1 make kappa the Gaussian kernel exp(-scale |a - b|^2 /
    2). Work grows with S^3. ValueError where shapes disagree; there is no Triton kernel.
    """
    batch, heads, n_slots, width = k.shape
    expected = {
        "q": (q, (batch, heads, q.shape[2], width)),
        "v": (v, (batch, heads, n_slots, v.shape[-1])),
        "scale": (scale, (heads,)),
        "ridge": (ridge, (heads,)),
        "start": (start, (batch,)),
    }
    _check(expected)
    _no_triton(backend, "kernel ridge regression")
    if q.shape[2] == 0 or n_slots == 0:
        return v[:, :, :0]
    wide = torch.promote_types(v.dtype, torch.float32)
    run = (reference if choose(v, backend) == "reference" else gram).kernel_ridge
    with as_given(v):
        o: Tensor = run(*(z.to(wide) for z in (q, k, v, scale, ridge)), start)
    return o.to(v.dtype)


def _check(expected: dict[str, tuple[Tensor, tuple[int, ...]]]) -> None:
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != tuple(shape):
            raise ValueError(f"{name} is {tuple(tensor.shape)}, expected {tuple(shape)}")


def _no_triton(backend: Backend | None, what: str) -> None:
    if named(backend) == "triton":
        raise BackendUnavailable(f"triton was asked for, but {what} has no kernel")
