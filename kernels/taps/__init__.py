"""Taps along time, channel by channel: what a depthwise convolution does, over frames that lie channels last."""

from torch import Tensor

from kernels.backend import Backend, choose
from kernels.taps import channels_last, reference

__all__ = ["taps"]


def taps(u: Tensor, weight: Tensor, dilation: int = 1, *, backend: Backend | None = None) -> Tensor:
    """y_t = sum_i weight_i u_{t + i dilation}, channel by channel: the oldest tap is the first.

    u (B, S, C), weight (C, k); y (B, S - (k - 1) dilation, C) in u's dtype. Differentiable in both. Raises ValueError
    where shapes disagree or u is shorter than the taps reach.
    """
    if u.dim() != 3 or weight.dim() != 2 or u.shape[2] != weight.shape[0]:
        raise ValueError(f"u is {tuple(u.shape)} and weight {tuple(weight.shape)}, expected (B, S, C) and (C, k)")
    if dilation < 1:
        raise ValueError(f"dilation is {dilation}, expected at least 1")
    reach = (weight.shape[1] - 1) * dilation
    if u.shape[1] < reach:
        raise ValueError(f"u is {u.shape[1]} frames long, expected at least {reach}, what the taps reach")
    if u.shape[1] == reach or not len(u):
        return u[:, reach:]
    weight, chosen = weight.to(u.dtype), choose(u, backend)
    if chosen == "triton":
        from kernels.taps import triton_kernel

        return triton_kernel.taps(u, weight, dilation)
    y: Tensor = (reference if chosen == "reference" else channels_last).taps(u, weight, dilation)
    return y
