"""Prefix softmax in one pass over the tokens: chunks by matrix product, the log sum and the mean carried in registers.

One program walks one head of one row. The sums inside a chunk come from a scan of (maximum, sum) pairs: one maximum
for a whole chunk would lose its early tokens to a late high score.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.first_order import first_order


def prefix_softmax(scores: Tensor, v: Tensor, log_sum: Tensor, mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `reference.prefix_softmax`; everything float32, except v, which may have 16 bits."""
    o, log_sums = _PrefixSoftmax.apply(scores.contiguous(), v, log_sum.contiguous(), mean.contiguous())
    return o.to(v.dtype), log_sums[..., -1], o[..., -1, :]


class _PrefixSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, v: Tensor, log_sum: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        batch, n_heads, n_tokens, width = v.shape
        if v.stride(-1) != 1:
            v = v.contiguous()
        o = torch.empty(batch, n_tokens, n_heads, width, dtype=mean.dtype, device=v.device).transpose(1, 2)
        log_sums = torch.empty_like(scores)
        _forward_kernel[(batch * n_heads,)](
            scores, v, log_sum, mean, o, log_sums, *v.stride()[:3], *o.stride()[:3], n_heads, n_tokens, **_sizes(v)
        )
        ctx.save_for_backward(scores, v, log_sum, mean, o, log_sums)
        return o, log_sums

    @staticmethod
    @first_order
    def backward(ctx: Any, d_o: Tensor, d_log_sums: Tensor) -> tuple[Tensor, ...]:
        scores, v, log_sum, mean, o, log_sums = ctx.saved_tensors
        batch, n_heads, n_tokens, width = v.shape
        if d_o.stride(-1) != 1:
            d_o = d_o.contiguous()
        r = ((d_o * o).sum(-1) - d_log_sums).contiguous()
        d_v = v.new_empty(batch, n_tokens, n_heads, width).transpose(1, 2)
        d_scores, d_log_sum, d_mean = (torch.empty_like(z) for z in (scores, log_sum, mean))
        _backward_kernel[(batch * n_heads,)](
            scores, v, log_sum, mean, log_sums, d_o, r, d_scores, d_v, d_log_sum, d_mean,
            *v.stride()[:3], *d_o.stride()[:3], *d_v.stride()[:3], n_heads, n_tokens, **_sizes(v),
        )  # fmt: skip
        return d_scores, d_v, d_log_sum, d_mean


def _sizes(v: Tensor) -> dict[str, Any]:
    n_tokens, width = v.shape[2:]
    block_v = max(16, triton.next_power_of_2(width))
    longest = (32 if block_v > 128 else 64) if v.is_cuda else 16
    return {
        "V": width,
        "BLOCK_V": block_v,
        "BLOCK_T": max(16, min(longest, triton.next_power_of_2(n_tokens))),
        "num_warps": 4 if block_v <= 64 else 8,
    }


@triton.jit
def _combine(peak_a, sum_a, peak_b, sum_b):
    peak = tl.maximum(peak_a, peak_b)
    shift = tl.where(peak == float("-inf"), 0.0, peak)
    return peak, sum_a * tl.exp(peak_a - shift) + sum_b * tl.exp(peak_b - shift)


@triton.jit
def _finite(log_sum):
    """Where nothing has been seen, any finite number: what is subtracted from it is -inf."""
    return tl.where(log_sum == float("-inf"), 0.0, log_sum)


@triton.jit
def _forward_kernel(
    s_ptr, v_ptr, first_sum_ptr, first_mean_ptr, o_ptr, sums_ptr, v_b, v_h, v_t, o_b, o_h, o_t, H, T,
    V: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    b, h = row // H, row % H
    order, columns = tl.arange(0, BLOCK_T), tl.arange(0, BLOCK_V)
    before = tl.load(first_sum_ptr + row)
    mean = tl.load(first_mean_ptr + row * V + columns, mask=columns < V, other=0.0)
    for n in range(0, T, BLOCK_T):
        t = n + order
        far = t[:, None].to(tl.int64)
        inside = (t < T)[:, None] & (columns < V)[None, :]
        s = tl.load(s_ptr + row * T + t, mask=t < T, other=float("-inf"))
        v = tl.load(v_ptr + b * v_b + h * v_h + far * v_t + columns[None, :], mask=inside, other=0.0).to(tl.float32)
        peak, total = tl.associative_scan((s, tl.where(s == float("-inf"), 0.0, 1.0)), 0, _combine)
        peak, total = _combine(before, tl.where(before == float("-inf"), 0.0, 1.0), peak, total)
        sums = tl.where(total > 0.0, peak + tl.log(tl.where(total > 0.0, total, 1.0)), float("-inf"))
        shift = _finite(sums)
        past = order[:, None] >= order[None, :]
        weight = tl.exp(tl.where(past, s[None, :] - shift[:, None], float("-inf")))
        kept = tl.exp(before - shift)
        o = tl.dot(weight, v, input_precision="tf32x3") + kept[:, None] * mean[None, :]
        tl.store(sums_ptr + row * T + t, sums, mask=t < T)
        tl.store(o_ptr + b * o_b + h * o_h + far * o_t + columns[None, :], o, mask=inside)
        # Tokens past the end weigh nothing, so the last row is right even where it overruns.
        last = order == BLOCK_T - 1
        mean = tl.sum(tl.where(last[:, None], o, 0.0), 0)
        before = tl.max(tl.where(last, sums, float("-inf")), 0)


@triton.jit
def _backward_kernel(
    s_ptr, v_ptr, first_sum_ptr, first_mean_ptr, sums_ptr, do_ptr, r_ptr, ds_ptr, dv_ptr, d_sum_ptr, d_mean_ptr,
    v_b, v_h, v_t, do_b, do_h, do_t, dv_b, dv_h, dv_t, H, T,
    V: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    """From the last chunk to the first; a and b are what later tokens ask of the state at this chunk's end."""
    row = tl.program_id(0).to(tl.int64)
    b, h = row // H, row % H
    order, columns = tl.arange(0, BLOCK_T), tl.arange(0, BLOCK_V)
    later_o = tl.zeros((BLOCK_V,), tl.float32)
    later_r = 0.0
    first_sum = tl.load(first_sum_ptr + row)
    n_chunks = tl.cdiv(T, BLOCK_T)
    for reverse in range(n_chunks):
        n = (n_chunks - 1 - reverse) * BLOCK_T
        t = n + order
        far = t[:, None].to(tl.int64)
        inside = (t < T)[:, None] & (columns < V)[None, :]
        s = tl.load(s_ptr + row * T + t, mask=t < T, other=float("-inf"))
        v = tl.load(v_ptr + b * v_b + h * v_h + far * v_t + columns[None, :], mask=inside, other=0.0).to(tl.float32)
        d_o = tl.load(do_ptr + b * do_b + h * do_h + far * do_t + columns[None, :], mask=inside, other=0.0)
        r = tl.load(r_ptr + row * T + t, mask=t < T, other=0.0)
        # A token past the end sees with weight e^(s - inf) = 0.
        shift = _finite(tl.load(sums_ptr + row * T + t, mask=t < T, other=float("inf")))
        end = _finite(tl.load(sums_ptr + row * T + tl.minimum(n + BLOCK_T, T) - 1))
        before = tl.load(sums_ptr + row * T + n - 1, mask=n > 0, other=float("-inf"))
        before = tl.where(n > 0, before, first_sum)
        past = order[:, None] >= order[None, :]
        weight = tl.exp(tl.where(past, s[None, :] - shift[:, None], float("-inf")))
        to_end = tl.exp(s - end)
        dv = tl.dot(tl.trans(weight), d_o, input_precision="tf32x3") + to_end[:, None] * later_o[None, :]
        d_weight = tl.dot(d_o, tl.trans(v), input_precision="tf32x3") - r[:, None]
        ds = tl.sum(weight * d_weight, 0) + to_end * (tl.sum(v * later_o[None, :], 1) - later_r)
        tl.store(ds_ptr + row * T + t, ds, mask=t < T)
        at = b * dv_b + h * dv_h + far * dv_t + columns[None, :]
        tl.store(dv_ptr + at, dv.to(dv_ptr.dtype.element_ty), mask=inside)
        kept = tl.exp(before - shift)
        later_o = tl.sum(kept[:, None] * d_o, 0) + tl.exp(before - end) * later_o
        later_r = tl.sum(kept * r, 0) + tl.exp(before - end) * later_r
    mean = tl.load(first_mean_ptr + row * V + columns, mask=columns < V, other=0.0)
    tl.store(d_mean_ptr + row * V + columns, later_o, mask=columns < V)
    tl.store(d_sum_ptr + row, tl.sum(mean * later_o, 0) - later_r)
