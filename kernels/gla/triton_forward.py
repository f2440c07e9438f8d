"""The forward kernels of chunked gated linear attention; triton_tile.py says how a chunk is halved, and the letters.

q (B, H, T, K), k, v, log_f (B, H / PER, T, ...) of any strides; what the kernels make among themselves is dense, and
what they give back lies as (B, T, H, ...). `up_to` and `after` (pairs, T, G) are the gates summed inside a chunk: from
its first step to this one, and from the next step to its last. Accumulators have the state's dtype; operands of a
matmul are cast to the values' dtype.
"""

# mypy: ignore-errors
import triton
import triton.language as tl

from kernels.gla.triton_tile import is_late, joined, load_gate, load_gates, load_rows, one_gate
from kernels.grid import block_and_row, blocks_and_row


@triton.jit
def sums_kernel(log_f_ptr, f_b, f_h, f_t, up_to_ptr, after_ptr, T, GROUPS, C: tl.constexpr):
    """Both sums of one gate for all channels. Grid (chunks, pairs)."""
    n, pair = block_and_row(tl.cdiv(T, C))
    lanes, start = tl.arange(0, C), (n * C).to(tl.int64)
    log_f_ptr += pair // GROUPS * f_b + pair % GROUPS * f_h + start * f_t
    wide = up_to_ptr.dtype.element_ty
    gates = tl.load(log_f_ptr + lanes * f_t, mask=start + lanes < T, other=0.0).to(wide) * 1.4426950408889634
    inside = (lanes + 1 < C) & (start + lanes + 1 < T)
    following = tl.load(log_f_ptr + (lanes + 1) * f_t, mask=inside, other=0.0).to(wide) * 1.4426950408889634
    at = pair * T + start + lanes
    tl.store(up_to_ptr + at, tl.cumsum(gates, 0), mask=start + lanes < T)
    tl.store(after_ptr + at, tl.cumsum(following, 0, reverse=True), mask=start + lanes < T)


@triton.jit
def tree_kernel(
    log_f_ptr, f_b, f_h, f_t, tree_ptr, T, GROUPS,
    K: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr, LEVELS: tl.constexpr,
):  # fmt: skip
    """Each chunk's tree, (pairs, chunks, 2 C, K). Grid (chunks, blocks of K, pairs)."""
    n, block, pair = blocks_and_row(tl.cdiv(T, C), tl.cdiv(K, BLOCK))
    start, columns = (n * C).to(tl.int64), block * BLOCK + tl.arange(0, BLOCK)
    log_f_ptr += pair // GROUPS * f_b + pair % GROUPS * f_h + start * f_t
    tree_ptr += (pair * tl.cdiv(T, C) + n) * 2 * C * K
    sums = load_rows(log_f_ptr, f_t, tl.arange(0, C), columns, T - start, K, tree_ptr.dtype.element_ty)
    sums = sums * 1.4426950408889634
    for LEVEL in tl.static_range(LEVELS):
        if LEVEL > 0:
            sums = tl.sum(tl.reshape(sums, (C >> LEVEL, 2, BLOCK)), 1)
        nodes = (C >> LEVEL) + tl.arange(0, C >> LEVEL)
        tl.store(tree_ptr + nodes[:, None] * K + columns[None, :], sums, mask=(columns < K)[None, :])


@triton.jit
def scores_kernel(
    q_ptr, q_b, q_h, q_t, k_ptr, k_b, k_h, k_t, log_f_ptr, f_b, f_h, f_t, tree_ptr, P_ptr, up_to_ptr, after_ptr, T, H,
    PER: tl.constexpr, K: tl.constexpr, G: tl.constexpr, C: tl.constexpr, BLOCK_K: tl.constexpr,
    LEVELS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """P (rows, T, C): P_ij = sum_c q_ic k_jc exp(log f summed over j < t <= i) in one chunk. Grid (chunks, rows).

    With a gate a channel, one matmul a level; on their way the sums become those of the chunk, which are kept.
    """
    n, row = block_and_row(tl.cdiv(T, C))
    b, h, pair = row // H, row % H, row // PER
    lanes, start = tl.arange(0, C), (n * C).to(tl.int64)
    left = T - start
    q_ptr += b * q_b + h * q_h + start * q_t
    k_ptr += b * k_b + h // PER * k_h + start * k_t
    tree_ptr += (pair * tl.cdiv(T, C) + n) * 2 * C * K
    wide = P_ptr.dtype.element_ty
    narrow = q_ptr.dtype.element_ty
    apart = lanes[:, None] ^ lanes[None, :]
    P = tl.zeros((C, C), wide)
    for k0 in range(0, K, BLOCK_K):
        ks = k0 + tl.arange(0, BLOCK_K)
        q, k = load_rows(q_ptr, q_t, lanes, ks, left, K, narrow), load_rows(k_ptr, k_t, lanes, ks, left, K, narrow)
        if G == 1:
            P = tl.dot(q, tl.trans(k), P, input_precision=PRECISION, out_dtype=wide)
        else:
            P += tl.where(apart == 0, tl.sum(q.to(wide) * k.to(wide), 1)[:, None], 0.0)
            up = load_rows(tree_ptr + C * K, K, lanes, ks, C, K, wide)
            after = tl.zeros_like(up)
            for level in tl.range(LEVELS, num_stages=1):
                late = is_late(lanes, level)
                x = (tl.where(late, q, k).to(wide) * tl.exp2(tl.where(late, up, after))).to(narrow)
                met = tl.dot(x, tl.trans(x), input_precision=PRECISION, out_dtype=wide)
                P += tl.where(apart >> level == 1, met, 0.0)
                up, after = joined(tree_ptr, up, after, lanes, ks, K, C, level)
            if h % PER == 0:
                at = (pair * T + start + lanes)[:, None] * K + ks[None, :]
                inside = (lanes < left)[:, None] & (ks < K)[None, :]
                tl.store(up_to_ptr + at, up, mask=inside)
                tl.store(after_ptr + at, after, mask=inside)
    if G == 1:
        P = P * one_gate(log_f_ptr + b * f_b + h // PER * f_h + start * f_t, f_t, lanes, left, wide)
    P = tl.where(lanes[:, None] >= lanes[None, :], P, 0.0)
    at = (row * T + start + lanes)[:, None] * C + lanes[None, :]
    tl.store(P_ptr + at, P, mask=(lanes < left)[:, None])


@triton.jit
def states_kernel(
    k_ptr, k_b, k_h, k_t, v_ptr, v_b, v_h, v_t, up_to_ptr, after_ptr, S_ptr, H_ptr, last_ptr, T, GROUPS,
    K: tl.constexpr, V: tl.constexpr, G: tl.constexpr, C: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """S <- diag(f of the whole chunk) S + (K * exp(after))^T V, chunk after chunk.

    S before each chunk and after the last goes to H (pairs, chunks + 1, K, V). Grid (blocks of K, blocks of V, pairs).
    """
    block_k, block_v, pair = blocks_and_row(tl.cdiv(K, BLOCK_K), tl.cdiv(V, BLOCK_V))
    lanes = tl.arange(0, C)
    ks, vs = block_k * BLOCK_K + tl.arange(0, BLOCK_K), block_v * BLOCK_V + tl.arange(0, BLOCK_V)
    inside = (ks < K)[:, None] & (vs < V)[None, :]
    at = ks[:, None] * V + vs[None, :]
    wide = S_ptr.dtype.element_ty
    narrow = v_ptr.dtype.element_ty
    n_chunks = tl.cdiv(T, C)
    k_ptr += pair // GROUPS * k_b + pair % GROUPS * k_h
    v_ptr += pair // GROUPS * v_b + pair % GROUPS * v_h
    up_to_ptr += pair * T * G
    after_ptr += pair * T * G
    H_ptr += pair * (n_chunks + 1) * K * V
    S = tl.load(S_ptr + pair * K * V + at, mask=inside, other=0.0)
    for n in range(n_chunks):
        tl.store(H_ptr + at, S.to(narrow), mask=inside)
        left = T - n * C
        k, v = load_rows(k_ptr, k_t, lanes, ks, left, K, wide), load_rows(v_ptr, v_t, lanes, vs, left, V, narrow)
        written = k * tl.exp2(load_gates(after_ptr, lanes, ks, left, K, G, wide))
        kept = tl.exp2(load_gate(up_to_ptr + (tl.minimum(left, C) - 1) * G, ks, K, G, wide))
        S = tl.dot(tl.trans(written.to(narrow)), v, S * kept[:, None], input_precision=PRECISION, out_dtype=wide)
        k_ptr += C * k_t
        v_ptr += C * v_t
        up_to_ptr += C * G
        after_ptr += C * G
        H_ptr += K * V
    tl.store(H_ptr + at, S.to(narrow), mask=inside)
    tl.store(last_ptr + pair * K * V + at, S, mask=inside)


@triton.jit
def output_kernel(
    q_ptr, q_b, q_h, q_t, v_ptr, v_b, v_h, v_t, up_to_ptr, H_ptr, P_ptr, o_ptr, T, H, PER: tl.constexpr,
    K: tl.constexpr, V: tl.constexpr, G: tl.constexpr, C: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """O = (Q * exp(up_to)) S + P V for one chunk. Grid (blocks of V, chunks, rows)."""
    block, n, row = blocks_and_row(tl.cdiv(V, BLOCK_V), tl.cdiv(T, C))
    b, h, pair = row // H, row % H, row // PER
    lanes, vs, start = tl.arange(0, C), block * BLOCK_V + tl.arange(0, BLOCK_V), (n * C).to(tl.int64)
    left = T - start
    q_ptr += b * q_b + h * q_h + start * q_t
    v_ptr += b * v_b + h // PER * v_h + start * v_t
    up_to_ptr += (pair * T + start) * G
    H_ptr += (pair * (tl.cdiv(T, C) + 1) + n) * K * V
    wide = P_ptr.dtype.element_ty
    narrow = v_ptr.dtype.element_ty
    o = tl.zeros((C, BLOCK_V), wide)
    for k0 in range(0, K, BLOCK_K):
        ks = k0 + tl.arange(0, BLOCK_K)
        q = load_rows(q_ptr, q_t, lanes, ks, left, K, wide)
        q = q * tl.exp2(load_gates(up_to_ptr, lanes, ks, left, K, G, wide))
        S = load_rows(H_ptr, V, ks, vs, K, V, narrow)
        o = tl.dot(q.to(narrow), S, o, input_precision=PRECISION, out_dtype=wide)
    P = load_rows(P_ptr + (row * T + start) * C, C, lanes, lanes, left, C, narrow)
    v = load_rows(v_ptr, v_t, lanes, vs, left, V, narrow)
    o = tl.dot(P, v, o, input_precision=PRECISION, out_dtype=wide)
    at = ((b * T + start + lanes)[:, None] * H + h) * V + vs[None, :]
    tl.store(o_ptr + at, o.to(narrow), mask=(lanes < left)[:, None] & (vs < V)[None, :])


@triton.jit
def step_kernel(
    q_ptr, q_b, q_h, q_t, k_ptr, k_b, k_h, k_t, v_ptr, v_b, v_h, v_t, log_f_ptr, f_b, f_h, f_t, S_ptr, o_ptr, last_ptr,
    T, H, PER: tl.constexpr, K: tl.constexpr, V: tl.constexpr, G: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """The recurrence itself, for a few tokens: S is read once and written once. Grid (blocks of V, pairs)."""
    block, pair = block_and_row(tl.cdiv(V, BLOCK_V))
    b, group = pair // (H // PER), pair % (H // PER)
    ks, vs = tl.arange(0, BLOCK_K), block * BLOCK_V + tl.arange(0, BLOCK_V)
    inside = (ks < K)[:, None] & (vs < V)[None, :]
    places = pair * K * V + ks[:, None] * V + vs[None, :]
    wide = S_ptr.dtype.element_ty
    q_ptr += b * q_b + group * PER * q_h
    k_ptr += b * k_b + group * k_h
    v_ptr += b * v_b + group * v_h
    log_f_ptr += b * f_b + group * f_h
    S = tl.load(S_ptr + places, mask=inside, other=0.0)
    for t in range(T):
        k = tl.load(k_ptr + t * k_t + ks, mask=ks < K, other=0.0).to(wide)
        v = tl.load(v_ptr + t * v_t + vs, mask=vs < V, other=0.0).to(wide)
        f = tl.exp2(load_gate(log_f_ptr + t * f_t, ks, K, G, wide) * 1.4426950408889634)
        S = f[:, None] * S + k[:, None] * v[None, :]
        for head in range(PER):
            q = tl.load(q_ptr + head * q_h + t * q_t + ks, mask=ks < K, other=0.0).to(wide)
            at = ((b * T + t) * H + group * PER + head) * V + vs
            tl.store(o_ptr + at, tl.sum(q[:, None] * S, 0).to(o_ptr.dtype.element_ty), mask=vs < V)
    tl.store(last_ptr + places, S, mask=inside)
