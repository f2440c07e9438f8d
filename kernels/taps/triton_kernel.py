"""Taps on a GPU."""

from typing import Any

import torch
import triton
from torch import Tensor

from kernels.first_order import first_order
from kernels.taps import triton_taps as kernel

SPANS = 16
"""Stretches of time, at most, whose share of the taps' gradient is summed apart and then together."""


def taps(u: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """Shapes as in reference.py."""
    y: Tensor = _Taps.apply(u.contiguous(), weight.contiguous(), dilation)
    return y


class _Taps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(u, weight)
        ctx.dilation = dilation
        batch, n_frames, channels = u.shape
        y = u.new_empty(batch, n_frames - (weight.shape[1] - 1) * dilation, channels)
        _convolve(u, weight, y, dilation, turned=False)
        return y

    @staticmethod
    @first_order
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        u, weight = ctx.saved_tensors
        dy, du, dw = dy.contiguous(), None, None
        if ctx.needs_input_grad[0]:
            du = torch.empty_like(u)
            _convolve(dy, weight, du, ctx.dilation, turned=True)
        if ctx.needs_input_grad[1]:
            batch, n_out, channels = dy.shape
            block_t, block_c = _blocks(n_out, channels)
            spans = min(SPANS, triton.cdiv(n_out, block_t))
            wide = torch.promote_types(u.dtype, torch.float32)
            shares = u.new_empty(batch * spans, *weight.shape, dtype=wide)
            grid = (batch * spans, triton.cdiv(channels, block_c), weight.shape[1])
            numbers = (u.shape[1], n_out, channels, weight.shape[1], ctx.dilation, spans)
            kernel.weights_kernel[grid](u, dy, shares, *numbers, BLOCK_T=block_t, BLOCK_C=block_c, num_warps=4)
            dw = shares.sum(0).to(weight.dtype)
        return du, dw, None


def _convolve(u: Tensor, weight: Tensor, y: Tensor, dilation: int, *, turned: bool) -> None:
    batch, n_out, channels = y.shape
    block_t, block_c = _blocks(n_out, channels)
    grid = (batch, triton.cdiv(n_out, block_t), triton.cdiv(channels, block_c))
    numbers = (u.shape[1], n_out, channels, dilation)
    kernel.taps_kernel[grid](
        u, weight, y, *numbers, WIDTH=weight.shape[1], TURNED=turned, BLOCK_T=block_t, BLOCK_C=block_c, num_warps=4
    )


def _blocks(n_frames: int, channels: int) -> tuple[int, int]:
    """Frames and channels a program works on: rows of 128 bytes and more, where there are as many channels."""
    block_c = min(64, max(16, triton.next_power_of_2(channels)))
    return min(32, max(16, triton.next_power_of_2(n_frames))), block_c
