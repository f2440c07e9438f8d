"""Attention forwards, tile by tile, with a running maximum and sum a row where the weights are softmax's.

A few queries are too few programs to fill a chip, so their keys are split: each part answers as if its keys were all
there are, and `combine_kernel` weighs the answers (flash decoding).
"""

# mypy: ignore-errors
import triton
import triton.language as tl

from kernels.attention.triton_tile import (
    dropped,
    exponential,
    key_bounds,
    key_tiles,
    load_keys,
    load_query_structure,
    load_rows,
    tile_at,
    tile_scores,
    walk,
    weigh,
)
from kernels.grid import block_and_row, blocks_and_row


@triton.jit
def forward_kernel(
    q_ptr, k_ptr, v_ptr, o_ptr, log_sum_ptr, q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, o_b, o_h, o_t,
    other_ptr, other_b, other_h, other_t, ids_ptr, start_ptr, end_ptr, relative_ptr,
    bias_ptr, bias_b, bias_h, bias_t, bias_s, allowed_ptr, allowed_b, allowed_h, allowed_t, allowed_s,
    offset_ptr, offset_b, offset_h, offset_t, H, T, S, P, centre, scale, window, ceiling, dropout, seed,
    KIND: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, ONLY: tl.constexpr, IDS: tl.constexpr,
    OTHER: tl.constexpr, TABLES: tl.constexpr, BIAS: tl.constexpr, ALLOWED: tl.constexpr, OFFSET: tl.constexpr,
    START: tl.constexpr, END: tl.constexpr, DROPOUT: tl.constexpr, FOLD: tl.constexpr, GROUPS: tl.constexpr,
    K: tl.constexpr, V: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, LOOPS: tl.constexpr,
    SPLIT: tl.constexpr, parts, base, span,
):  # fmt: skip
    """o and each row's log_sum. Grid (parts, blocks of T, rows). With SPLIT a part sees the keys base + part span and
    span - 1 more, and writes o (parts, B, H, T, V) in float32 and log_sum (parts, B, H, T)."""
    part, block, row = blocks_and_row(parts, tl.cdiv(T, BLOCK_M))
    # The last query blocks see the most keys, so they go first.
    block = tl.cdiv(T, BLOCK_M) - 1 - block
    b, h = row // H, row % H
    g = h // (H // GROUPS)
    first = S - T
    t = block * BLOCK_M + tl.arange(0, BLOCK_M)
    i = first + t
    lanes, columns, v_columns = tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_V)
    q = load_rows(q_ptr + b * q_b + h * q_h, q_t, block * BLOCK_M, tl.arange(0, BLOCK_M), columns, T, K, BLOCK_K, True)
    start, end = key_bounds(start_ptr, end_ptr, b, S, START, END)
    if SPLIT:
        start, end = tl.maximum(start, base + part * span), tl.minimum(end, base + part * span + span)
        o_ptr += part.to(tl.int64) * (tl.num_programs(0) // parts // tl.cdiv(T, BLOCK_M)) * T * V
        log_sum_ptr += part.to(tl.int64) * (tl.num_programs(0) // parts // tl.cdiv(T, BLOCK_M)) * T
    id_i, offset_i = load_query_structure(
        ids_ptr + b * S, offset_ptr + b * offset_b + h * offset_h, offset_t, t, i, T, S, IDS, OFFSET
    )
    # A finite floor, so that a row that has seen nobody yet subtracts no infinities.
    peak = tl.full((BLOCK_M,), -1e30 if FOLD else -3.4028234663852886e38, tl.float32)
    unit = scale * 1.4426950408889634 if FOLD else 1.4426950408889634
    total = tl.zeros((BLOCK_M,), tl.float32)
    o = tl.zeros((BLOCK_M, BLOCK_V), tl.float32)
    i_first = first + block * BLOCK_M
    low, full, rest, stop = key_tiles(
        i_first, tl.minimum(i_first + BLOCK_M, S) - 1, S, start, end, window, CAUSAL, WINDOWED, BLOCK_N, LOOPS
    )
    for EDGE in tl.static_range(2 - LOOPS, 2):
        for along in range(0, walk(low, full, rest, stop, EDGE), BLOCK_N):
            n = tile_at(along, low, full, rest, EDGE, WINDOWED or START)
            j = n + lanes
            k, k_other, id_j = load_keys(
                k_ptr + b * k_b + g * k_h, k_t, other_ptr + b * other_b + g * other_h, other_t, ids_ptr + b * S,
                n, lanes, columns, S, K, BLOCK_K, OTHER, IDS, EDGE,
            )  # fmt: skip
            score, seen, _ = tile_scores(
                q, k, k_other, i, j, id_i, id_j, relative_ptr + h * P, bias_ptr + b * bias_b + h * bias_h,
                allowed_ptr + b * allowed_b + h * allowed_h, offset_i, bias_t, bias_s, allowed_t, allowed_s,
                first, S, start, end, H, P, centre, scale, window,
                CAUSAL, WINDOWED, ONLY, IDS, OTHER, TABLES, BIAS, ALLOWED, OFFSET, PRECISION,
                START or SPLIT, END or SPLIT, FOLD, EDGE,
            )  # fmt: skip
            if KIND == 0:
                if EDGE or ONLY or ALLOWED:
                    score = tl.where(seen, score, float("-inf"))
                new_peak = tl.maximum(peak, tl.max(score, 1))
                kept = tl.exp2((peak - new_peak) * unit)
                weight = exponential(score, new_peak * unit if FOLD else new_peak, FOLD, scale)
                total = total * kept + tl.sum(weight, 1)
                o = o * kept[:, None]
                peak = new_peak
            else:
                weight = weigh(score, seen, total, scale, ceiling, KIND, FOLD, EDGE or ONLY or ALLOWED)
            if DROPOUT:
                weight = weight * dropped(seed, row, t, j, S, dropout)
            v = load_rows(v_ptr + b * v_b + g * v_h, v_t, n, lanes, v_columns, S, V, BLOCK_V, EDGE)
            o = tl.dot(weight.to(v.dtype), v, o, input_precision=PRECISION)
    if KIND == 0:
        nobody = total == 0.0
        total = tl.where(nobody, 1.0, total)
        o = o / total[:, None]
        log_sum = peak * unit + tl.log2(total) if FOLD else peak + tl.log(total)
        # No weight to a part that saw nobody; a finite number where gradients are to follow.
        log_sum = tl.where(nobody, float("-inf") if SPLIT else 0.0, log_sum)
        tl.store(log_sum_ptr + row * T + t, log_sum, mask=t < T)
    o_at = b * o_b + h * o_h + t[:, None].to(tl.int64) * o_t + v_columns[None, :]
    tl.store(o_ptr + o_at, o.to(o_ptr.dtype.element_ty), mask=(t < T)[:, None] & (v_columns < V)[None, :])


@triton.jit
def combine_kernel(
    parts_ptr, log_sums_ptr, o_ptr, log_sum_ptr, o_b, o_h, o_t, H, T, parts,
    V: tl.constexpr, BLOCK_V: tl.constexpr, PARTS: tl.constexpr, FOLD: tl.constexpr, KIND: tl.constexpr,
):  # fmt: skip
    """o and log_sum of one query out of its parts'. Grid (T, rows)."""
    t, row = block_and_row(T)
    b, h = row // H, row % H
    numbers, columns = tl.arange(0, PARTS), tl.arange(0, BLOCK_V)
    # Parts lie a whole (B, H, T) apart.
    at = numbers.to(tl.int64) * tl.num_programs(0) + row * T + t
    inside = (numbers < parts)[:, None] & (columns < V)[None, :]
    o = tl.load(parts_ptr + at[:, None] * V + columns[None, :], mask=inside, other=0.0)
    if KIND == 0:
        sums = tl.load(log_sums_ptr + at, mask=numbers < parts, other=float("-inf"))
        peak = tl.maximum(tl.max(sums, 0), -3.4028234663852886e38)
        weight = tl.exp2(sums - peak) if FOLD else tl.exp(sums - peak)
        total = tl.sum(weight, 0)
        nobody = total == 0.0
        total = tl.where(nobody, 1.0, total)
        o = o * (weight / total)[:, None]
        log_sum = peak + (tl.log2(total) if FOLD else tl.log(total))
        tl.store(log_sum_ptr + row * T + t, tl.where(nobody, 0.0, log_sum))
    at = b * o_b + h * o_h + t.to(tl.int64) * o_t + columns
    tl.store(o_ptr + at, tl.sum(o, 0).to(o_ptr.dtype.element_ty), mask=columns < V)
