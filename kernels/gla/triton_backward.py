"""The backward kernels of chunked gated linear attention. Names and layouts as in triton_forward.py.

With dS the gradient of the state after a chunk: dP = dO V^T on and below the diagonal; dV = P^T dO +
(K * exp(after)) dS; the gradient of the state before it is diag(f of the chunk) dS + (Q * exp(up_to))^T dO. The gate
needs no states of its own: d log f_t = sum over i >= t in the chunk of (q_i dq_i - k_i dk_i), plus the sum over V of
S dS at the chunk's end.
"""

# mypy: ignore-errors
import triton
import triton.language as tl

from kernels.gla.triton_forward import from_border, load_gate, load_gate_row, load_tile, one_gate, to_border
from kernels.grid import block_and_row, blocks_and_row


@triton.jit
def dstates_kernel(
    q_ptr, up_to_ptr, do_ptr, dlast_ptr, DH_ptr, dS_ptr, T,
    K: tl.constexpr, V: tl.constexpr, G: tl.constexpr, C: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradient of the state after each chunk, DH (B H, chunks, K, V), last chunk first, and of the first state.

    Grid (blocks of K, blocks of V, rows).
    """
    block_k, block_v, row = blocks_and_row(tl.cdiv(K, BLOCK_K), tl.cdiv(V, BLOCK_V))
    ks, vs = block_k * BLOCK_K + tl.arange(0, BLOCK_K), block_v * BLOCK_V + tl.arange(0, BLOCK_V)
    inside = (ks < K)[:, None] & (vs < V)[None, :]
    at = ks[:, None] * V + vs[None, :]
    wide = dS_ptr.dtype.element_ty
    narrow = do_ptr.dtype.element_ty
    dS = tl.load(dlast_ptr + row * K * V + at, mask=inside, other=0.0)
    n_chunks = tl.cdiv(T, C)
    for m in range(n_chunks):
        n = n_chunks - 1 - m
        tl.store(DH_ptr + (row * n_chunks + n) * K * V + at, dS.to(DH_ptr.dtype.element_ty), mask=inside)
        rows = n * C + tl.arange(0, C)
        q, do = load_tile(q_ptr, row, rows, ks, T, K, wide), load_tile(do_ptr, row, rows, vs, T, V, wide)
        read = q * tl.exp(load_gate(up_to_ptr, row, rows, ks, T, T, K, G, wide))
        kept = tl.exp(load_gate_row(up_to_ptr, row, tl.minimum(n * C + C, T) - 1, ks, T, K, G, wide))
        dS = tl.dot(
            tl.trans(read).to(narrow), do.to(narrow), dS * kept[:, None], input_precision=PRECISION, out_dtype=wide
        )
    tl.store(dS_ptr + row * K * V + at, dS, mask=inside)


@triton.jit
def dscores_kernel(
    do_ptr, v_ptr, dP_ptr, T, V: tl.constexpr, C: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr
):
    """dP (B H, T, C), zero above the diagonal. Grid (chunks, rows)."""
    n, row = block_and_row(tl.cdiv(T, C))
    rows = n * C + tl.arange(0, C)
    wide = dP_ptr.dtype.element_ty
    narrow = v_ptr.dtype.element_ty
    dP = tl.zeros((C, C), wide)
    for v0 in range(0, V, BLOCK_V):
        vs = v0 + tl.arange(0, BLOCK_V)
        do, v = load_tile(do_ptr, row, rows, vs, T, V, wide), load_tile(v_ptr, row, rows, vs, T, V, wide)
        dP = tl.dot(do.to(narrow), tl.trans(v).to(narrow), dP, input_precision=PRECISION, out_dtype=wide)
    dP = tl.where(rows[:, None] >= rows[None, :], dP, 0.0)
    at = (row * T + rows)[:, None] * C + tl.arange(0, C)[None, :]
    tl.store(dP_ptr + at, dP, mask=(rows < T)[:, None])


@triton.jit
def dvalues_kernel(
    k_ptr, after_ptr, P_ptr, DH_ptr, do_ptr, dv_ptr, T,
    K: tl.constexpr, V: tl.constexpr, G: tl.constexpr, C: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dV for one chunk. Grid (blocks of V, chunks, rows)."""
    block, n, row = blocks_and_row(tl.cdiv(V, BLOCK_V), tl.cdiv(T, C))
    rows, vs = n * C + tl.arange(0, C), block * BLOCK_V + tl.arange(0, BLOCK_V)
    wide = P_ptr.dtype.element_ty
    narrow = do_ptr.dtype.element_ty
    P = tl.load(P_ptr + (row * T + rows)[:, None] * C + tl.arange(0, C)[None, :], mask=(rows < T)[:, None], other=0.0)
    do = load_tile(do_ptr, row, rows, vs, T, V, wide).to(narrow)
    dv = tl.dot(tl.trans(P).to(narrow), do, input_precision=PRECISION, out_dtype=wide)
    for k0 in range(0, K, BLOCK_K):
        ks = k0 + tl.arange(0, BLOCK_K)
        k = load_tile(k_ptr, row, rows, ks, T, K, wide)
        written = (k * tl.exp(load_gate(after_ptr, row, rows, ks, T, T, K, G, wide))).to(narrow)
        at = (row * tl.cdiv(T, C) + n) * K * V + ks[:, None] * V + vs[None, :]
        dS = tl.load(DH_ptr + at, mask=(ks < K)[:, None] & (vs < V)[None, :], other=0.0)
        dv = tl.dot(written, dS, dv, input_precision=PRECISION, out_dtype=wide)
    inside = (rows < T)[:, None] & (vs < V)[None, :]
    tl.store(dv_ptr + (row * T + rows)[:, None] * V + vs[None, :], dv.to(narrow), mask=inside)


@triton.jit
def across_kernel(
    v_ptr, up_to_ptr, after_ptr, H_ptr, DH_ptr, do_ptr, dq_ptr, dk_ptr, ends_ptr, T,
    K: tl.constexpr, V: tl.constexpr, G: tl.constexpr, C: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """What reaches dq, dk (B H, T, K) through the states, and the sum over V of S dS at each chunk's end.

    Grid (blocks of K, chunks, rows).
    """
    block, n, row = blocks_and_row(tl.cdiv(K, BLOCK_K), tl.cdiv(T, C))
    rows, ks = n * C + tl.arange(0, C), block * BLOCK_K + tl.arange(0, BLOCK_K)
    wide = dq_ptr.dtype.element_ty
    narrow = do_ptr.dtype.element_ty
    dq, dk = tl.zeros((C, BLOCK_K), wide), tl.zeros((C, BLOCK_K), wide)
    ends = tl.zeros((BLOCK_K,), wide)
    n_chunks = tl.cdiv(T, C)
    for v0 in range(0, V, BLOCK_V):
        vs = v0 + tl.arange(0, BLOCK_V)
        do, v = load_tile(do_ptr, row, rows, vs, T, V, wide), load_tile(v_ptr, row, rows, vs, T, V, wide)
        inside = (ks < K)[:, None] & (vs < V)[None, :]
        at = ks[:, None] * V + vs[None, :]
        before = H_ptr + (row * (n_chunks + 1) + n) * K * V
        S = tl.load(before + at, mask=inside, other=0.0)
        S_after = tl.load(before + K * V + at, mask=inside, other=0.0).to(wide)
        dS = tl.load(DH_ptr + (row * n_chunks + n) * K * V + at, mask=inside, other=0.0)
        dq = tl.dot(do.to(narrow), tl.trans(S), dq, input_precision=PRECISION, out_dtype=wide)
        dk = tl.dot(v.to(narrow), tl.trans(dS), dk, input_precision=PRECISION, out_dtype=wide)
        ends += tl.sum(S_after * dS.to(wide), 1)
    dq = dq * tl.exp(load_gate(up_to_ptr, row, rows, ks, T, T, K, G, wide))
    dk = dk * tl.exp(load_gate(after_ptr, row, rows, ks, T, T, K, G, wide))
    inside = (rows < T)[:, None] & (ks < K)[None, :]
    at = (row * T + rows)[:, None] * K + ks[None, :]
    tl.store(dq_ptr + at, dq, mask=inside)
    tl.store(dk_ptr + at, dk, mask=inside)
    tl.store(ends_ptr + (row * n_chunks + n) * K + ks, ends, mask=ks < K)


@triton.jit
def within_kernel(
    q_ptr, k_ptr, log_f_ptr, dP_ptr, dq_ptr, dk_ptr, T,
    K: tl.constexpr, G: tl.constexpr, C: tl.constexpr, SUB: tl.constexpr,
    BLOCK_K: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Adds to dq, dk of one sub-chunk what reaches them through P, but for its diagonal. Grid (sub-chunks, blocks of K,
    rows).

    As queries they meet earlier keys over the border before them; as keys they meet later queries over the one after.
    """
    sub, block, row = blocks_and_row(tl.cdiv(T, C) * (C // SUB), tl.cdiv(K, BLOCK_K))
    first = sub * SUB
    if first < T:
        start = first // C * C
        rows, others = first + tl.arange(0, SUB), start + tl.arange(0, C)
        ks = block * BLOCK_K + tl.arange(0, BLOCK_K)
        wide = dq_ptr.dtype.element_ty
        narrow = q_ptr.dtype.element_ty
        lines, places = (row * T + rows)[:, None] * C, (row * T + others)[:, None] * C
        # dP with these rows as queries (SUB, C), and with these as keys (C, SUB).
        as_queries = tl.load(dP_ptr + lines + tl.arange(0, C)[None, :], mask=(rows < T)[:, None], other=0.0)
        as_keys = tl.load(dP_ptr + places + (rows - start)[None, :], mask=(others < T)[:, None], other=0.0)
        q_all = load_tile(q_ptr, row, others, ks, T, K, wide)
        k_all = load_tile(k_ptr, row, others, ks, T, K, wide)
        if G == 1:
            as_queries = as_queries * one_gate(log_f_ptr, row, rows, others, first, T, wide)
            as_queries = tl.where(rows[:, None] == others[None, :], 0.0, as_queries)
            as_keys = as_keys * one_gate(log_f_ptr, row, others, rows, start, T, wide)
            as_keys = tl.where(others[:, None] == rows[None, :], 0.0, as_keys)
            dq = tl.dot(as_queries.to(narrow), k_all.to(narrow), input_precision=PRECISION, out_dtype=wide)
            dk = tl.dot(tl.trans(as_keys).to(narrow), q_all.to(narrow), input_precision=PRECISION, out_dtype=wide)
        else:
            far = k_all * to_border(log_f_ptr, row, others, ks, T, first, K, G, wide)
            dq = tl.dot(as_queries.to(narrow), far.to(narrow), input_precision=PRECISION, out_dtype=wide)
            dq = dq * from_border(log_f_ptr, row, rows, ks, T, first, K, G, wide)
            far = q_all * from_border(log_f_ptr, row, others, ks, T, first + SUB, K, G, wide)
            dk = tl.dot(tl.trans(as_keys).to(narrow), far.to(narrow), input_precision=PRECISION, out_dtype=wide)
            dk = dk * to_border(log_f_ptr, row, rows, ks, T, first + SUB, K, G, wide)
            # The pairs inside the sub-chunk: by their key, the last one first, and by their query, the first one first.
            since, until = tl.zeros((SUB, BLOCK_K), wide), tl.zeros((SUB, BLOCK_K), wide)
            for m in range(SUB):
                t = first + SUB - 1 - m
                at, inside = (row * T + t) * K + ks, (ks < K) & (t < T)
                weight = tl.load(dP_ptr + (row * T + rows) * C + t - start, mask=(rows > t) & (rows < T), other=0.0)
                k_t = tl.load(k_ptr + at, mask=inside, other=0.0).to(wide)
                dq += weight[:, None] * k_t[None, :] * tl.exp(since)
                f_t = tl.load(log_f_ptr + at, mask=inside, other=0.0)
                since = tl.where((rows >= t)[:, None], since + f_t[None, :], 0.0)
                t = first + m
                at, inside = (row * T + t) * K + ks, (ks < K) & (t < T)
                f_t = tl.load(log_f_ptr + at, mask=inside, other=0.0)
                until = tl.where((rows < t)[:, None], until + f_t[None, :], 0.0)
                weight = tl.load(dP_ptr + (row * T + t) * C + rows - start, mask=(rows < t) & (t < T), other=0.0)
                q_t = tl.load(q_ptr + at, mask=inside, other=0.0).to(wide)
                dk += weight[:, None] * q_t[None, :] * tl.exp(until)
        inside = (rows < T)[:, None] & (ks < K)[None, :]
        at = (row * T + rows)[:, None] * K + ks[None, :]
        tl.store(dq_ptr + at, tl.load(dq_ptr + at, mask=inside, other=0.0) + dq, mask=inside)
        tl.store(dk_ptr + at, tl.load(dk_ptr + at, mask=inside, other=0.0) + dk, mask=inside)


@triton.jit
def finish_kernel(
    q_ptr, k_ptr, dP_ptr, wide_dq_ptr, wide_dk_ptr, ends_ptr, dq_ptr, dk_ptr, dlog_f_ptr, T,
    K: tl.constexpr, C: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """d log f (B H, T, K), and dq, dk with P's diagonal. Grid (blocks of K, chunks, rows).

    The diagonal adds the same to q dq and to k dk, so the gate takes their difference before it comes in: with strong
    gates it is most of both.
    """
    block, n, row = blocks_and_row(tl.cdiv(K, BLOCK_K), tl.cdiv(T, C))
    rows, ks = n * C + tl.arange(0, C), block * BLOCK_K + tl.arange(0, BLOCK_K)
    wide = wide_dq_ptr.dtype.element_ty
    q, dq = load_tile(q_ptr, row, rows, ks, T, K, wide), load_tile(wide_dq_ptr, row, rows, ks, T, K, wide)
    k, dk = load_tile(k_ptr, row, rows, ks, T, K, wide), load_tile(wide_dk_ptr, row, rows, ks, T, K, wide)
    ends = tl.load(ends_ptr + (row * tl.cdiv(T, C) + n) * K + ks, mask=ks < K, other=0.0)
    dlog_f = tl.cumsum(q * dq - k * dk, 0, reverse=True) + ends[None, :]
    own = tl.load(dP_ptr + (row * T + rows) * C + tl.arange(0, C), mask=rows < T, other=0.0)
    inside = (rows < T)[:, None] & (ks < K)[None, :]
    at = (row * T + rows)[:, None] * K + ks[None, :]
    tl.store(dq_ptr + at, (dq + own[:, None] * k).to(dq_ptr.dtype.element_ty), mask=inside)
    tl.store(dk_ptr + at, (dk + own[:, None] * q).to(dk_ptr.dtype.element_ty), mask=inside)
    tl.store(dlog_f_ptr + at, dlog_f, mask=inside)
