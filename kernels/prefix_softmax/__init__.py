"""Softmax attention of one fixed query over every prefix, as a scan of (max, sum, weighted sum)."""

import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable, as_given, choose
from kernels.backend import named as asked_for
from kernels.prefix_softmax import chunked, reference

__all__ = ["prefix_softmax"]


def prefix_softmax(
    scores: Tensor,
    v: Tensor,
    log_sum: Tensor | None = None,
    mean: Tensor | None = None,
    *,
    backend: Backend | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """o (B, H, T, V) and the state after it, log_sum (B, H) and mean (B, H, V); see `reference.prefix_softmax`.

    scores (B, H, T), v (B, H, T, V). The state is float64, so that a stream of any length does not drift
    (in float32 the mean of 100,000 ones, one by one, comes to 1.0019); None is nothing seen yet. Raises ValueError
    where shapes disagree.
    """
    batch, n_heads, n_tokens = scores.shape
    if v.shape[:3] != scores.shape:
        raise ValueError(f"v is {tuple(v.shape)}, expected {(batch, n_heads, n_tokens)} and a width")
    if (log_sum is None) != (mean is None):
        raise ValueError("log_sum and mean are one state: give both or neither")
    dtype = torch.promote_types(torch.promote_types(scores.dtype, v.dtype), torch.float32)
    if log_sum is None or mean is None:
        log_sum = scores.new_full((batch, n_heads), -torch.inf, dtype=torch.float64)
        mean = v.new_zeros(batch, n_heads, v.shape[-1], dtype=torch.float64)
    if log_sum.shape != (batch, n_heads) or mean.shape != (batch, n_heads, v.shape[-1]):
        raise ValueError(
            f"log_sum is {tuple(log_sum.shape)} and mean {tuple(mean.shape)}, expected {(batch, n_heads)} and "
            f"{(batch, n_heads, v.shape[-1])}"
        )
    scores, log_sum, mean = scores.to(dtype), log_sum.double(), mean.double()
    if n_tokens == 0:
        return v, log_sum, mean
    chosen = choose(v, backend)
    if chosen == "triton" and n_tokens == 1 and asked_for(backend) is None:
        chosen = "torch"  # a stream's step: the kernel holds its state in float32
    if chosen == "triton":
        if dtype == torch.float32:
            from kernels.prefix_softmax import triton_kernel

            o, log_sum, mean = triton_kernel.prefix_softmax(scores, v, log_sum.float(), mean.float())
            return o, log_sum.double(), mean.double()
        if asked_for(backend) == "triton":
            raise BackendUnavailable(f"triton was asked for, but its prefix softmax is in float32, and this in {dtype}")
    with as_given(v):
        y: tuple[Tensor, Tensor, Tensor] = (reference if chosen == "reference" else chunked).prefix_softmax(
            scores, v, log_sum, mean
        )
        return y
