"""Local polynomial regression: softmax attention fits a constant to the values near a query, this a polynomial."""

from typing import Literal

import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable, as_given, choose, named
from kernels.local_polynomial import implicit, reference

__all__ = ["Quadratic", "local_polynomial_attention"]

Quadratic = Literal["diagonal", "full"]


def local_polynomial_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: Tensor,
    ridge: Tensor,
    start: Tensor,
    *,
    order: Literal[0, 1, 2] = 1,
    quadratic: Quadratic = "diagonal",
    backend: Backend | None = None,
) -> Tensor:
    """o (B, H, T, V), a polynomial's value at the query; `reference.local_polynomial_attention` says which polynomial.

    q (B, H, T, K), of the last T of the S slots of k (B, H, S, K) and v (B, H, S, V), whose slots below start (B,) hold
    nothing; scale, of the scores, and ridge (H,), both above 0. Order 0 is softmax attention. The weights of the values
    sum to 1 and may be negative from order 1 on. Work O(T S F^2) with F coefficients a value beside the constant: K at
    order 1, 2 K at order 2, or K + K (K + 1) / 2 where quadratic is "full". Sums in float32 or wider, o in v's dtype.
    ValueError where shapes disagree; there is no Triton kernel.
    """
    batch, heads, n_slots, width = k.shape
    expected = {
        "q": (q, (batch, heads, q.shape[2], width)),
        "v": (v, (batch, heads, n_slots, v.shape[-1])),
        "scale": (scale, (heads,)),
        "ridge": (ridge, (heads,)),
        "start": (start, (batch,)),
    }
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} is {tuple(tensor.shape)}, expected {shape}")
    if order not in (0, 1, 2):
        raise ValueError(f"order is {order}, expected 0, 1 or 2")
    if named(backend) == "triton":
        raise BackendUnavailable("triton was asked for, but local polynomial regression has no kernel")
    if q.shape[2] == 0:
        return v[:, :, :0]
    pairs = None
    if order == 2 and quadratic == "full":
        first, second = torch.triu_indices(width, width, device=k.device)
        pairs = (first, second)
    elif order == 2:
        pairs = (torch.arange(width, device=k.device),) * 2
    wide = torch.promote_types(v.dtype, torch.float32)
    run = reference if choose(v, backend) == "reference" else implicit
    with as_given(v):
        o: Tensor = run.local_polynomial_attention(*(z.to(wide) for z in (q, k, v, scale, ridge)), start, order, pairs)
    return o.to(v.dtype)
