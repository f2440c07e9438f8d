"""Attention whose weights are a truncated exponential of the score, so that it is also a recurrence."""

import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable, as_given, choose
from kernels.backend import named as asked_for
from kernels.taylor import chunked, reference
from kernels.taylor.features import features, n_features, polynomial

__all__ = ["features", "n_features", "polynomial", "taylor_attention"]

WIDEST = 256
"""Of the Triton kernel: wider keys or values do not fit beside its tiles."""


def taylor_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    S: Tensor | None = None,
    *,
    order: int,
    lowest: int = 0,
    backend: Backend | None = None,
) -> tuple[Tensor, Tensor]:
    """N (B, H, T, V), not normalised, and the last S (B, H, F, V); `reference.taylor_attention` says what they are.

    q, k (B, H, T, K), v (B, H, T, V); no S is one of zeros, and spares the first chunk's features. To have the
    weights' sum too, give v a column of ones. Raises ValueError where shapes or orders disagree.
    """
    if not 0 <= lowest <= order or order < 1:
        raise ValueError(f"orders {lowest} to {order}, expected 0 <= lowest <= order and order at least 1")
    expected = (*q.shape[:2], n_features(q.shape[-1], order, lowest), v.shape[-1])
    if k.shape != q.shape or v.shape[:3] != q.shape[:3]:
        raise ValueError(f"q {tuple(q.shape)}, k {tuple(k.shape)} and v {tuple(v.shape)} do not fit together")
    if S is not None and tuple(S.shape) != expected:
        raise ValueError(f"S is {tuple(S.shape)}, expected {expected}")
    chosen = choose(q, backend)
    if S is None and (chosen != "torch" or v.shape[2] == 0):
        S = v.new_zeros(expected, dtype=torch.promote_types(v.dtype, torch.float32))
    if v.shape[2] == 0:
        assert S is not None
        return v, S
    if chosen == "triton":
        if max(q.shape[-1], v.shape[-1]) <= WIDEST:
            from kernels.taylor import triton_kernel

            assert S is not None
            return triton_kernel.taylor_attention(q, k, v, S, order, lowest)
        if asked_for(backend) == "triton":
            raise BackendUnavailable(
                f"triton was asked for, but its Taylor attention has keys and values of at most {WIDEST}, and they "
                f"are {q.shape[-1]} and {v.shape[-1]} wide"
            )
    with as_given(q):
        if chosen == "reference":
            assert S is not None
            return reference.taylor_attention(q, k, v, S, order, lowest)
        return chunked.taylor_attention(q, k, v, S, order, lowest)
