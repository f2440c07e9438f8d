"""The kernels of landmark attention: a flash kernel that goes block by block, so that a block's own softmax is at hand.

A token of an earlier block c has the logit s_j - lse_c + mark_c, one of the query's own block s_j: with these the
grouped softmax is one softmax, and its running sums are the usual ones. q, y, dy (B H, T, K or V), k, v (B H, S, .),
contiguous; marks (B H, T, N); place (B, T); lse and delta (B H, T). SIZE is a block's slots, REAL those of tokens,
BLOCK_S the power of two above. Far queries and keys stand in for distances above `reach`, where FAR says there are any.
"""

# mypy: ignore-errors
import triton
import triton.language as tl


@triton.jit
def _tile(ptr, row, rows, n_rows, W: tl.constexpr, WIDTH: tl.constexpr):
    """(rows, WIDTH) of a (B H, n_rows, W) tensor, zeros outside."""
    columns = tl.arange(0, WIDTH)
    inside = (rows < n_rows)[:, None] & (columns < W)[None, :]
    return tl.load(ptr + (row * n_rows + rows)[:, None] * W + columns[None, :], mask=inside, other=0.0)


@triton.jit
def _keep(ptr, values, row, rows, n_rows, W: tl.constexpr, WIDTH: tl.constexpr):
    """Writes such a tile."""
    columns = tl.arange(0, WIDTH)
    inside = (rows < n_rows)[:, None] & (columns < W)[None, :]
    at = (row * n_rows + rows)[:, None] * W + columns[None, :]
    tl.store(ptr + at, values.to(ptr.dtype.element_ty), mask=inside)


@triton.jit
def _logits(
    q, k, q_far, k_far, marks_ptr, row, rows, own, place, c, T, N, reach, scale, SIZE: tl.constexpr,
    REAL: tl.constexpr, BLOCK_S: tl.constexpr, FAR: tl.constexpr, PRECISION: tl.constexpr, wide: tl.constexpr,
):  # fmt: skip
    """Of block c: logits (rows, BLOCK_S), -inf where nothing is seen, and the softmax within the block."""
    slots = tl.arange(0, BLOCK_S)
    s = tl.dot(q, tl.trans(k), input_precision=PRECISION, out_dtype=wide) * scale
    if FAR:
        distant = tl.dot(q_far, tl.trans(k_far), input_precision=PRECISION, out_dtype=wide) * scale
        s = tl.where((own - c > reach)[:, None], distant, s)
    s = tl.where((slots < REAL)[None, :], s, float("-inf"))
    most = tl.max(s, 1)
    e = tl.exp(s - most[:, None])
    total = tl.sum(e, 1)
    before = own > c
    mark = tl.load(marks_ptr + (row * T + rows) * N + c, mask=before, other=float("-inf")).to(wide)
    grouped = s + (mark - most - tl.log(total))[:, None]
    up_to = (own == c)[:, None] & (slots[None, :] <= (place - own * SIZE)[:, None])
    return tl.where(before[:, None], grouped, tl.where(up_to, s, float("-inf"))), e / total[:, None]


@triton.jit
def _places(place_ptr, row, rows, T, H, SIZE: tl.constexpr):
    """Where the queries stand, and in which blocks; -1 past the end."""
    place = tl.load(place_ptr + (row // H) * T + rows, mask=rows < T, other=0).to(tl.int32)
    return place, tl.where(rows < T, place // SIZE, -1)


@triton.jit
def forward_kernel(
    q_ptr, k_ptr, v_ptr, marks_ptr, place_ptr, q_far_ptr, k_far_ptr, y_ptr, lse_ptr, T, S, N, H, reach, scale,
    K: tl.constexpr, V: tl.constexpr, WIDE_K: tl.constexpr, WIDE_V: tl.constexpr, SIZE: tl.constexpr,
    REAL: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_S: tl.constexpr, FAR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Grid (B x H, blocks of T)."""
    row = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * BLOCK_T + tl.arange(0, BLOCK_T)
    wide: tl.constexpr = lse_ptr.dtype.element_ty
    place, own = _places(place_ptr, row, rows, T, H, SIZE)
    q = _tile(q_ptr, row, rows, T, K, WIDE_K)
    q_far = _tile(q_far_ptr, row, rows, T, K, WIDE_K) if FAR else q
    most = tl.full((BLOCK_T,), float("-inf"), wide)
    total = tl.zeros((BLOCK_T,), wide)
    y = tl.zeros((BLOCK_T, WIDE_V), wide)
    for c in range(0, tl.max(own, 0) + 1):
        slots = c * SIZE + tl.arange(0, BLOCK_S)
        k = _tile(k_ptr, row, slots, S, K, WIDE_K)
        k_far = _tile(k_far_ptr, row, slots, S, K, WIDE_K) if FAR else k
        v = _tile(v_ptr, row, slots, S, V, WIDE_V)
        logits, _ = _logits(
            q, k, q_far, k_far, marks_ptr, row, rows, own, place, c, T, N, reach, scale,
            SIZE, REAL, BLOCK_S, FAR, PRECISION, wide,
        )  # fmt: skip
        larger = tl.maximum(most, tl.max(logits, 1))
        base = tl.where(larger == float("-inf"), 0.0, larger)  # nothing seen so far
        p, shrink = tl.exp(logits - base[:, None]), tl.exp(most - base)
        total = total * shrink + tl.sum(p, 1)
        y = tl.dot(p.to(v.dtype), v, y * shrink[:, None], input_precision=PRECISION, out_dtype=wide)
        most = larger
    total = tl.where(own < 0, 1.0, total)
    _keep(y_ptr, y / total[:, None], row, rows, T, V, WIDE_V)
    tl.store(lse_ptr + row * T + rows, most + tl.log(total), mask=rows < T)


@triton.jit
def _gradients(logits, within, before, lse, delta, dy, v, PRECISION: tl.constexpr, wide: tl.constexpr):
    """The weights p of a tile, the gradient of its scores, and that of the marks."""
    p = tl.exp(logits - lse[:, None])
    dp = tl.dot(dy, tl.trans(v), input_precision=PRECISION, out_dtype=wide)
    dlogits = p * (dp - delta[:, None])
    dmark = tl.sum(dlogits, 1)
    return p, dlogits - tl.where(before[:, None], within * dmark[:, None], 0.0), dmark


@triton.jit
def queries_kernel(
    q_ptr, k_ptr, v_ptr, marks_ptr, place_ptr, q_far_ptr, k_far_ptr, y_ptr, lse_ptr, dy_ptr,
    dq_ptr, dmarks_ptr, dq_far_ptr, delta_ptr, T, S, N, H, reach, scale,
    K: tl.constexpr, V: tl.constexpr, WIDE_K: tl.constexpr, WIDE_V: tl.constexpr, SIZE: tl.constexpr,
    REAL: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_S: tl.constexpr, FAR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """What belongs to a query: dq, dmarks (zeros are there already), and delta = dy . y. Grid as forward."""
    row = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * BLOCK_T + tl.arange(0, BLOCK_T)
    wide: tl.constexpr = lse_ptr.dtype.element_ty
    place, own = _places(place_ptr, row, rows, T, H, SIZE)
    q = _tile(q_ptr, row, rows, T, K, WIDE_K)
    q_far = _tile(q_far_ptr, row, rows, T, K, WIDE_K) if FAR else q
    dy = _tile(dy_ptr, row, rows, T, V, WIDE_V)
    lse = tl.load(lse_ptr + row * T + rows, mask=rows < T, other=0.0)
    delta = tl.sum(dy.to(wide) * _tile(y_ptr, row, rows, T, V, WIDE_V).to(wide), 1)
    tl.store(delta_ptr + row * T + rows, delta, mask=rows < T)
    dq = tl.zeros((BLOCK_T, WIDE_K), wide)
    dq_far = tl.zeros((BLOCK_T, WIDE_K), wide)
    for c in range(0, tl.max(own, 0) + 1):
        slots = c * SIZE + tl.arange(0, BLOCK_S)
        k = _tile(k_ptr, row, slots, S, K, WIDE_K)
        k_far = _tile(k_far_ptr, row, slots, S, K, WIDE_K) if FAR else k
        v = _tile(v_ptr, row, slots, S, V, WIDE_V)
        logits, within = _logits(
            q, k, q_far, k_far, marks_ptr, row, rows, own, place, c, T, N, reach, scale,
            SIZE, REAL, BLOCK_S, FAR, PRECISION, wide,
        )  # fmt: skip
        _, ds, dmark = _gradients(logits, within, own > c, lse, delta, dy, v, PRECISION, wide)
        tl.store(dmarks_ptr + (row * T + rows) * N + c, dmark, mask=own > c)
        if FAR:
            distant = (own - c > reach)[:, None]
            away = tl.where(distant, ds, 0.0).to(k.dtype)
            dq_far = tl.dot(away, k_far, dq_far, input_precision=PRECISION, out_dtype=wide)
            ds = tl.where(distant, 0.0, ds)
        dq = tl.dot(ds.to(k.dtype), k, dq, input_precision=PRECISION, out_dtype=wide)
    _keep(dq_ptr, dq * scale, row, rows, T, K, WIDE_K)
    if FAR:
        _keep(dq_far_ptr, dq_far * scale, row, rows, T, K, WIDE_K)


@triton.jit
def keys_kernel(
    q_ptr, k_ptr, v_ptr, marks_ptr, place_ptr, q_far_ptr, k_far_ptr, lse_ptr, delta_ptr, dy_ptr,
    dk_ptr, dv_ptr, dk_far_ptr, T, S, N, H, reach, scale,
    K: tl.constexpr, V: tl.constexpr, WIDE_K: tl.constexpr, WIDE_V: tl.constexpr, SIZE: tl.constexpr,
    REAL: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_S: tl.constexpr, FAR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dk, dv of one block of slots. Grid (B x H, N)."""
    row = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1)
    wide: tl.constexpr = lse_ptr.dtype.element_ty
    slot = tl.arange(0, BLOCK_S)
    slots = tl.where(slot < SIZE, c * SIZE + slot, S)  # what is past the block belongs to the next program
    k = _tile(k_ptr, row, slots, S, K, WIDE_K)
    k_far = _tile(k_far_ptr, row, slots, S, K, WIDE_K) if FAR else k
    v = _tile(v_ptr, row, slots, S, V, WIDE_V)
    dk, dv = tl.zeros((BLOCK_S, WIDE_K), wide), tl.zeros((BLOCK_S, WIDE_V), wide)
    dk_far = tl.zeros((BLOCK_S, WIDE_K), wide)
    for t in range(0, T, BLOCK_T):
        rows = t + tl.arange(0, BLOCK_T)
        place, own = _places(place_ptr, row, rows, T, H, SIZE)
        if tl.max(own, 0) >= c:
            q = _tile(q_ptr, row, rows, T, K, WIDE_K)
            q_far = _tile(q_far_ptr, row, rows, T, K, WIDE_K) if FAR else q
            dy = _tile(dy_ptr, row, rows, T, V, WIDE_V)
            lse = tl.load(lse_ptr + row * T + rows, mask=rows < T, other=0.0)
            delta = tl.load(delta_ptr + row * T + rows, mask=rows < T, other=0.0)
            logits, within = _logits(
                q, k, q_far, k_far, marks_ptr, row, rows, own, place, c, T, N, reach, scale,
                SIZE, REAL, BLOCK_S, FAR, PRECISION, wide,
            )  # fmt: skip
            p, ds, _ = _gradients(logits, within, own > c, lse, delta, dy, v, PRECISION, wide)
            dv = tl.dot(tl.trans(p).to(dy.dtype), dy, dv, input_precision=PRECISION, out_dtype=wide)
            if FAR:
                distant = (own - c > reach)[:, None]
                away = tl.trans(tl.where(distant, ds, 0.0)).to(q.dtype)
                dk_far = tl.dot(away, q_far, dk_far, input_precision=PRECISION, out_dtype=wide)
                ds = tl.where(distant, 0.0, ds)
            dk = tl.dot(tl.trans(ds).to(q.dtype), q, dk, input_precision=PRECISION, out_dtype=wide)
    _keep(dk_ptr, dk * scale, row, slots, S, K, WIDE_K)
    _keep(dv_ptr, dv, row, slots, S, V, WIDE_V)
    if FAR:
        _keep(dk_far_ptr, dk_far * scale, row, slots, S, K, WIDE_K)
