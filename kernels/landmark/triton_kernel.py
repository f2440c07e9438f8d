"""Landmark attention on a GPU: no table of scores is stored, forwards or backwards."""

from typing import Any

import torch
import triton
from torch import Tensor

from kernels.first_order import first_order
from kernels.landmark import triton_landmark as kernels
from kernels.landmark.far import Far


def landmark_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    marks: Tensor,
    place: Tensor,
    size: int,
    landmark_last: bool,
    far: Far | None,
) -> Tensor:
    """Shapes as in reference.py; q, k, v and far's of one dtype."""
    more = (None, None) if far is None else (far.q.contiguous(), far.k.contiguous())
    given = (z.contiguous() for z in (q, k, v, marks, place))
    y: Tensor = _Landmark.apply(*given, *more, size, size - landmark_last, 0 if far is None else far.reach)
    return y


class _Landmark(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, marks: Tensor, place: Tensor, q_far: Tensor | None,
        k_far: Tensor | None, size: int, real: int, reach: int,
    ) -> Tensor:  # fmt: skip
        y = v.new_empty(*q.shape[:3], v.shape[-1])
        lse = q.new_empty(q.shape[:3], dtype=torch.promote_types(q.dtype, torch.float32))
        far = (q if q_far is None else q_far, k if k_far is None else k_far)
        numbers, shape = _sizes(q, k, v, size, real, reach, far=q_far is not None)
        kernels.forward_kernel[_grid(q, shape)](q, k, v, marks, place, *far, y, lse, *numbers, **shape)
        ctx.save_for_backward(q, k, v, marks, place, *far, y, lse)
        ctx.settings = size, real, reach, q_far is not None
        return y

    @staticmethod
    @first_order
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, marks, place, q_far, k_far, y, lse = ctx.saved_tensors
        size, real, reach, far = ctx.settings
        given = (q, k, v, marks, place, q_far, k_far)
        dy, delta, dmarks = dy.contiguous(), torch.empty_like(lse), torch.zeros_like(marks)
        dq, dk, dv = (torch.empty_like(z) for z in (q, k, v))
        dq_far, dk_far = (torch.empty_like(q), torch.empty_like(k)) if far else (dq, dk)
        numbers, shape = _sizes(q, k, v, size, real, reach, far=far)
        kernels.queries_kernel[_grid(q, shape)](*given, y, lse, dy, dq, dmarks, dq_far, delta, *numbers, **shape)
        grid = (q.shape[0] * q.shape[1], marks.shape[-1])
        kernels.keys_kernel[grid](*given, lse, delta, dy, dk, dv, dk_far, *numbers, **shape)
        away = (dq_far, dk_far) if far else (None, None)
        return dq, dk, dv, dmarks, None, *away, None, None, None


def _grid(q: Tensor, shape: dict[str, Any]) -> tuple[int, int]:
    return q.shape[0] * q.shape[1], triton.cdiv(q.shape[2], shape["BLOCK_T"])


def _sizes(
    q: Tensor, k: Tensor, v: Tensor, size: int, real: int, reach: int, *, far: bool
) -> tuple[tuple[int, int, int, int, int, float], dict[str, Any]]:
    """T, S, blocks, heads, reach and the scale; the tiles, chosen for a Hopper chip's registers and not measured."""
    wide_k, wide_v = (max(16, triton.next_power_of_2(z.shape[-1])) for z in (q, v))
    heavy = max(wide_k, wide_v) * q.element_size()
    block = 64 if heavy <= 128 else 32
    shape = {
        "K": q.shape[-1], "V": v.shape[-1], "WIDE_K": wide_k, "WIDE_V": wide_v, "SIZE": size, "REAL": real,
        "BLOCK_T": max(16, min(block, triton.next_power_of_2(q.shape[2]))),
        "BLOCK_S": max(16, triton.next_power_of_2(size)), "FAR": far,
        "PRECISION": "tf32x3" if q.dtype == torch.float32 else "ieee", "num_warps": 8, "num_stages": 2,
    }  # fmt: skip
    return (q.shape[2], k.shape[2], k.shape[2] // size, q.shape[1], reach, q.shape[-1] ** -0.5), shape
