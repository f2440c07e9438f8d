"""The gradients of attention, tile by tile: by query block those of the queries and of what is added to the scores,
by key block those of the keys and values."""

import triton
import triton.language as tl

from kernels.attention.triton_tile import (
    dropped,
    key_bounds,
    key_range,
    load_keys,
    load_query_structure,
    score_gradient,
    tile_scores,
    weigh,
)
from kernels.grid import block_and_row


@triton.jit
def queries_kernel(
    q_ptr, k_ptr, v_ptr, do_ptr, log_sum_ptr, delta_ptr, q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, do_b, do_h, do_t,
    dq_ptr, dq_b, dq_h, dq_t, d_relative_ptr, d_bias_ptr, d_offset_ptr,
    other_ptr, other_b, other_h, other_t, ids_ptr, start_ptr, end_ptr, relative_ptr,
    bias_ptr, bias_b, bias_h, bias_t, bias_s, allowed_ptr, allowed_b, allowed_h, allowed_t, allowed_s,
    offset_ptr, offset_b, offset_h, offset_t, H, T, S, P, centre, scale, window, ceiling, dropout, seed,
    KIND: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, ONLY: tl.constexpr, IDS: tl.constexpr,
    OTHER: tl.constexpr, TABLES: tl.constexpr, BIAS: tl.constexpr, ALLOWED: tl.constexpr, OFFSET: tl.constexpr,
    START: tl.constexpr, END: tl.constexpr, DROPOUT: tl.constexpr, GROUPS: tl.constexpr,
    K: tl.constexpr, V: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    D_RELATIVE: tl.constexpr, D_BIAS: tl.constexpr, D_OFFSET: tl.constexpr,
):  # fmt: skip
    """dq, and where wanted the gradients of the relative table, the bias and the offset."""
    blocks = tl.cdiv(T, BLOCK_M)
    block, row = block_and_row(blocks)
    block = blocks - 1 - block
    b, h = row // H, row % H
    g = h // (H // GROUPS)
    first = S - T
    t = block * BLOCK_M + tl.arange(0, BLOCK_M)
    i = first + t
    far_t = t[:, None].to(tl.int64)
    columns, v_columns = tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_V)
    q_mask = (t < T)[:, None] & (columns < K)[None, :]
    o_mask = (t < T)[:, None] & (v_columns < V)[None, :]
    q = tl.load(q_ptr + b * q_b + h * q_h + far_t * q_t + columns[None, :], mask=q_mask, other=0.0)
    d_o = tl.load(do_ptr + b * do_b + h * do_h + far_t * do_t + v_columns[None, :], mask=o_mask, other=0.0)
    log_sum = tl.zeros((BLOCK_M,), tl.float32)
    if KIND == 0:
        log_sum = tl.load(log_sum_ptr + row * T + t, mask=t < T, other=0.0)
    delta = tl.load(delta_ptr + row * T + t, mask=t < T, other=0.0)
    start, end = key_bounds(start_ptr, end_ptr, b, S, START, END)
    id_i, offset_i = load_query_structure(
        ids_ptr + b * S, offset_ptr + b * offset_b + h * offset_h, offset_t, t, i, T, S, IDS, OFFSET
    )
    d_offset = tl.zeros((BLOCK_M,), tl.float32)
    dq = tl.zeros((BLOCK_M, BLOCK_K), tl.float32)
    low, high = key_range(first + block * BLOCK_M, first + block * BLOCK_M + BLOCK_M - 1, S, start, end, window,
                          CAUSAL, WINDOWED, BLOCK_N)  # fmt: skip
    for n in range(low, high, BLOCK_N):
        j = n + tl.arange(0, BLOCK_N)
        far = j[:, None].to(tl.int64)
        k, k_other, id_j = load_keys(
            k_ptr + b * k_b + g * k_h, k_t, other_ptr + b * other_b + g * other_h, other_t, ids_ptr + b * S,
            j, columns, S, K, OTHER, IDS,
        )  # fmt: skip
        score, seen, same, where = tile_scores(
            q, k, k_other, i, j, id_i, id_j, relative_ptr + h * P, bias_ptr + b * bias_b + h * bias_h,
            allowed_ptr + b * allowed_b + h * allowed_h, offset_i, bias_t, bias_s, allowed_t, allowed_s,
            first, S, start, end, H, P, centre, scale, window,
            CAUSAL, WINDOWED, ONLY, IDS, OTHER, TABLES, BIAS, ALLOWED, OFFSET, PRECISION,
        )  # fmt: skip
        weight = weigh(score, seen, log_sum, ceiling, KIND)
        v_at = b * v_b + g * v_h + far * v_t + v_columns[None, :]
        v = tl.load(v_ptr + v_at, mask=(j < S)[:, None] & (v_columns < V)[None, :], other=0.0)
        d_weight = tl.dot(d_o, tl.trans(v), input_precision=PRECISION)
        if DROPOUT:
            d_weight = d_weight * dropped(seed, row, t, j, S, dropout)
        ds = score_gradient(weight, score, d_weight, delta, ceiling, KIND)
        if OTHER:
            dq = tl.dot(tl.where(same, ds, 0.0).to(k.dtype), k, dq, input_precision=PRECISION)
            dq = tl.dot(tl.where(same, 0.0, ds).to(k.dtype), k_other, dq, input_precision=PRECISION)
        else:
            dq = tl.dot(ds.to(k.dtype), k, dq, input_precision=PRECISION)
        if D_OFFSET:
            d_offset += tl.sum(ds, 1)
        if D_RELATIVE:
            table = (b * blocks + block) * TABLES * H * P + h * P
            tl.atomic_add(d_relative_ptr + table + where, ds, mask=seen, sem="relaxed")
        if D_BIAS:
            at = (row * T + far_t) * S + j[None, :]
            tl.store(d_bias_ptr + at, ds, mask=(t < T)[:, None] & (j < S)[None, :])
    dq_at = b * dq_b + h * dq_h + far_t * dq_t + columns[None, :]
    tl.store(dq_ptr + dq_at, (dq * scale).to(dq_ptr.dtype.element_ty), mask=q_mask)
    if D_OFFSET:
        tl.store(d_offset_ptr + row * T + t, d_offset, mask=t < T)


@triton.jit
def keys_kernel(
    q_ptr, k_ptr, v_ptr, do_ptr, log_sum_ptr, delta_ptr, q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, do_b, do_h, do_t,
    dk_ptr, dv_ptr, d_other_ptr, dk_b, dk_h, dk_t, dv_b, dv_h, dv_t,
    other_ptr, other_b, other_h, other_t, ids_ptr, start_ptr, end_ptr, relative_ptr,
    bias_ptr, bias_b, bias_h, bias_t, bias_s, allowed_ptr, allowed_b, allowed_h, allowed_t, allowed_s,
    offset_ptr, offset_b, offset_h, offset_t, H, T, S, P, centre, scale, window, ceiling, dropout, seed,
    KIND: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, ONLY: tl.constexpr, IDS: tl.constexpr,
    OTHER: tl.constexpr, TABLES: tl.constexpr, BIAS: tl.constexpr, ALLOWED: tl.constexpr, OFFSET: tl.constexpr,
    START: tl.constexpr, END: tl.constexpr, DROPOUT: tl.constexpr, GROUPS: tl.constexpr,
    K: tl.constexpr, V: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    PER_GROUP: tl.constexpr,
):  # fmt: skip
    """dk, dv and the gradient of k_other, each summed over the query heads that share the key head."""
    block, pair = block_and_row(tl.cdiv(S, BLOCK_N))
    n = block * BLOCK_N
    b, g = pair // GROUPS, pair % GROUPS
    first = S - T
    j = n + tl.arange(0, BLOCK_N)
    far = j[:, None].to(tl.int64)
    columns, v_columns = tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_V)
    k_mask = (j < S)[:, None] & (columns < K)[None, :]
    v_mask = (j < S)[:, None] & (v_columns < V)[None, :]
    k, k_other, id_j = load_keys(
        k_ptr + b * k_b + g * k_h, k_t, other_ptr + b * other_b + g * other_h, other_t, ids_ptr + b * S,
        j, columns, S, K, OTHER, IDS,
    )  # fmt: skip
    v = tl.load(v_ptr + b * v_b + g * v_h + far * v_t + v_columns[None, :], mask=v_mask, other=0.0)
    start, end = key_bounds(start_ptr, end_ptr, b, S, START, END)
    dk = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
    dv = tl.zeros((BLOCK_N, BLOCK_V), tl.float32)
    d_other = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
    # Queries that can see any of these keys: none where all of them lie outside start .. end.
    low, high = 0, T
    if CAUSAL:
        low = tl.maximum(low, n - first)
    if WINDOWED:
        high = tl.minimum(high, n + BLOCK_N - 1 + window - first + 1)
        if not CAUSAL:
            low = tl.maximum(low, n - window - first)
    if (n >= end) | (n + BLOCK_N <= start):
        high = low
    low = (low // BLOCK_M) * BLOCK_M
    for head in range(PER_GROUP):
        h = g * PER_GROUP + head
        row = b * H + h
        for m in range(low, high, BLOCK_M):
            t = m + tl.arange(0, BLOCK_M)
            i = first + t
            far_t = t[:, None].to(tl.int64)
            q_mask = (t < T)[:, None] & (columns < K)[None, :]
            o_mask = (t < T)[:, None] & (v_columns < V)[None, :]
            q = tl.load(q_ptr + b * q_b + h * q_h + far_t * q_t + columns[None, :], mask=q_mask, other=0.0)
            d_o = tl.load(do_ptr + b * do_b + h * do_h + far_t * do_t + v_columns[None, :], mask=o_mask, other=0.0)
            log_sum = tl.zeros((BLOCK_M,), tl.float32)
            if KIND == 0:
                log_sum = tl.load(log_sum_ptr + row * T + t, mask=t < T, other=0.0)
            delta = tl.load(delta_ptr + row * T + t, mask=t < T, other=0.0)
            id_i, offset_i = load_query_structure(
                ids_ptr + b * S, offset_ptr + b * offset_b + h * offset_h, offset_t, t, i, T, S, IDS, OFFSET
            )
            score, seen, same, _ = tile_scores(
                q, k, k_other, i, j, id_i, id_j, relative_ptr + h * P, bias_ptr + b * bias_b + h * bias_h,
                allowed_ptr + b * allowed_b + h * allowed_h, offset_i, bias_t, bias_s, allowed_t, allowed_s,
                first, S, start, end, H, P, centre, scale, window,
                CAUSAL, WINDOWED, ONLY, IDS, OTHER, TABLES, BIAS, ALLOWED, OFFSET, PRECISION,
            )  # fmt: skip
            weight = weigh(score, seen, log_sum, ceiling, KIND)
            given = weight
            d_weight = tl.dot(d_o, tl.trans(v), input_precision=PRECISION)
            if DROPOUT:
                keep = dropped(seed, row, t, j, S, dropout)
                given, d_weight = weight * keep, d_weight * keep
            dv = tl.dot(tl.trans(given.to(d_o.dtype)), d_o, dv, input_precision=PRECISION)
            ds = score_gradient(weight, score, d_weight, delta, ceiling, KIND)
            if OTHER:
                dk = tl.dot(tl.trans(tl.where(same, ds, 0.0).to(q.dtype)), q, dk, input_precision=PRECISION)
                d_other = tl.dot(tl.trans(tl.where(same, 0.0, ds).to(q.dtype)), q, d_other, input_precision=PRECISION)
            else:
                dk = tl.dot(tl.trans(ds.to(q.dtype)), q, dk, input_precision=PRECISION)
    dk_at = b * dk_b + g * dk_h + far * dk_t + columns[None, :]
    tl.store(dk_ptr + dk_at, (dk * scale).to(dk_ptr.dtype.element_ty), mask=k_mask)
    if OTHER:
        tl.store(d_other_ptr + dk_at, (d_other * scale).to(dk_ptr.dtype.element_ty), mask=k_mask)
    dv_at = b * dv_b + g * dv_h + far * dv_t + v_columns[None, :]
    tl.store(dv_ptr + dv_at, dv.to(dv_ptr.dtype.element_ty), mask=v_mask)
