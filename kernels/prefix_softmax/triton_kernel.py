"""Prefix softmax in one pass over the tokens: chunks by matrix product, the log sum and the mean carried in registers.

Where rows and heads are too few to fill the chip, time is cut into segments, whose own sums come first (a second read
of the inputs), as in `kernels.scan`; values go by blocks of their width, of which each knows its own part of the
scores' gradient. The sums inside a chunk come from a scan of (maximum, sum) pairs: one maximum for
a whole chunk would lose its early tokens to a late high score.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.first_order import first_order
from kernels.grid import blocks_and_row, line, segments
from kernels.strided import last_axis_dense, strides


def prefix_softmax(scores: Tensor, v: Tensor, log_sum: Tensor, mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `reference.prefix_softmax`; everything float32, except v, which may have 16 bits."""
    o, log_sums = _PrefixSoftmax.apply(scores.contiguous(), last_axis_dense(v), log_sum.contiguous(), mean.contiguous())
    return o.to(v.dtype), log_sums[..., -1], o[..., -1, :]


class _PrefixSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, v: Tensor, log_sum: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        batch, n_heads, n_tokens, width = v.shape
        o = torch.empty(batch, n_tokens, n_heads, width, dtype=mean.dtype, device=v.device).transpose(1, 2)
        log_sums = torch.empty_like(scores)
        (parts, blocks), tiles, sizes = _launch(v)
        grid, lengths = line(parts, blocks, batch * n_heads), (n_heads, n_tokens, parts, tiles)
        end_sums, end_means = mean.new_empty(parts, batch * n_heads), mean.new_empty(parts, batch * n_heads, width)
        if parts > 1:
            _ends_kernel[grid](scores, v, end_sums, end_means, *strides(v), *lengths, **sizes)
        _forward_kernel[grid](
            scores, v, log_sum, mean, end_sums, end_means, o, log_sums, *strides(v), *strides(o), *lengths, **sizes
        )
        ctx.save_for_backward(scores, v, log_sum, mean, o, log_sums)
        return o, log_sums

    @staticmethod
    @first_order
    def backward(ctx: Any, d_o: Tensor, d_log_sums: Tensor) -> tuple[Tensor, ...]:
        scores, v, log_sum, mean, o, log_sums = ctx.saved_tensors
        batch, n_heads, n_tokens, width = v.shape
        d_o = last_axis_dense(d_o)
        r = ((d_o * o).sum(-1) - d_log_sums).contiguous()
        d_v = v.new_empty(batch, n_tokens, n_heads, width).transpose(1, 2)
        (parts, blocks), tiles, sizes = _launch(v)
        grid, lengths = line(parts, blocks, batch * n_heads), (n_heads, n_tokens, parts, tiles)
        d_scores, d_log_sum = (z.new_empty(blocks, *z.shape) for z in (scores, log_sum))
        d_mean = torch.empty_like(mean)
        end_rs, end_os = mean.new_empty(parts, batch * n_heads), mean.new_empty(parts, batch * n_heads, width)
        if parts > 1:
            _asked_kernel[grid](log_sum, log_sums, d_o, r, end_rs, end_os, *strides(d_o), *lengths, **sizes)
        _backward_kernel[grid](
            scores, v, log_sum, mean, log_sums, d_o, r, end_rs, end_os, d_scores, d_v, d_log_sum, d_mean,
            *strides(v), *strides(d_o), *strides(d_v), *lengths, **sizes,
        )  # fmt: skip
        return d_scores.sum(0), d_v, d_log_sum.sum(0), d_mean


def _launch(v: Tensor) -> tuple[tuple[int, int], int, dict[str, Any]]:
    """Segments of time and blocks of width, tiles a segment, and a tile's shape."""
    batch, n_heads, n_tokens, width = v.shape
    block_v = min(64 if v.is_cuda else 16, max(16, triton.next_power_of_2(width)))
    block_t = max(16, min(64 if v.is_cuda else 16, triton.next_power_of_2(n_tokens)))
    blocks = triton.cdiv(width, block_v)
    parts, tiles = segments(triton.cdiv(n_tokens, block_t), batch * n_heads * blocks, v.is_cuda)
    # Over four warps, or with wider or shorter tiles, the backward spills its registers.
    return (parts, blocks), tiles, {"V": width, "BLOCK_V": block_v, "BLOCK_T": block_t, "num_warps": 8}


@triton.jit
def _combine(peak_a, sum_a, peak_b, sum_b):
    peak = tl.maximum(peak_a, peak_b)
    shift = _finite(peak)
    return peak, sum_a * tl.exp(peak_a - shift) + sum_b * tl.exp(peak_b - shift)


@triton.jit
def _finite(log_sum):
    """Where nothing has been seen, any finite number: what is subtracted from it is -inf."""
    return tl.where(log_sum == float("-inf"), 0.0, log_sum)


@triton.jit
def _joined(sum_a, mean_a, sum_b, mean_b):
    """The log sum and the mean of two stretches of tokens, each known by its own."""
    peak = _finite(tl.maximum(sum_a, sum_b))
    a, b = tl.exp(sum_a - peak), tl.exp(sum_b - peak)
    total = tl.where(a + b > 0.0, a + b, 1.0)
    return tl.where(a + b > 0.0, peak + tl.log(total), float("-inf")), (a * mean_a + b * mean_b) / total


@triton.jit
def _ends_kernel(
    s_ptr, v_ptr, end_sums_ptr, end_means_ptr, v_b, v_h, v_t, H, T, parts, tiles,
    V: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    """Each segment's log sum and mean as if it were all there is. Grid (parts, blocks of V, rows)."""
    part, block, row = blocks_and_row(parts, tl.cdiv(V, BLOCK_V))
    rows = tl.num_programs(0) // parts // tl.cdiv(V, BLOCK_V)
    columns = block * BLOCK_V + tl.arange(0, BLOCK_V)
    v_ptr += row // H * v_b + row % H * v_h
    log_sum = tl.full((), float("-inf"), tl.float32)
    mean = tl.zeros((BLOCK_V,), tl.float32)
    for n in range(part * tiles, (part + 1) * tiles):
        t = n * BLOCK_T + tl.arange(0, BLOCK_T)
        inside = (t < T)[:, None] & (columns < V)[None, :]
        s = tl.load(s_ptr + row * T + t, mask=t < T, other=float("-inf"))
        v = tl.load(v_ptr + t[:, None].to(tl.int64) * v_t + columns[None, :], mask=inside, other=0.0).to(tl.float32)
        peak = tl.max(s, 0)
        weight = tl.exp(s - _finite(peak))
        total = tl.sum(weight, 0)
        own = tl.where(total > 0.0, peak + tl.log(tl.where(total > 0.0, total, 1.0)), float("-inf"))
        own_mean = tl.sum(weight[:, None] * v, 0) / tl.where(total > 0.0, total, 1.0)
        log_sum, mean = _joined(log_sum, mean, own, own_mean)
    at = part.to(tl.int64) * rows + row
    tl.store(end_sums_ptr + at, log_sum, mask=block == 0)
    tl.store(end_means_ptr + at * V + columns, mean, mask=columns < V)


@triton.jit
def _forward_kernel(
    s_ptr, v_ptr, first_sum_ptr, first_mean_ptr, end_sums_ptr, end_means_ptr, o_ptr, sums_ptr,
    v_b, v_h, v_t, o_b, o_h, o_t, H, T, parts, tiles,
    V: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    """o and every log sum. Grid (parts, blocks of V, rows)."""
    part, block, row = blocks_and_row(parts, tl.cdiv(V, BLOCK_V))
    rows = tl.num_programs(0) // parts // tl.cdiv(V, BLOCK_V)
    order, columns = tl.arange(0, BLOCK_T), block * BLOCK_V + tl.arange(0, BLOCK_V)
    v_ptr += row // H * v_b + row % H * v_h
    o_ptr += row // H * o_b + row % H * o_h
    before = tl.load(first_sum_ptr + row)
    mean = tl.load(first_mean_ptr + row * V + columns, mask=columns < V, other=0.0)
    for earlier in range(part):
        at = earlier * rows.to(tl.int64) + row
        own = tl.load(end_means_ptr + at * V + columns, mask=columns < V, other=0.0)
        before, mean = _joined(before, mean, tl.load(end_sums_ptr + at), own)
    for n in range(part * tiles, (part + 1) * tiles):
        t = n * BLOCK_T + order
        far = t[:, None].to(tl.int64)
        inside = (t < T)[:, None] & (columns < V)[None, :]
        s = tl.load(s_ptr + row * T + t, mask=t < T, other=float("-inf"))
        v = tl.load(v_ptr + far * v_t + columns[None, :], mask=inside, other=0.0).to(tl.float32)
        peak, total = tl.associative_scan((s, tl.where(s == float("-inf"), 0.0, 1.0)), 0, _combine)
        peak, total = _combine(before, tl.where(before == float("-inf"), 0.0, 1.0), peak, total)
        sums = tl.where(total > 0.0, peak + tl.log(tl.where(total > 0.0, total, 1.0)), float("-inf"))
        shift = _finite(sums)
        past = order[:, None] >= order[None, :]
        weight = tl.exp(tl.where(past, s[None, :] - shift[:, None], float("-inf")))
        kept = tl.exp(before - shift)
        o = tl.dot(weight, v, input_precision="tf32x3") + kept[:, None] * mean[None, :]
        tl.store(sums_ptr + row * T + t, sums, mask=(t < T) & (block == 0))
        tl.store(o_ptr + far * o_t + columns[None, :], o, mask=inside)
        # Tokens past the end weigh nothing, so the last row is right even where it overruns.
        last = order == BLOCK_T - 1
        mean = tl.sum(tl.where(last[:, None], o, 0.0), 0)
        before = tl.max(tl.where(last, sums, float("-inf")), 0)


@triton.jit
def _sum_before(first_sum_ptr, sums_ptr, row, t, T):
    """The log sum before token t; that after the last where t overruns."""
    t = tl.minimum(t, T)
    return tl.where(t > 0, tl.load(sums_ptr + row * T + t - 1, mask=t > 0, other=0.0), tl.load(first_sum_ptr + row))


@triton.jit
def _asked_kernel(
    first_sum_ptr, sums_ptr, do_ptr, r_ptr, end_rs_ptr, end_os_ptr, do_b, do_h, do_t, H, T, parts, tiles,
    V: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    """What each segment's tokens ask of the state it begins with, by do and by r. Grid (parts, blocks of V, rows)."""
    part, block, row = blocks_and_row(parts, tl.cdiv(V, BLOCK_V))
    rows = tl.num_programs(0) // parts // tl.cdiv(V, BLOCK_V)
    columns = block * BLOCK_V + tl.arange(0, BLOCK_V)
    do_ptr += row // H * do_b + row % H * do_h
    before = _sum_before(first_sum_ptr, sums_ptr, row, part * tiles * BLOCK_T, T)
    asked_o, asked_r = tl.zeros((BLOCK_V,), tl.float32), tl.zeros((), tl.float32)
    for n in range(part * tiles, (part + 1) * tiles):
        t = n * BLOCK_T + tl.arange(0, BLOCK_T)
        inside = (t < T)[:, None] & (columns < V)[None, :]
        d_o = tl.load(do_ptr + t[:, None].to(tl.int64) * do_t + columns[None, :], mask=inside, other=0.0)
        r = tl.load(r_ptr + row * T + t, mask=(t < T) & (block == 0), other=0.0)
        kept = tl.exp(before - _finite(tl.load(sums_ptr + row * T + t, mask=t < T, other=float("inf"))))
        asked_o += tl.sum(kept[:, None] * d_o, 0)
        asked_r += tl.sum(kept * r, 0)
    at = part.to(tl.int64) * rows + row
    tl.store(end_rs_ptr + at, asked_r, mask=block == 0)
    tl.store(end_os_ptr + at * V + columns, asked_o, mask=columns < V)


@triton.jit
def _backward_kernel(
    s_ptr, v_ptr, first_sum_ptr, first_mean_ptr, sums_ptr, do_ptr, r_ptr, end_rs_ptr, end_os_ptr,
    ds_ptr, dv_ptr, d_sum_ptr, d_mean_ptr, v_b, v_h, v_t, do_b, do_h, do_t, dv_b, dv_h, dv_t, H, T, parts, tiles,
    V: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    """From a segment's last chunk to its first; `later` is what later tokens ask of the state at this chunk's end.

    Each block of values has its own part of ds and of the first sum's gradient; the first of them has r. Grid (parts,
    blocks of V, rows).
    """
    part, block, row = blocks_and_row(parts, tl.cdiv(V, BLOCK_V))
    rows = tl.num_programs(0) // parts // tl.cdiv(V, BLOCK_V)
    order, columns = tl.arange(0, BLOCK_T), block * BLOCK_V + tl.arange(0, BLOCK_V)
    v_ptr += row // H * v_b + row % H * v_h
    do_ptr += row // H * do_b + row % H * do_h
    dv_ptr += row // H * dv_b + row % H * dv_h
    later_o, later_r = tl.zeros((BLOCK_V,), tl.float32), tl.zeros((), tl.float32)
    span = tiles * BLOCK_T
    for back in range(parts - 1 - part):
        other = parts - 1 - back
        at = other.to(tl.int64) * rows + row
        end = _finite(_sum_before(first_sum_ptr, sums_ptr, row, (other + 1) * span, T))
        kept = tl.exp(_sum_before(first_sum_ptr, sums_ptr, row, other * span, T) - end)
        later_o = kept * later_o + tl.load(end_os_ptr + at * V + columns, mask=columns < V, other=0.0)
        later_r = kept * later_r + tl.load(end_rs_ptr + at, mask=block == 0, other=0.0)
    for back in range(tiles):
        n = ((part + 1) * tiles - 1 - back) * BLOCK_T
        t = n + order
        far = t[:, None].to(tl.int64)
        inside = (t < T)[:, None] & (columns < V)[None, :]
        s = tl.load(s_ptr + row * T + t, mask=t < T, other=float("-inf"))
        v = tl.load(v_ptr + far * v_t + columns[None, :], mask=inside, other=0.0).to(tl.float32)
        d_o = tl.load(do_ptr + far * do_t + columns[None, :], mask=inside, other=0.0)
        r = tl.load(r_ptr + row * T + t, mask=(t < T) & (block == 0), other=0.0)
        # A token past the end sees with weight e^(s - inf) = 0.
        shift = _finite(tl.load(sums_ptr + row * T + t, mask=t < T, other=float("inf")))
        end = _finite(_sum_before(first_sum_ptr, sums_ptr, row, n + BLOCK_T, T))
        before = _sum_before(first_sum_ptr, sums_ptr, row, n, T)
        past = order[:, None] >= order[None, :]
        weight = tl.exp(tl.where(past, s[None, :] - shift[:, None], float("-inf")))
        to_end = tl.exp(s - end)
        dv = tl.dot(tl.trans(weight), d_o, input_precision="tf32x3") + to_end[:, None] * later_o[None, :]
        d_weight = tl.dot(d_o, tl.trans(v), input_precision="tf32x3") - r[:, None]
        ds = tl.sum(weight * d_weight, 0) + to_end * (tl.sum(v * later_o[None, :], 1) - later_r)
        tl.store(ds_ptr + (block * rows + row) * T + t, ds, mask=t < T)
        tl.store(dv_ptr + far * dv_t + columns[None, :], dv.to(dv_ptr.dtype.element_ty), mask=inside)
        kept = tl.exp(before - shift)
        later_o = tl.sum(kept[:, None] * d_o, 0) + tl.exp(before - end) * later_o
        later_r = tl.sum(kept * r, 0) + tl.exp(before - end) * later_r
    if part == 0:
        mean = tl.load(first_mean_ptr + row * V + columns, mask=columns < V, other=0.0)
        tl.store(d_mean_ptr + row * V + columns, later_o, mask=columns < V)
        tl.store(d_sum_ptr + block * rows + row, tl.sum(mean * later_o, 0) - later_r)
