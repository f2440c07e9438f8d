"""h_t = a_t h_{t-1} + b_t, forwards or backwards in time: the recurrence under every gated moving average."""

import torch
from torch import Tensor

from kernels.backend import Backend, choose
from kernels.scan import chunked, reference

__all__ = ["linear_scan", "scan_and_state"]


def linear_scan(
    a: Tensor,
    b: Tensor,
    h: Tensor | None = None,
    *,
    reverse: bool = False,
    dtype: torch.dtype | None = None,
    backend: Backend | None = None,
) -> Tensor:
    """Every state of h_t = a_t h_{t-1} + b_t, (B, T, D), with gradients to a, b and h.

    a, b (B, T, D), broadcast against each other; h (B, D) is the state before the first step, zero by default. With
    `reverse` time runs the other way, h_t = a_t h_{t+1} + b_t, and h is the state after the last step. Computed in
    float32 or wider, whatever 16 bits a and b have, and returned in that or in `dtype`; in 16 bits the backward has
    the states as they were returned. Raises ValueError for shapes that disagree.
    """
    if reverse:
        a, b = a.flip(1), b.flip(1)
    y, _ = scan_and_state(a, b, h, dtype=dtype, backend=backend)
    return y.flip(1) if reverse else y


def scan_and_state(
    a: Tensor, b: Tensor, h: Tensor | None = None, *, dtype: torch.dtype | None = None, backend: Backend | None = None
) -> tuple[Tensor, Tensor]:
    """As `linear_scan`, and the state after the last step, (B, D), to go on from: float32 or wider whatever `dtype`."""
    try:
        a, b = torch.broadcast_tensors(a, b)
    except RuntimeError as e:
        raise ValueError(f"a {tuple(a.shape)} and b {tuple(b.shape)} do not broadcast") from e
    if a.dim() != 3 or (h is not None and h.shape != (b.shape[0], b.shape[2])):
        raise ValueError(
            f"expected a, b (B, T, D) and h (B, D), got {tuple(b.shape)} and {None if h is None else tuple(h.shape)}"
        )
    wide = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    dtype = wide if dtype is None else dtype
    h = b.new_zeros(b.shape[0], b.shape[2], dtype=wide) if h is None else h.to(wide)
    if b.numel() == 0:
        return b.to(dtype), h
    chosen = choose(b, backend)
    if chosen == "triton":
        from kernels.scan import triton_kernel

        return triton_kernel.scanned(a, b, h, dtype)
    states = (reference if chosen == "reference" else chunked).linear_scan(a.to(wide), b.to(wide), h)
    return states.to(dtype), states[:, -1]
