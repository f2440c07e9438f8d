"""Attention tile by tile: no T x S tensor is made, and a tile nobody sees is not visited.

The forward keeps a running maximum and sum a row where the weights are softmax's; the backward makes the weights
again, once by query block for the queries' gradients and once by key block for the keys' and values'.
"""

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.attention.pattern import Pattern, Structure
from kernels.attention.triton_backward import keys_kernel, queries_kernel
from kernels.attention.triton_tile import (
    dropped,
    key_bounds,
    key_range,
    load_keys,
    load_query_structure,
    tile_scores,
    weigh,
)
from kernels.first_order import first_order
from kernels.grid import block_and_row, line


def attention(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, structure: Structure) -> Tensor:
    """As `reference.attention`; q, k, v of one dtype of 32 or 16 bits.

    Dropout draws from PyTorch's generator on the CPU, one seed a call, and not the weights the PyTorch version drops.
    """
    s = structure
    differentiable = (s.k_other, s.relative, s.bias, s.offset)
    seed = int(torch.randint(2**31, ())) if pattern.dropout else 0
    y: Tensor = _Attention.apply(q, k, v, *differentiable, s.ids, s.start, s.end, s.allowed, pattern, seed)
    return y


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        k_other: Tensor | None,
        relative: Tensor | None,
        bias: Tensor | None,
        offset: Tensor | None,
        ids: Tensor | None,
        start: Tensor | None,
        end: Tensor | None,
        allowed: Tensor | None,
        pattern: Pattern,
        seed: int,
    ) -> Tensor:
        q, k, v = (_last_axis_dense(z) for z in (q, k, v))
        k_other = None if k_other is None else _last_axis_dense(k_other)
        batch, n_heads, n_queries, _ = q.shape
        o = q.new_empty(batch, n_queries, n_heads, v.shape[-1]).transpose(1, 2)  # heads merge without a copy
        log_sum = q.new_empty(batch, n_heads, n_queries, dtype=torch.float32)
        s = Structure(start, end, ids, k_other, relative, bias, allowed, offset)
        block_m, block_n, options = _blocks(q, v, backward=False)
        grid = line(triton.cdiv(n_queries, block_m), batch * n_heads)
        _forward_kernel[grid](
            q, k, v, o, log_sum, *_strides(q), *_strides(k), *_strides(v), *_strides(o),
            *_structure_arguments(q, k, pattern, s, seed), **_flags(q, k, v, pattern, s),
            BLOCK_M=block_m, BLOCK_N=block_n, **options,
        )  # fmt: skip
        ctx.save_for_backward(q, k, v, o, log_sum, k_other, relative, bias, offset, ids, start, end, allowed)
        ctx.pattern, ctx.seed = pattern, seed
        return o

    @staticmethod
    @first_order
    def backward(ctx: Any, d_o: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, o, log_sum, k_other, relative, bias, offset, ids, start, end, allowed = ctx.saved_tensors
        pattern: Pattern = ctx.pattern
        s = Structure(start, end, ids, k_other, relative, bias, allowed, offset)
        d_o = _last_axis_dense(d_o)
        batch, n_heads, n_queries, width = q.shape
        n_groups, n_keys = k.shape[1:3]
        delta = (d_o.float() * o.float()).sum(-1).contiguous()  # (B, H, T); only softmax reads it

        wants = dict(zip(("relative", "bias", "offset"), ctx.needs_input_grad[4:7], strict=True))
        d_q = q.new_empty(batch, n_queries, n_heads, width).transpose(1, 2)
        d_k = k.new_empty(batch, n_keys, n_groups, width).transpose(1, 2)
        d_v = v.new_empty(batch, n_keys, n_groups, v.shape[-1]).transpose(1, 2)
        d_other = torch.empty_like(d_k) if k_other is not None else None

        block_m, block_n, options = _blocks(q, v, backward=True)
        blocks = triton.cdiv(n_queries, block_m)
        # Each program adds into a table of its own: shared ones would make every program wait for every other.
        d_relative = q.new_zeros(batch, blocks, *relative.shape, dtype=torch.float32) if wants["relative"] else None
        d_bias = q.new_zeros(batch, n_heads, n_queries, n_keys, dtype=torch.float32) if wants["bias"] else None
        d_offset = torch.empty_like(log_sum) if wants["offset"] else None
        common = (d_o, log_sum, delta, *_strides(q), *_strides(k), *_strides(v), *_strides(d_o))
        last = _structure_arguments(q, k, pattern, s, ctx.seed)
        flags = _flags(q, k, v, pattern, s) | {"BLOCK_M": block_m, "BLOCK_N": block_n}
        queries_kernel[line(blocks, batch * n_heads)](
            q, k, v, *common, d_q, *_strides(d_q), _or(d_relative, q), _or(d_bias, q), _or(d_offset, q), *last,
            **flags, D_RELATIVE=wants["relative"], D_BIAS=wants["bias"], D_OFFSET=wants["offset"], **options,
        )  # fmt: skip
        keys_kernel[line(triton.cdiv(n_keys, block_n), batch * n_groups)](
            q, k, v, *common, d_k, d_v, _or(d_other, q), *_strides(d_k), *_strides(d_v), *last,
            **flags, PER_GROUP=n_heads // n_groups, **options,
        )  # fmt: skip
        return (
            d_q,
            d_k,
            d_v,
            d_other,
            None if d_relative is None else d_relative.sum((0, 1)).to(relative.dtype),
            None if d_bias is None else d_bias.sum_to_size(bias.shape).to(bias.dtype),
            None if d_offset is None else d_offset.sum_to_size(offset.shape).to(offset.dtype),
            *(None,) * 6,
        )


def _last_axis_dense(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


def _strides(x: Tensor) -> tuple[int, int, int]:
    """Of a (B, H, T, K) tensor whose last axis is dense."""
    return x.stride(0), x.stride(1), x.stride(2)


def _or(x: Tensor | None, other: Tensor) -> Tensor:
    """A pointer the kernel will not follow, where there is nothing to point at."""
    return other if x is None else x


def _broadcast_strides(x: Tensor | None) -> tuple[int, ...]:
    """Strides with 0 where an axis of size 1 stands for any size; (B, H, T, S) or (B, H, T)."""
    if x is None:
        return (0, 0, 0, 0)
    return tuple(0 if n == 1 else stride for n, stride in zip(x.shape, x.stride(), strict=True))


def _structure_arguments(q: Tensor, k: Tensor, pattern: Pattern, s: Structure, seed: int) -> tuple[Any, ...]:
    n_keys, width = k.shape[2], q.shape[-1]
    n_distances = 1 if s.relative is None else s.relative.shape[2]
    return (
        _or(s.k_other, q),
        *_strides(k if s.k_other is None else s.k_other),
        q if s.ids is None else s.ids.contiguous(),
        _or(s.start, q),
        _or(s.end, q),
        q if s.relative is None else s.relative.contiguous(),
        _or(s.bias, q),
        *_broadcast_strides(s.bias),
        q if s.allowed is None else s.allowed.view(torch.uint8),
        *_broadcast_strides(s.allowed),
        _or(s.offset, q),
        *_broadcast_strides(s.offset)[:3],
        q.shape[1],
        q.shape[2],
        n_keys,
        n_distances,
        0 if pattern.causal else n_distances // 2,
        pattern.scale if pattern.scale is not None else 1 / math.sqrt(width),
        pattern.window or 0,
        pattern.ceiling,
        pattern.dropout,
        seed,
    )


def _flags(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, s: Structure) -> dict[str, Any]:
    return {
        "KIND": ("softmax", "sigmoid", "exp").index(pattern.kind),
        "CAUSAL": pattern.causal,
        "WINDOWED": pattern.window is not None,
        "ONLY": (None, "same", "other").index(pattern.only),
        "IDS": s.ids is not None,
        "OTHER": s.k_other is not None,
        "TABLES": 0 if s.relative is None else s.relative.shape[0],
        "BIAS": s.bias is not None,
        "ALLOWED": s.allowed is not None,
        "OFFSET": s.offset is not None,
        "START": s.start is not None,
        "END": s.end is not None,
        "DROPOUT": pattern.dropout > 0,
        "GROUPS": k.shape[1],
        "K": q.shape[-1],
        "V": v.shape[-1],
        "BLOCK_K": max(16, triton.next_power_of_2(q.shape[-1])),
        "BLOCK_V": max(16, triton.next_power_of_2(v.shape[-1])),
        # A float32 product is a float32 product: TF32 would cost three digits that nobody offered.
        "PRECISION": "ieee",
    }


def _blocks(q: Tensor, v: Tensor, backward: bool) -> tuple[int, int, dict[str, int]]:
    """Queries and keys a tile, and the launch. Chosen for a Hopper chip by its registers, and not measured."""
    if not q.is_cuda:
        return 16, 16, {}
    row_bytes = triton.next_power_of_2(max(q.shape[-1], v.shape[-1])) * q.element_size()
    if row_bytes > 512:  # tiles of it would fill the shared memory
        queries, keys, stages = 32, 32, 1
    elif row_bytes > 128:
        queries, keys, stages = 64, 32 if backward or q.element_size() > 2 else 64, 2
    else:
        queries, keys, stages = 64 if backward else 128, 64, 3
    queries = max(16, min(queries, triton.next_power_of_2(q.shape[2])))
    return queries, keys, {"num_warps": 8 if queries == 128 else 4, "num_stages": stages}


@triton.jit
def _forward_kernel(
    q_ptr, k_ptr, v_ptr, o_ptr, log_sum_ptr, q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, o_b, o_h, o_t,
    other_ptr, other_b, other_h, other_t, ids_ptr, start_ptr, end_ptr, relative_ptr,
    bias_ptr, bias_b, bias_h, bias_t, bias_s, allowed_ptr, allowed_b, allowed_h, allowed_t, allowed_s,
    offset_ptr, offset_b, offset_h, offset_t, H, T, S, P, centre, scale, window, ceiling, dropout, seed,
    KIND: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, ONLY: tl.constexpr, IDS: tl.constexpr,
    OTHER: tl.constexpr, TABLES: tl.constexpr, BIAS: tl.constexpr, ALLOWED: tl.constexpr, OFFSET: tl.constexpr,
    START: tl.constexpr, END: tl.constexpr, DROPOUT: tl.constexpr, GROUPS: tl.constexpr,
    K: tl.constexpr, V: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    # The last query blocks see the most keys, so they go first.
    block, row = block_and_row(tl.cdiv(T, BLOCK_M))
    block = tl.cdiv(T, BLOCK_M) - 1 - block
    b, h = row // H, row % H
    g = h // (H // GROUPS)
    first = S - T
    t = block * BLOCK_M + tl.arange(0, BLOCK_M)
    i = first + t
    columns, v_columns = tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_V)
    q_at = b * q_b + h * q_h + t[:, None].to(tl.int64) * q_t + columns[None, :]
    q = tl.load(q_ptr + q_at, mask=(t < T)[:, None] & (columns < K)[None, :], other=0.0)
    start, end = key_bounds(start_ptr, end_ptr, b, S, START, END)
    id_i, offset_i = load_query_structure(
        ids_ptr + b * S, offset_ptr + b * offset_b + h * offset_h, offset_t, t, i, T, S, IDS, OFFSET
    )
    peak = tl.full((BLOCK_M,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK_M,), tl.float32)
    o = tl.zeros((BLOCK_M, BLOCK_V), tl.float32)
    low, high = key_range(first + block * BLOCK_M, first + block * BLOCK_M + BLOCK_M - 1, S, start, end, window,
                          CAUSAL, WINDOWED, BLOCK_N)  # fmt: skip
    for n in range(low, high, BLOCK_N):
        j = n + tl.arange(0, BLOCK_N)
        far = j[:, None].to(tl.int64)
        k, k_other, id_j = load_keys(
            k_ptr + b * k_b + g * k_h, k_t, other_ptr + b * other_b + g * other_h, other_t, ids_ptr + b * S,
            j, columns, S, K, OTHER, IDS,
        )  # fmt: skip
        score, seen, _, _ = tile_scores(
            q, k, k_other, i, j, id_i, id_j, relative_ptr + h * P, bias_ptr + b * bias_b + h * bias_h,
            allowed_ptr + b * allowed_b + h * allowed_h, offset_i, bias_t, bias_s, allowed_t, allowed_s,
            first, S, start, end, H, P, centre, scale, window,
            CAUSAL, WINDOWED, ONLY, IDS, OTHER, TABLES, BIAS, ALLOWED, OFFSET, PRECISION,
        )  # fmt: skip
        if KIND == 0:
            score = tl.where(seen, score, float("-inf"))
            new_peak = tl.maximum(peak, tl.max(score, 1))
            shift = tl.where(new_peak == float("-inf"), 0.0, new_peak)  # a row that has seen nobody yet
            kept = tl.exp2((peak - shift) * 1.4426950408889634)
            weight = tl.exp2((score - shift[:, None]) * 1.4426950408889634)
            total = total * kept + tl.sum(weight, 1)
            o = o * kept[:, None]
            peak = new_peak
        else:
            weight = weigh(score, seen, total, ceiling, KIND)
        if DROPOUT:
            weight = weight * dropped(seed, row, t, j, S, dropout)
        v_at = b * v_b + g * v_h + far * v_t + v_columns[None, :]
        v = tl.load(v_ptr + v_at, mask=(j < S)[:, None] & (v_columns < V)[None, :], other=0.0)
        o = tl.dot(weight.to(v.dtype), v, o, input_precision=PRECISION)
    if KIND == 0:
        nobody = total == 0.0
        o = o / tl.where(nobody, 1.0, total)[:, None]
        log_sum = tl.where(nobody, 0.0, peak + tl.log(tl.where(nobody, 1.0, total)))
        tl.store(log_sum_ptr + row * T + t, log_sum, mask=t < T)
    o_at = b * o_b + h * o_h + t[:, None].to(tl.int64) * o_t + v_columns[None, :]
    tl.store(o_ptr + o_at, o.to(o_ptr.dtype.element_ty), mask=(t < T)[:, None] & (v_columns < V)[None, :])
