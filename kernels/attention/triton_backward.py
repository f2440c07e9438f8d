"""The gradients of attention, tile by tile: by query block those of the queries and of what is added to the scores,
by key block those of the keys and values; or all by key block, the queries' added up in memory."""

# mypy: ignore-errors
import triton
import triton.language as tl

from kernels.attention.triton_tile import (
    dropped,
    key_bounds,
    key_tiles,
    load_keys,
    load_query_structure,
    load_rows,
    query_tiles,
    score_gradient,
    tile_at,
    tile_scores,
    walk,
    weigh,
)
from kernels.grid import block_and_row


@triton.jit
def add_to_table(table_ptr, ds, place, P, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    """Adds ds (M, N) to a relative table by distance; `place` is the place of the tile's smallest distance, unclipped.

    Scores of one distance lie on a diagonal: each is summed first, so that there is one add a distance, and not one a
    score; one for the whole tile where all its distances count as the same.
    """
    if (place >= P - 1) | (place + BLOCK_M + BLOCK_N - 2 <= 0):
        tl.atomic_add(table_ptr + tl.minimum(tl.maximum(place, 0), P - 1), tl.sum(tl.sum(ds, 1), 0), sem="relaxed")
    else:
        WIDE: tl.constexpr = 2 * (BLOCK_M if BLOCK_M > BLOCK_N else BLOCK_N)
        distance = tl.arange(0, WIDE)
        j = tl.arange(0, BLOCK_M)[:, None] + (BLOCK_N - 1) - distance[None, :]
        inside = (j >= 0) & (j < BLOCK_N)
        skewed = tl.gather(ds, tl.where(inside, j, 0), 1)
        sums = tl.sum(tl.where(inside, skewed, 0.0), 0)
        where = tl.minimum(tl.maximum(place + distance, 0), P - 1)
        tl.atomic_add(table_ptr + where, sums, mask=distance < BLOCK_M + BLOCK_N - 1, sem="relaxed")


@triton.jit
def queries_kernel(
    q_ptr, k_ptr, v_ptr, do_ptr, log_sum_ptr, delta_ptr, q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, do_b, do_h, do_t,
    dq_ptr, dq_b, dq_h, dq_t, d_relative_ptr, d_bias_ptr, d_offset_ptr,
    other_ptr, other_b, other_h, other_t, ids_ptr, start_ptr, end_ptr, relative_ptr,
    bias_ptr, bias_b, bias_h, bias_t, bias_s, allowed_ptr, allowed_b, allowed_h, allowed_t, allowed_s,
    offset_ptr, offset_b, offset_h, offset_t, H, T, S, P, centre, scale, window, ceiling, dropout, seed,
    KIND: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, ONLY: tl.constexpr, IDS: tl.constexpr,
    OTHER: tl.constexpr, TABLES: tl.constexpr, BIAS: tl.constexpr, ALLOWED: tl.constexpr, OFFSET: tl.constexpr,
    START: tl.constexpr, END: tl.constexpr, DROPOUT: tl.constexpr, FOLD: tl.constexpr, GROUPS: tl.constexpr,
    K: tl.constexpr, V: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, LOOPS: tl.constexpr,
    D_RELATIVE: tl.constexpr, D_BIAS: tl.constexpr, D_OFFSET: tl.constexpr,
):  # fmt: skip
    """dq, and where wanted the gradients of the relative table, the bias and the offset."""
    blocks = tl.cdiv(T, BLOCK_M)
    block, row = block_and_row(blocks)
    block = blocks - 1 - block
    b, h = row // H, row % H
    g = h // (H // GROUPS)
    first = S - T
    rows = tl.arange(0, BLOCK_M)
    t = block * BLOCK_M + rows
    i = first + t
    lanes, columns, v_columns = tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_V)
    q = load_rows(q_ptr + b * q_b + h * q_h, q_t, block * BLOCK_M, rows, columns, T, K, BLOCK_K, True)
    d_o = load_rows(do_ptr + b * do_b + h * do_h, do_t, block * BLOCK_M, rows, v_columns, T, V, BLOCK_V, True)
    # A query past the last weighs nothing, also where a tile does not ask who is seen.
    log_sum = tl.zeros((BLOCK_M,), tl.float32)
    if KIND == 0:
        log_sum = tl.load(log_sum_ptr + row * T + t, mask=t < T, other=float("inf"))
    delta = tl.load(delta_ptr + row * T + t, mask=t < T, other=0.0)
    start, end = key_bounds(start_ptr, end_ptr, b, S, START, END)
    id_i, offset_i = load_query_structure(
        ids_ptr + b * S, offset_ptr + b * offset_b + h * offset_h, offset_t, t, i, T, S, IDS, OFFSET
    )
    d_offset = tl.zeros((BLOCK_M,), tl.float32)
    dq = tl.zeros((BLOCK_M, BLOCK_K), tl.float32)
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
            score, seen, same = tile_scores(
                q, k, k_other, i, j, id_i, id_j, relative_ptr + h * P, bias_ptr + b * bias_b + h * bias_h,
                allowed_ptr + b * allowed_b + h * allowed_h, offset_i, bias_t, bias_s, allowed_t, allowed_s,
                first, S, start, end, H, P, centre, scale, window,
                CAUSAL, WINDOWED, ONLY, IDS, OTHER, TABLES, BIAS, ALLOWED, OFFSET, PRECISION,
                START, END, FOLD, EDGE,
            )  # fmt: skip
            weight = weigh(score, seen, log_sum, scale, ceiling, KIND, FOLD, EDGE or ONLY or ALLOWED)
            v = load_rows(v_ptr + b * v_b + g * v_h, v_t, n, lanes, v_columns, S, V, BLOCK_V, EDGE)
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
                # A table of its own for each program: shared ones would make every program wait for every other.
                table = d_relative_ptr + ((b * blocks + block) * TABLES * H + h) * P
                place = i_first - n - (BLOCK_N - 1) + centre
                if TABLES == 2:
                    add_to_table(table, tl.where(same, ds, 0.0), place, P, BLOCK_M, BLOCK_N)
                    add_to_table(table + H * P, tl.where(same, 0.0, ds), place, P, BLOCK_M, BLOCK_N)
                else:
                    add_to_table(table, ds, place, P, BLOCK_M, BLOCK_N)
            if D_BIAS:
                at = (row * T + t[:, None].to(tl.int64)) * S + j[None, :]
                tl.store(d_bias_ptr + at, ds, mask=(t < T)[:, None] & (j < S)[None, :])
    dq_at = b * dq_b + h * dq_h + t[:, None].to(tl.int64) * dq_t + columns[None, :]
    inside = (t < T)[:, None] & (columns < K)[None, :]
    tl.store(dq_ptr + dq_at, (dq * scale).to(dq_ptr.dtype.element_ty), mask=inside)
    if D_OFFSET:
        tl.store(d_offset_ptr + row * T + t, d_offset, mask=t < T)


@triton.jit
def keys_kernel(
    q_ptr, k_ptr, v_ptr, do_ptr, log_sum_ptr, delta_ptr, q_b, q_h, q_t, k_b, k_h, k_t, v_b, v_h, v_t, do_b, do_h, do_t,
    dk_ptr, dv_ptr, d_other_ptr, dk_b, dk_h, dk_t, dv_b, dv_h, dv_t, dq_ptr, dq_b, dq_h, dq_t,
    other_ptr, other_b, other_h, other_t, ids_ptr, start_ptr, end_ptr, relative_ptr,
    bias_ptr, bias_b, bias_h, bias_t, bias_s, allowed_ptr, allowed_b, allowed_h, allowed_t, allowed_s,
    offset_ptr, offset_b, offset_h, offset_t, H, T, S, P, centre, scale, window, ceiling, dropout, seed,
    KIND: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, ONLY: tl.constexpr, IDS: tl.constexpr,
    OTHER: tl.constexpr, TABLES: tl.constexpr, BIAS: tl.constexpr, ALLOWED: tl.constexpr, OFFSET: tl.constexpr,
    START: tl.constexpr, END: tl.constexpr, DROPOUT: tl.constexpr, FOLD: tl.constexpr, GROUPS: tl.constexpr,
    K: tl.constexpr, V: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, LOOPS: tl.constexpr,
    PER_GROUP: tl.constexpr, ONE_PASS: tl.constexpr,
):  # fmt: skip
    """dk, dv and the gradient of k_other, each summed over the query heads that share the key head.

    ONE_PASS: adds dq, float32, as well, so that no other pass makes these scores again."""
    block, pair = block_and_row(tl.cdiv(S, BLOCK_N))
    n = block * BLOCK_N
    b, g = pair // GROUPS, pair % GROUPS
    first = S - T
    lanes, rows, columns, v_columns = (
        tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_M), tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_V)
    )  # fmt: skip
    j = n + lanes
    k, k_other, id_j = load_keys(
        k_ptr + b * k_b + g * k_h, k_t, other_ptr + b * other_b + g * other_h, other_t, ids_ptr + b * S,
        n, lanes, columns, S, K, BLOCK_K, OTHER, IDS, True,
    )  # fmt: skip
    v = load_rows(v_ptr + b * v_b + g * v_h, v_t, n, lanes, v_columns, S, V, BLOCK_V, True)
    start, end = key_bounds(start_ptr, end_ptr, b, S, START, END)
    dk = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
    dv = tl.zeros((BLOCK_N, BLOCK_V), tl.float32)
    d_other = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
    low, full, rest, stop = query_tiles(n, first, T, start, end, window, CAUSAL, WINDOWED, BLOCK_M, BLOCK_N, LOOPS)
    for head in range(PER_GROUP):
        h = g * PER_GROUP + head
        row = b * H + h
        for EDGE in tl.static_range(2 - LOOPS, 2):
            for along in range(0, walk(low, full, rest, stop, EDGE), BLOCK_M):
                m = tile_at(along, low, full, rest, EDGE, True)
                t = m + rows
                i = first + t
                q = load_rows(q_ptr + b * q_b + h * q_h, q_t, m, rows, columns, T, K, BLOCK_K, EDGE)
                d_o = load_rows(do_ptr + b * do_b + h * do_h, do_t, m, rows, v_columns, T, V, BLOCK_V, EDGE)
                log_sum = tl.zeros((BLOCK_M,), tl.float32)
                if KIND == 0:
                    log_sum = tl.load(log_sum_ptr + row * T + t, mask=t < T, other=float("inf"))
                delta = tl.load(delta_ptr + row * T + t, mask=t < T, other=0.0)
                id_i, offset_i = load_query_structure(
                    ids_ptr + b * S, offset_ptr + b * offset_b + h * offset_h, offset_t, t, i, T, S, IDS, OFFSET
                )
                score, seen, same = tile_scores(
                    q, k, k_other, i, j, id_i, id_j, relative_ptr + h * P, bias_ptr + b * bias_b + h * bias_h,
                    allowed_ptr + b * allowed_b + h * allowed_h, offset_i, bias_t, bias_s, allowed_t, allowed_s,
                    first, S, start, end, H, P, centre, scale, window,
                    CAUSAL, WINDOWED, ONLY, IDS, OTHER, TABLES, BIAS, ALLOWED, OFFSET, PRECISION,
                    START, END, FOLD, EDGE,
                )  # fmt: skip
                weight = weigh(score, seen, log_sum, scale, ceiling, KIND, FOLD, EDGE or ONLY or ALLOWED)
                given = weight
                d_weight = tl.dot(d_o, tl.trans(v), input_precision=PRECISION)
                if DROPOUT:
                    keep = dropped(seed, row, t, j, S, dropout)
                    given, d_weight = weight * keep, d_weight * keep
                dv = tl.dot(tl.trans(given.to(d_o.dtype)), d_o, dv, input_precision=PRECISION)
                ds = score_gradient(weight, score, d_weight, delta, ceiling, KIND)
                if OTHER:
                    own, others = tl.where(same, ds, 0.0), tl.where(same, 0.0, ds)
                    dk = tl.dot(tl.trans(own.to(q.dtype)), q, dk, input_precision=PRECISION)
                    d_other = tl.dot(tl.trans(others.to(q.dtype)), q, d_other, input_precision=PRECISION)
                else:
                    dk = tl.dot(tl.trans(ds.to(q.dtype)), q, dk, input_precision=PRECISION)
                if ONE_PASS:
                    if OTHER:
                        dq = tl.dot(own.to(k.dtype), k, input_precision=PRECISION)
                        dq = tl.dot(others.to(k.dtype), k_other, dq, input_precision=PRECISION)
                    else:
                        dq = tl.dot(ds.to(k.dtype), k, input_precision=PRECISION)
                    dq_at = b * dq_b + h * dq_h + t[:, None].to(tl.int64) * dq_t + columns[None, :]
                    inside = (t < T)[:, None] & (columns < K)[None, :]
                    tl.atomic_add(dq_ptr + dq_at, dq * scale, mask=inside, sem="relaxed")
    far = j[:, None].to(tl.int64)
    k_mask, v_mask = (j < S)[:, None] & (columns < K)[None, :], (j < S)[:, None] & (v_columns < V)[None, :]
    dk_at = b * dk_b + g * dk_h + far * dk_t + columns[None, :]
    tl.store(dk_ptr + dk_at, (dk * scale).to(dk_ptr.dtype.element_ty), mask=k_mask)
    if OTHER:
        tl.store(d_other_ptr + dk_at, (d_other * scale).to(dk_ptr.dtype.element_ty), mask=k_mask)
    dv_at = b * dv_b + g * dv_h + far * dv_t + v_columns[None, :]
    tl.store(dv_ptr + dv_at, dv.to(dv_ptr.dtype.element_ty), mask=v_mask)
