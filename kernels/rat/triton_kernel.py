"""RAT's two halves on a GPU."""

from typing import Any

import torch
import triton
from torch import Tensor

from kernels.first_order import first_order
from kernels.grid import line
from kernels.rat import blockwise
from kernels.rat import triton_attention as between
from kernels.rat import triton_scan as within
from kernels.scan import triton_kernel as scan

LONGEST = 128
"""Chunks of more tokens are scanned as one sequence: a program that walks a chunk alone would take too long."""


def chunk_scan(
    k: Tensor, v: Tensor, g: Tensor, size: int, phase: Tensor, k_before: Tensor, v_before: Tensor
) -> tuple[Tensor, Tensor]:
    """Shapes as in reference.py."""
    if size > LONGEST:
        return blockwise.chunk_scan(k, v, g, size, phase, k_before, v_before, scan.linear_scan)
    tensors = (z.contiguous() for z in (k, v, g, phase, k_before, v_before))
    y: tuple[Tensor, Tensor] = _ChunkScan.apply(*tensors, size)
    return y


class _ChunkScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, k: Tensor, v: Tensor, g: Tensor, phase: Tensor, k_before: Tensor, v_before: Tensor, size: int
    ) -> tuple[Tensor, Tensor]:
        k_out, v_out = (torch.empty_like(v, dtype=v_before.dtype) for _ in range(2))
        grid, numbers, shape = _launch(k, v, size)
        within.scan_kernel[grid](k, v, g, phase, k_before, v_before, k_out, v_out, *numbers, **shape)
        ctx.save_for_backward(k, v, g, phase, k_before, v_before, k_out, v_out)
        ctx.size = size
        return k_out, v_out

    @staticmethod
    @first_order
    def backward(ctx: Any, dk_out: Tensor, dv_out: Tensor) -> tuple[Tensor | None, ...]:
        k, v, g, phase, k_before, v_before, k_out, v_out = ctx.saved_tensors
        dk_heads, dv, dg = torch.empty_like(k_out), torch.empty_like(v), torch.empty_like(g)
        dk_before, dv_before = torch.empty_like(k_before), torch.empty_like(v_before)
        grid, numbers, shape = _launch(k, v, ctx.size)
        within.scan_backward_kernel[grid](
            k, v, g, phase, k_before, v_before, k_out, v_out, dk_out.contiguous(), dv_out.contiguous(),
            dk_heads, dv, dg, dk_before, dv_before, *numbers, **shape,
        )  # fmt: skip
        dk = dk_heads.unflatten(2, (-1, k.shape[2])).sum(2).to(k.dtype)
        return dk, dv, dg, None, dk_before, dv_before, None


def _launch(k: Tensor, v: Tensor, size: int) -> tuple[tuple[int, int], tuple[int, int, int], dict[str, int]]:
    batch, n_tokens, heads, width = v.shape
    # One more than the whole chunks: a row that starts inside one also ends inside one.
    n_chunks = triton.cdiv(n_tokens + size - 1, size)
    block = min(128, triton.next_power_of_2(heads * width))
    grid = (batch * n_chunks, triton.cdiv(heads * width, block))
    shape = {"D": heads * width, "P": width, "G": k.shape[2], "BLOCK": block, "num_warps": 1 if block <= 32 else 4}
    return grid, (n_tokens, n_chunks, size), shape


def chunk_attention(
    q: Tensor, k_own: Tensor, v_own: Tensor, k_ends: Tensor, v_ends: Tensor, first: Tensor, end: Tensor
) -> Tensor:
    """Shapes as in reference.py."""
    y: Tensor = _ChunkAttention.apply(*(z.contiguous() for z in (q, k_own, v_own, k_ends, v_ends, first, end)))
    return y


class _ChunkAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k_own: Tensor, v_own: Tensor, k_ends: Tensor, v_ends: Tensor, first: Tensor, end: Tensor
    ) -> Tensor:
        batch, n_tokens, heads, _ = q.shape
        y = torch.empty_like(v_own)
        lse = q.new_empty(batch, heads, n_tokens, dtype=torch.promote_types(q.dtype, torch.float32))
        numbers, shape = _sizes(q, k_ends)
        grid = line(triton.cdiv(n_tokens, shape["BLOCK_T"]), batch * heads)
        between.forward_kernel[grid](q, k_own, v_own, k_ends, v_ends, first, end, y, lse, *numbers, **shape)
        ctx.save_for_backward(q, k_own, v_own, k_ends, v_ends, first, end, y, lse)
        return y

    @staticmethod
    @first_order
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        q, k_own, v_own, k_ends, v_ends, first, end, y, lse = ctx.saved_tensors
        batch, n_tokens, heads, _ = q.shape
        dy, delta = dy.contiguous(), torch.empty_like(lse)
        dq, dk_own, dv_own, dk_ends, dv_ends = (torch.empty_like(z) for z in (q, k_own, v_own, k_ends, v_ends))
        numbers, shape = _sizes(q, k_ends)
        grid = line(triton.cdiv(n_tokens, shape["BLOCK_T"]), batch * heads)
        between.queries_kernel[grid](
            q, k_own, v_own, k_ends, v_ends, first, end, y, lse, dy, dq, dk_own, dv_own, delta, *numbers, **shape
        )
        if k_ends.shape[1]:
            grid = line(triton.cdiv(k_ends.shape[1], shape["BLOCK_S"]), batch * heads)
            between.slots_kernel[grid](
                q, k_ends, v_ends, first, end, lse, delta, dy, dk_ends, dv_ends, *numbers, **shape
            )
        return dq, dk_own, dv_own, dk_ends, dv_ends, None, None


def _sizes(q: Tensor, k_ends: Tensor) -> tuple[tuple[int, int, int, float], dict[str, Any]]:
    """T, S, H and the scale; the tiles and what a matmul's precision is."""
    width = max(16, triton.next_power_of_2(q.shape[3]))
    heavy = width * q.element_size()  # bytes of a row; with more of them a warp's registers spill
    block = (64 if heavy <= 256 else 32) if q.element_size() == 2 else (32 if heavy <= 256 else 16)
    few = max(16, min(block, triton.next_power_of_2(q.shape[1])))
    shape = {
        "P": q.shape[3], "WIDTH": width, "BLOCK_T": few, "BLOCK_S": block,
        "PRECISION": "tf32x3" if q.dtype == torch.float32 else "ieee", "num_warps": 4 if heavy <= 128 else 8,
    }  # fmt: skip
    return (q.shape[1], k_ends.shape[1], q.shape[2], q.shape[3] ** -0.5), shape
