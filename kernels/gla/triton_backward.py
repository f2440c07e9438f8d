"""The backward kernels of chunked gated linear attention. Names and layouts as in triton_forward.py.

With dS the gradient of the state after a chunk: dP = dO V^T on and below the diagonal; dV = P^T dO +
(K * exp(after)) dS; the gradient of the state before it is diag(f of the chunk) dS + (Q * exp(up_to))^T dO. The gate
needs no states of its own: d log f_t = sum over i >= t in the chunk of (q_i dq_i - k_i dk_i), plus the sum over V of
S dS at the chunk's end. What heads share has the sum of their gradients.
"""

# mypy: ignore-errors
import triton
import triton.language as tl

from kernels.gla.triton_tile import is_late, joined, load_gate, load_gates, load_rows, one_gate
from kernels.grid import block_and_row, blocks_and_row


@triton.jit
def dstates_kernel(
    q_ptr, q_b, q_h, q_t, do_ptr, do_b, do_h, do_t, up_to_ptr, dlast_ptr, DH_ptr, dS_ptr, T, GROUPS, PER: tl.constexpr,
    K: tl.constexpr, V: tl.constexpr, G: tl.constexpr, C: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradient of the state after each chunk, DH (pairs, chunks, K, V), last chunk first, and of the first state.

    Grid (blocks of K, blocks of V, pairs).
    """
    block_k, block_v, pair = blocks_and_row(tl.cdiv(K, BLOCK_K), tl.cdiv(V, BLOCK_V))
    lanes = tl.arange(0, C)
    ks, vs = block_k * BLOCK_K + tl.arange(0, BLOCK_K), block_v * BLOCK_V + tl.arange(0, BLOCK_V)
    inside = (ks < K)[:, None] & (vs < V)[None, :]
    at = ks[:, None] * V + vs[None, :]
    wide = dS_ptr.dtype.element_ty
    narrow = do_ptr.dtype.element_ty
    n_chunks = tl.cdiv(T, C)
    last = (n_chunks - 1).to(tl.int64) * C
    q_ptr += pair // GROUPS * q_b + pair % GROUPS * PER * q_h + last * q_t
    do_ptr += pair // GROUPS * do_b + pair % GROUPS * PER * do_h + last * do_t
    up_to_ptr += (pair * T + last) * G
    DH_ptr += (pair * n_chunks + n_chunks - 1) * K * V
    dS = tl.load(dlast_ptr + pair * K * V + at, mask=inside, other=0.0)
    for m in range(n_chunks):
        tl.store(DH_ptr + at, dS.to(narrow), mask=inside)
        left = T - (n_chunks - 1 - m) * C
        up_to = tl.exp2(load_gates(up_to_ptr, lanes, ks, left, K, G, wide))
        kept = tl.exp2(load_gate(up_to_ptr + (tl.minimum(left, C) - 1) * G, ks, K, G, wide))
        dS = dS * kept[:, None]
        for head in range(PER):
            q = load_rows(q_ptr + head * q_h, q_t, lanes, ks, left, K, wide)
            do = load_rows(do_ptr + head * do_h, do_t, lanes, vs, left, V, narrow)
            dS = tl.dot(tl.trans((q * up_to).to(narrow)), do, dS, input_precision=PRECISION, out_dtype=wide)
        q_ptr -= C * q_t
        do_ptr -= C * do_t
        up_to_ptr -= C * G
        DH_ptr -= K * V
    tl.store(dS_ptr + pair * K * V + at, dS, mask=inside)


@triton.jit
def dscores_kernel(
    do_ptr, do_b, do_h, do_t, v_ptr, v_b, v_h, v_t, dP_ptr, T, H, PER: tl.constexpr,
    V: tl.constexpr, C: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dP (rows, T, C), zero above the diagonal. Grid (chunks, rows)."""
    n, row = block_and_row(tl.cdiv(T, C))
    b, h = row // H, row % H
    lanes, start = tl.arange(0, C), (n * C).to(tl.int64)
    left = T - start
    do_ptr += b * do_b + h * do_h + start * do_t
    v_ptr += b * v_b + h // PER * v_h + start * v_t
    wide = dP_ptr.dtype.element_ty
    narrow = v_ptr.dtype.element_ty
    dP = tl.zeros((C, C), wide)
    for v0 in range(0, V, BLOCK_V):
        vs = v0 + tl.arange(0, BLOCK_V)
        do = load_rows(do_ptr, do_t, lanes, vs, left, V, narrow)
        v = load_rows(v_ptr, v_t, lanes, vs, left, V, narrow)
        dP = tl.dot(do, tl.trans(v), dP, input_precision=PRECISION, out_dtype=wide)
    dP = tl.where(lanes[:, None] >= lanes[None, :], dP, 0.0)
    at = (row * T + start + lanes)[:, None] * C + lanes[None, :]
    tl.store(dP_ptr + at, dP, mask=(lanes < left)[:, None])


@triton.jit
def dvalues_kernel(
    k_ptr, k_b, k_h, k_t, do_ptr, do_b, do_h, do_t, after_ptr, P_ptr, DH_ptr, dv_ptr, T, GROUPS, PER: tl.constexpr,
    K: tl.constexpr, V: tl.constexpr, G: tl.constexpr, C: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dV for one chunk. Grid (blocks of V, chunks, pairs)."""
    block, n, pair = blocks_and_row(tl.cdiv(V, BLOCK_V), tl.cdiv(T, C))
    b, group = pair // GROUPS, pair % GROUPS
    lanes, vs, start = tl.arange(0, C), block * BLOCK_V + tl.arange(0, BLOCK_V), (n * C).to(tl.int64)
    left = T - start
    k_ptr += b * k_b + group * k_h + start * k_t
    do_ptr += b * do_b + group * PER * do_h + start * do_t
    after_ptr += (pair * T + start) * G
    P_ptr += (pair * PER * T + start) * C
    DH_ptr += (pair * tl.cdiv(T, C) + n) * K * V
    wide = P_ptr.dtype.element_ty
    narrow = do_ptr.dtype.element_ty
    dv = tl.zeros((C, BLOCK_V), wide)
    for head in range(PER):
        P = load_rows(P_ptr + head * T * C, C, lanes, lanes, left, C, narrow)
        do = load_rows(do_ptr + head * do_h, do_t, lanes, vs, left, V, narrow)
        dv = tl.dot(tl.trans(P), do, dv, input_precision=PRECISION, out_dtype=wide)
    for k0 in range(0, K, BLOCK_K):
        ks = k0 + tl.arange(0, BLOCK_K)
        k = load_rows(k_ptr, k_t, lanes, ks, left, K, wide)
        written = k * tl.exp2(load_gates(after_ptr, lanes, ks, left, K, G, wide))
        dS = load_rows(DH_ptr, V, ks, vs, K, V, narrow)
        dv = tl.dot(written.to(narrow), dS, dv, input_precision=PRECISION, out_dtype=wide)
    at = ((b * T + start + lanes)[:, None] * GROUPS + group) * V + vs[None, :]
    tl.store(dv_ptr + at, dv.to(narrow), mask=(lanes < left)[:, None] & (vs < V)[None, :])


@triton.jit
def dkeys_kernel(
    q_ptr, q_b, q_h, q_t, k_ptr, k_b, k_h, k_t, v_ptr, v_b, v_h, v_t, do_ptr, do_b, do_h, do_t,
    log_f_ptr, f_b, f_h, f_t, tree_ptr, up_to_ptr, after_ptr, H_ptr, DH_ptr, dP_ptr, dq_ptr, dk_ptr, dlog_f_ptr,
    T, GROUPS, PER: tl.constexpr, K: tl.constexpr, V: tl.constexpr, G: tl.constexpr, C: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, LEVELS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dQ, dK and d log f (a column a channel) of one chunk. Grid (blocks of K, chunks, pairs).

    First what reaches them through the states, then, level by level, through P. P's diagonal adds the same to q dq and
    to k dk, so the gate takes their difference before it comes in: with strong gates it is most of both.
    """
    block, n, pair = blocks_and_row(tl.cdiv(K, BLOCK_K), tl.cdiv(T, C))
    b, group = pair // GROUPS, pair % GROUPS
    lanes, ks, start = tl.arange(0, C), block * BLOCK_K + tl.arange(0, BLOCK_K), (n * C).to(tl.int64)
    left = T - start
    q_ptr += b * q_b + group * PER * q_h + start * q_t
    k_ptr += b * k_b + group * k_h + start * k_t
    v_ptr += b * v_b + group * v_h + start * v_t
    do_ptr += b * do_b + group * PER * do_h + start * do_t
    log_f_ptr += b * f_b + group * f_h + start * f_t
    up_to_ptr += (pair * T + start) * G
    after_ptr += (pair * T + start) * G
    tree_ptr += (pair * tl.cdiv(T, C) + n) * 2 * C * K
    H_ptr += (pair * (tl.cdiv(T, C) + 1) + n) * K * V
    DH_ptr += (pair * tl.cdiv(T, C) + n) * K * V
    dP_ptr += (pair * PER * T + start) * C
    wide = dP_ptr.dtype.element_ty
    narrow = do_ptr.dtype.element_ty
    inside = (lanes < left)[:, None] & (ks < K)[None, :]
    apart = lanes[:, None] ^ lanes[None, :]
    k = load_rows(k_ptr, k_t, lanes, ks, left, K, narrow)
    dk, ends = tl.zeros((C, BLOCK_K), wide), tl.zeros((BLOCK_K,), wide)
    for v0 in range(0, V, BLOCK_V):
        vs = v0 + tl.arange(0, BLOCK_V)
        v, dS = load_rows(v_ptr, v_t, lanes, vs, left, V, narrow), load_rows(DH_ptr, V, ks, vs, K, V, narrow)
        dk = tl.dot(v, tl.trans(dS), dk, input_precision=PRECISION, out_dtype=wide)
        ends += tl.sum(load_rows(H_ptr + K * V, V, ks, vs, K, V, wide) * dS.to(wide), 1)
    dk = dk * tl.exp2(load_gates(after_ptr, lanes, ks, left, K, G, wide))
    moved, dk_own = tl.zeros((C, BLOCK_K), wide), tl.zeros((C, BLOCK_K), wide)
    for head in range(PER):
        dq = tl.zeros((C, BLOCK_K), wide)
        for v0 in range(0, V, BLOCK_V):
            vs = v0 + tl.arange(0, BLOCK_V)
            do = load_rows(do_ptr + head * do_h, do_t, lanes, vs, left, V, narrow)
            S = load_rows(H_ptr, V, ks, vs, K, V, narrow)
            dq = tl.dot(do, tl.trans(S), dq, input_precision=PRECISION, out_dtype=wide)
        dq = dq * tl.exp2(load_gates(up_to_ptr, lanes, ks, left, K, G, wide))
        q = load_rows(q_ptr + head * q_h, q_t, lanes, ks, left, K, narrow)
        dP = load_rows(dP_ptr + head * T * C, C, lanes, lanes, left, C, wide)
        own = tl.load(dP_ptr + head * T * C + lanes * (C + 1), mask=lanes < left, other=0.0)[:, None]
        if G == 1:
            dP = tl.where(apart == 0, 0.0, dP * one_gate(log_f_ptr, f_t, lanes, left, wide)).to(narrow)
            dq = tl.dot(dP, k, dq, input_precision=PRECISION, out_dtype=wide)
            dk = tl.dot(tl.trans(dP), q, dk, input_precision=PRECISION, out_dtype=wide)
        else:
            # Queries meet keys, and keys meet queries: the same table, mirrored.
            both = (dP + tl.trans(dP)).to(narrow)
            up = load_rows(tree_ptr + C * K, K, lanes, ks, C, K, wide)
            after = tl.zeros_like(up)
            for level in tl.range(LEVELS, num_stages=1):
                late = is_late(lanes, level)
                decay = tl.exp2(tl.where(late, up, after))
                x = (tl.where(late, q, k).to(wide) * decay).to(narrow)
                here = tl.where(apart >> level == 1, both, 0.0)
                y = tl.dot(here, x, input_precision=PRECISION, out_dtype=wide) * decay
                dq += tl.where(late, y, 0.0)
                dk += tl.where(late, 0.0, y)
                up, after = joined(tree_ptr, up, after, lanes, ks, K, C, level)
        moved += q.to(wide) * dq
        dk_own += own * q.to(wide)
        at = ((b * T + start + lanes)[:, None] * GROUPS * PER + group * PER + head) * K + ks[None, :]
        tl.store(dq_ptr + at, (dq + own * k.to(wide)).to(narrow), mask=inside)
    at = ((b * T + start + lanes)[:, None] * GROUPS + group) * K + ks[None, :]
    tl.store(dk_ptr + at, (dk + dk_own).to(narrow), mask=inside)
    dlog_f = tl.cumsum(moved - k.to(wide) * dk, 0, reverse=True) + ends[None, :]
    tl.store(dlog_f_ptr + at, dlog_f, mask=inside)
