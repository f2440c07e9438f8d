"""The kernels of RAT's attention between chunks: a flash kernel whose keys are chunk ends, begun with the own chunk.

q, k_own, v_own, y (B, T, H, P) and k_ends, v_ends (B, S, H, P), contiguous; lse and delta (B, H, T). A token sees the
slots first[b] <= s < end[b, t], and end does not fall along t. WIDTH is P up to a power of two.
"""

# mypy: ignore-errors
import triton
import triton.language as tl

from kernels.grid import block_and_row


@triton.jit
def _tile(ptr, b, h, rows, n_rows, H, P: tl.constexpr, WIDTH: tl.constexpr):
    """(rows, WIDTH) of a (B, n_rows, H, P) tensor, zeros outside; and where it lies."""
    columns = tl.arange(0, WIDTH)
    at = ((b * n_rows + rows) * H + h)[:, None].to(tl.int64) * P + columns[None, :]
    inside = ((rows >= 0) & (rows < n_rows))[:, None] & (columns < P)[None, :]
    return tl.load(ptr + at, mask=inside, other=0.0), at, inside


@triton.jit
def _visible(slots, first, ends):
    return (slots >= first)[None, :] & (slots[None, :] < ends[:, None])


@triton.jit
def forward_kernel(
    q_ptr, k_own_ptr, v_own_ptr, k_ptr, v_ptr, first_ptr, end_ptr, y_ptr, lse_ptr, T, S, H, scale,
    P: tl.constexpr, WIDTH: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_S: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Grid (blocks of T, B x H)."""
    block, row = block_and_row(tl.cdiv(T, BLOCK_T))
    b, h = row // H, row % H
    rows = block * BLOCK_T + tl.arange(0, BLOCK_T)
    wide = lse_ptr.dtype.element_ty
    narrow = q_ptr.dtype.element_ty
    q, at, inside = _tile(q_ptr, b, h, rows, T, H, P, WIDTH)
    k_own = tl.load(k_own_ptr + at, mask=inside, other=0.0)
    most = tl.sum(q.to(wide) * k_own.to(wide), 1) * scale  # the running maximum, begun with the own score
    total = tl.full((BLOCK_T,), 1.0, wide)
    y = tl.load(v_own_ptr + at, mask=inside, other=0.0).to(wide)
    ends = tl.load(end_ptr + b * T + rows, mask=rows < T, other=0)
    first = tl.load(first_ptr + b)
    for s in range(first // BLOCK_S * BLOCK_S, tl.max(ends, 0), BLOCK_S):
        slots = s + tl.arange(0, BLOCK_S)
        k, _, _ = _tile(k_ptr, b, h, slots, S, H, P, WIDTH)
        v, _, _ = _tile(v_ptr, b, h, slots, S, H, P, WIDTH)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION, out_dtype=wide) * scale
        scores = tl.where(_visible(slots, first, ends), scores, float("-inf"))
        larger = tl.maximum(most, tl.max(scores, 1))  # finite: the own score is
        p, shrink = tl.exp(scores - larger[:, None]), tl.exp(most - larger)
        total = total * shrink + tl.sum(p, 1)
        y = tl.dot(p.to(narrow), v, y * shrink[:, None], input_precision=PRECISION, out_dtype=wide)
        most = larger
    tl.store(y_ptr + at, (y / total[:, None]).to(y_ptr.dtype.element_ty), mask=inside)
    tl.store(lse_ptr + (b * H + h) * T + rows, most + tl.log(total), mask=rows < T)


@triton.jit
def queries_kernel(
    q_ptr, k_own_ptr, v_own_ptr, k_ptr, v_ptr, first_ptr, end_ptr, y_ptr, lse_ptr, dy_ptr,
    dq_ptr, dk_own_ptr, dv_own_ptr, delta_ptr, T, S, H, scale,
    P: tl.constexpr, WIDTH: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_S: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """What belongs to a query: dq, dk_own, dv_own, and delta = dy . y for the other kernel. Grid as forward."""
    block, row = block_and_row(tl.cdiv(T, BLOCK_T))
    b, h = row // H, row % H
    rows = block * BLOCK_T + tl.arange(0, BLOCK_T)
    wide = lse_ptr.dtype.element_ty
    narrow = q_ptr.dtype.element_ty
    q, at, inside = _tile(q_ptr, b, h, rows, T, H, P, WIDTH)
    k_own = tl.load(k_own_ptr + at, mask=inside, other=0.0).to(wide)
    v_own = tl.load(v_own_ptr + at, mask=inside, other=0.0).to(wide)
    dy = tl.load(dy_ptr + at, mask=inside, other=0.0)
    lse = tl.load(lse_ptr + (b * H + h) * T + rows, mask=rows < T, other=0.0)
    delta = tl.sum(dy.to(wide) * tl.load(y_ptr + at, mask=inside, other=0.0).to(wide), 1)
    tl.store(delta_ptr + (b * H + h) * T + rows, delta, mask=rows < T)
    p_own = tl.exp(tl.sum(q.to(wide) * k_own, 1) * scale - lse)
    ds_own = p_own * (tl.sum(dy.to(wide) * v_own, 1) - delta) * scale
    tl.store(dk_own_ptr + at, (ds_own[:, None] * q.to(wide)).to(narrow), mask=inside)
    tl.store(dv_own_ptr + at, (p_own[:, None] * dy.to(wide)).to(narrow), mask=inside)
    dq = ds_own[:, None] * k_own
    ends = tl.load(end_ptr + b * T + rows, mask=rows < T, other=0)
    first = tl.load(first_ptr + b)
    for s in range(first // BLOCK_S * BLOCK_S, tl.max(ends, 0), BLOCK_S):
        slots = s + tl.arange(0, BLOCK_S)
        k, _, _ = _tile(k_ptr, b, h, slots, S, H, P, WIDTH)
        v, _, _ = _tile(v_ptr, b, h, slots, S, H, P, WIDTH)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION, out_dtype=wide) * scale
        p = tl.where(_visible(slots, first, ends), tl.exp(scores - lse[:, None]), 0.0)
        dp = tl.dot(dy, tl.trans(v), input_precision=PRECISION, out_dtype=wide)
        ds = p * (dp - delta[:, None]) * scale
        dq = tl.dot(ds.to(narrow), k, dq, input_precision=PRECISION, out_dtype=wide)
    tl.store(dq_ptr + at, dq.to(narrow), mask=inside)


@triton.jit
def slots_kernel(
    q_ptr, k_ptr, v_ptr, first_ptr, end_ptr, lse_ptr, delta_ptr, dy_ptr, dk_ptr, dv_ptr, T, S, H, scale,
    P: tl.constexpr, WIDTH: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_S: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dk_ends, dv_ends. Grid (blocks of S, B x H)."""
    block, row = block_and_row(tl.cdiv(S, BLOCK_S))
    b, h = row // H, row % H
    slots = block * BLOCK_S + tl.arange(0, BLOCK_S)
    wide = lse_ptr.dtype.element_ty
    narrow = q_ptr.dtype.element_ty
    k, at, inside = _tile(k_ptr, b, h, slots, S, H, P, WIDTH)
    v = tl.load(v_ptr + at, mask=inside, other=0.0)
    first = tl.load(first_ptr + b)
    dk, dv = tl.zeros((BLOCK_S, WIDTH), wide), tl.zeros((BLOCK_S, WIDTH), wide)
    for t in range(0, T, BLOCK_T):
        # A block of queries whose last one does not reach these slots has none that does.
        if tl.load(end_ptr + b * T + tl.minimum(t + BLOCK_T, T) - 1) > block * BLOCK_S:
            rows = t + tl.arange(0, BLOCK_T)
            q, q_at, q_inside = _tile(q_ptr, b, h, rows, T, H, P, WIDTH)
            dy = tl.load(dy_ptr + q_at, mask=q_inside, other=0.0)
            lse = tl.load(lse_ptr + (b * H + h) * T + rows, mask=rows < T, other=0.0)
            delta = tl.load(delta_ptr + (b * H + h) * T + rows, mask=rows < T, other=0.0)
            ends = tl.load(end_ptr + b * T + rows, mask=rows < T, other=0)
            scores = tl.dot(q, tl.trans(k), input_precision=PRECISION, out_dtype=wide) * scale
            p = tl.where(_visible(slots, first, ends), tl.exp(scores - lse[:, None]), 0.0)
            dp = tl.dot(dy, tl.trans(v), input_precision=PRECISION, out_dtype=wide)
            ds = p * (dp - delta[:, None]) * scale
            dv = tl.dot(tl.trans(p).to(narrow), dy, dv, input_precision=PRECISION, out_dtype=wide)
            dk = tl.dot(tl.trans(ds).to(narrow), q, dk, input_precision=PRECISION, out_dtype=wide)
    tl.store(dk_ptr + at, dk.to(narrow), mask=inside)
    tl.store(dv_ptr + at, dv.to(narrow), mask=inside)
