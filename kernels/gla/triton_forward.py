"""The forward kernels of chunked gated linear attention.

All take heads as rows, (B H, T, ...), contiguous. C is a chunk's length, SUB a sub-chunk's. G is 1 when the channels
share a gate, else K; a gate of one column is read for every channel. `up_to` and `after` (B H, T, G) are log f summed
inside a chunk: from its first step to this one, and from the next step to its last. Sums that end at the border
between two blocks are formed there and then and not as differences of one long sum, whose rounding would grow with it.
Accumulators have the state's dtype; operands of a matmul are cast to the values' dtype.
"""

# mypy: ignore-errors
import triton
import triton.language as tl

from kernels.grid import block_and_row, blocks_and_row


@triton.jit
def load_tile(ptr, row, rows, columns, T, width: tl.constexpr, wide):
    """(rows, columns) of a (B H, T, width) tensor as the wide dtype, zeros beyond T and beyond the width."""
    inside = (rows < T)[:, None] & (columns < width)[None, :]
    at = (row * T + rows)[:, None].to(tl.int64) * width + columns[None, :]
    return tl.load(ptr + at, mask=inside, other=0.0).to(wide)


@triton.jit
def load_gate(ptr, row, rows, columns, T, end, K: tl.constexpr, G: tl.constexpr, wide):
    """A gate at (rows, columns), zeros from step `end` on; one column stands for all where G is 1."""
    at = (row * T + rows)[:, None].to(tl.int64) * G + (columns * 0 if G == 1 else columns)[None, :]
    return tl.load(ptr + at, mask=(rows < end)[:, None] & (columns < K)[None, :], other=0.0).to(wide)


@triton.jit
def load_gate_row(ptr, row, t, columns, T, K: tl.constexpr, G: tl.constexpr, wide):
    """Step t of a gate, (columns,), zeros beyond T; one column stands for all where G is 1."""
    at = (row * T + t).to(tl.int64) * G + (columns * 0 if G == 1 else columns)
    return tl.load(ptr + at, mask=(columns < K) & (t < T), other=0.0).to(wide)


@triton.jit
def sums_kernel(log_f_ptr, up_to_ptr, after_ptr, T, G: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr):
    """Both sums of log f inside each chunk. Grid (chunks, blocks of G, rows)."""
    n, block, row = blocks_and_row(tl.cdiv(T, C), tl.cdiv(G, BLOCK))
    start = n * C
    rows, columns = start + tl.arange(0, C), block * BLOCK + tl.arange(0, BLOCK)
    wide = up_to_ptr.dtype.element_ty
    inside = (rows < T)[:, None] & (columns < G)[None, :]
    at = (row * T + rows)[:, None] * G + columns[None, :]
    tl.store(up_to_ptr + at, tl.cumsum(load_gate(log_f_ptr, row, rows, columns, T, T, G, G, wide), 0), mask=inside)
    following = load_gate(log_f_ptr, row, rows + 1, columns, T, tl.minimum(start + C, T), G, G, wide)
    tl.store(after_ptr + at, tl.cumsum(following, 0, reverse=True), mask=inside)


@triton.jit
def states_kernel(
    k_ptr, v_ptr, up_to_ptr, after_ptr, S_ptr, H_ptr, last_ptr, T,
    K: tl.constexpr, V: tl.constexpr, G: tl.constexpr, C: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """S <- diag(f of the whole chunk) S + (K * exp(after))^T V, chunk after chunk.

    S before each chunk and after the last goes to H (B H, chunks+1, K, V). Grid (blocks of K, blocks of V, rows).
    """
    block_k, block_v, row = blocks_and_row(tl.cdiv(K, BLOCK_K), tl.cdiv(V, BLOCK_V))
    ks, vs = block_k * BLOCK_K + tl.arange(0, BLOCK_K), block_v * BLOCK_V + tl.arange(0, BLOCK_V)
    inside = (ks < K)[:, None] & (vs < V)[None, :]
    at = ks[:, None] * V + vs[None, :]
    wide = S_ptr.dtype.element_ty
    narrow = v_ptr.dtype.element_ty
    S = tl.load(S_ptr + row * K * V + at, mask=inside, other=0.0)
    n_chunks = tl.cdiv(T, C)
    for n in range(n_chunks):
        tl.store(H_ptr + (row * (n_chunks + 1) + n) * K * V + at, S.to(H_ptr.dtype.element_ty), mask=inside)
        rows = n * C + tl.arange(0, C)
        k, v = load_tile(k_ptr, row, rows, ks, T, K, wide), load_tile(v_ptr, row, rows, vs, T, V, wide)
        written = k * tl.exp(load_gate(after_ptr, row, rows, ks, T, T, K, G, wide))
        kept = tl.exp(load_gate_row(up_to_ptr, row, tl.minimum(n * C + C, T) - 1, ks, T, K, G, wide))
        S = tl.dot(
            tl.trans(written).to(narrow), v.to(narrow), S * kept[:, None], input_precision=PRECISION, out_dtype=wide
        )
    tl.store(H_ptr + (row * (n_chunks + 1) + n_chunks) * K * V + at, S.to(H_ptr.dtype.element_ty), mask=inside)
    tl.store(last_ptr + row * K * V + at, S, mask=inside)


@triton.jit
def to_border(log_f_ptr, row, rows, columns, T, border, K: tl.constexpr, G: tl.constexpr, wide):
    """exp of log f summed from the step after each row to the last before the border; 0 at rows beyond it."""
    following = load_gate(log_f_ptr, row, rows + 1, columns, T, tl.minimum(border, T), K, G, wide)
    return tl.where((rows < border)[:, None], tl.exp(tl.cumsum(following, 0, reverse=True)), 0.0)


@triton.jit
def from_border(log_f_ptr, row, rows, columns, T, border, K: tl.constexpr, G: tl.constexpr, wide):
    """exp of log f summed from the border's step to each row; 0 at rows before it."""
    log_f = load_gate(log_f_ptr, row, rows, columns, T, T, K, G, wide)
    log_f = tl.where((rows >= border)[:, None], log_f, 0.0)
    return tl.where((rows >= border)[:, None], tl.exp(tl.cumsum(log_f, 0)), 0.0)


@triton.jit
def scores_kernel(
    q_ptr, k_ptr, log_f_ptr, P_ptr, T, K: tl.constexpr, G: tl.constexpr, C: tl.constexpr, SUB: tl.constexpr,
    BLOCK_K: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """P (B H, T, C): P_ij = sum_c q_ic k_jc exp(log f summed over j < t <= i) in one chunk. Grid (sub-chunks, rows).

    Keys of earlier sub-chunks meet the queries over the queries' border, as a matmul; keys of the queries' own
    sub-chunk meet them one by one, the last key first, so that the decays between them grow by one step at a time.
    """
    sub, row = block_and_row(tl.cdiv(T, C) * (C // SUB))
    first = sub * SUB
    start = first // C * C
    rows, columns = first + tl.arange(0, SUB), start + tl.arange(0, C)
    wide = P_ptr.dtype.element_ty
    narrow = q_ptr.dtype.element_ty
    P = tl.zeros((SUB, C), wide)
    if first < T:
        for k0 in range(0, K, BLOCK_K):
            ks = k0 + tl.arange(0, BLOCK_K)
            q = load_tile(q_ptr, row, rows, ks, T, K, wide)
            k = load_tile(k_ptr, row, columns, ks, T, K, wide)
            if G == 1:
                P = tl.dot(q.to(narrow), tl.trans(k).to(narrow), P, input_precision=PRECISION, out_dtype=wide)
            else:
                near = q * from_border(log_f_ptr, row, rows, ks, T, first, K, G, wide)
                far = k * to_border(log_f_ptr, row, columns, ks, T, first, K, G, wide)
                P = tl.dot(near.to(narrow), tl.trans(far).to(narrow), P, input_precision=PRECISION, out_dtype=wide)
                between = tl.zeros((SUB, BLOCK_K), wide)
                for m in range(SUB):
                    t = first + SUB - 1 - m
                    at, inside = (row * T + t) * K + ks, (ks < K) & (t < T)
                    k_t = tl.load(k_ptr + at, mask=inside, other=0.0).to(wide)
                    scores = tl.sum(q * k_t[None, :] * tl.exp(between), 1)
                    P += tl.where((columns == t)[None, :] & (rows >= t)[:, None], scores[:, None], 0.0)
                    f_t = tl.load(log_f_ptr + at, mask=inside, other=0.0)
                    between = tl.where((rows >= t)[:, None], between + f_t[None, :], 0.0)
        if G == 1:
            P = P * one_gate(log_f_ptr, row, rows, columns, first, T, wide)
        at = (row * T + rows)[:, None] * C + tl.arange(0, C)[None, :]
        tl.store(P_ptr + at, P, mask=(rows < T)[:, None])


@triton.jit
def one_gate(log_f_ptr, row, queries, keys, border, T, wide):
    """(queries, keys): what is left of a key's step at a query's, one gate for all channels; 0 for later keys.

    The queries are all steps from the border on, the keys any steps in a row.
    """
    f = tl.load(log_f_ptr + row * T + queries, mask=queries < T, other=0.0).to(wide)
    beyond = tl.cumsum(tl.where(queries[:, None] > keys[None, :], f[:, None], 0.0), 0)
    following = (keys + 1 < border) & (keys + 1 < T)
    before = tl.cumsum(tl.load(log_f_ptr + row * T + keys + 1, mask=following, other=0.0).to(wide), 0, reverse=True)
    return tl.where(queries[:, None] >= keys[None, :], tl.exp(beyond + before[None, :]), 0.0)


@triton.jit
def output_kernel(
    q_ptr, v_ptr, up_to_ptr, H_ptr, P_ptr, o_ptr, T,
    K: tl.constexpr, V: tl.constexpr, G: tl.constexpr, C: tl.constexpr,
    BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """O = (Q * exp(up_to)) S + P V for one chunk. Grid (blocks of V, chunks, rows)."""
    block, n, row = blocks_and_row(tl.cdiv(V, BLOCK_V), tl.cdiv(T, C))
    rows, vs = n * C + tl.arange(0, C), block * BLOCK_V + tl.arange(0, BLOCK_V)
    wide = P_ptr.dtype.element_ty
    narrow = v_ptr.dtype.element_ty
    o = tl.zeros((C, BLOCK_V), wide)
    for k0 in range(0, K, BLOCK_K):
        ks = k0 + tl.arange(0, BLOCK_K)
        q = load_tile(q_ptr, row, rows, ks, T, K, wide)
        q = q * tl.exp(load_gate(up_to_ptr, row, rows, ks, T, T, K, G, wide))
        at = (row * (tl.cdiv(T, C) + 1) + n) * K * V + ks[:, None] * V + vs[None, :]
        S = tl.load(H_ptr + at, mask=(ks < K)[:, None] & (vs < V)[None, :], other=0.0)
        o = tl.dot(q.to(narrow), S, o, input_precision=PRECISION, out_dtype=wide)
    P = tl.load(P_ptr + (row * T + rows)[:, None] * C + tl.arange(0, C)[None, :], mask=(rows < T)[:, None], other=0.0)
    v = load_tile(v_ptr, row, rows, vs, T, V, wide).to(narrow)
    o = tl.dot(P.to(narrow), v, o, input_precision=PRECISION, out_dtype=wide)
    inside = (rows < T)[:, None] & (vs < V)[None, :]
    tl.store(o_ptr + (row * T + rows)[:, None] * V + vs[None, :], o.to(narrow), mask=inside)


@triton.jit
def step_kernel(
    q_ptr, k_ptr, v_ptr, log_f_ptr, S_ptr, o_ptr, last_ptr, T,
    K: tl.constexpr, V: tl.constexpr, G: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
):  # fmt: skip
    """The recurrence itself, for a few tokens: S is read once and written once. Grid (blocks of V, rows)."""
    block, row = block_and_row(tl.cdiv(V, BLOCK_V))
    ks, vs = tl.arange(0, BLOCK_K), block * BLOCK_V + tl.arange(0, BLOCK_V)
    inside = (ks < K)[:, None] & (vs < V)[None, :]
    places = row * K * V + ks[:, None] * V + vs[None, :]
    wide = S_ptr.dtype.element_ty
    S = tl.load(S_ptr + places, mask=inside, other=0.0)
    for t in range(T):
        at = (row * T + t) * K + ks
        q = tl.load(q_ptr + at, mask=ks < K, other=0.0).to(wide)
        k = tl.load(k_ptr + at, mask=ks < K, other=0.0).to(wide)
        v = tl.load(v_ptr + (row * T + t) * V + vs, mask=vs < V, other=0.0).to(wide)
        f = tl.exp(load_gate_row(log_f_ptr, row, t, ks, T, K, G, wide))
        S = f[:, None] * S + k[:, None] * v[None, :]
        o = tl.sum(q[:, None] * S, 0)
        tl.store(o_ptr + (row * T + t) * V + vs, o.to(o_ptr.dtype.element_ty), mask=vs < V)
    tl.store(last_ptr + places, S, mask=inside)
