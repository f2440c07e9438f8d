"""The forward kernels of Taylor attention: the polynomial inside a chunk, features made on the fly between chunks.

All take heads as rows, (B H, T, ...), contiguous. C is a chunk's length, ROWS how many tokens are worked on at once, a
divisor of it. A feature is a product of `ORDER` variables out of a table (ORDER, F) of their numbers, in which K stands
for 1, times its weight (F): so features are gathered from the queries and keys as they are needed and never stored.
"""

# mypy: ignore-errors
import triton
import triton.language as tl

from kernels.grid import block_and_row


@triton.jit
def load_rows(ptr, row, ts, columns, T, width: tl.constexpr, wide):
    """(ts, columns) of a (B H, T, width) tensor as the wide dtype, zeros beyond T and beyond the width."""
    inside = (ts < T)[:, None] & (columns < width)[None, :]
    return tl.load(ptr + (row * T + ts)[:, None].to(tl.int64) * width + columns[None, :], mask=inside, other=0.0).to(
        wide
    )


@triton.jit
def series(z, ORDER: tl.constexpr, LOWEST: tl.constexpr):
    """sum_{n=LOWEST}^{ORDER} z^n / n!, by Horner's rule."""
    result = z * 0.0 + 1.0
    for i in tl.static_range(ORDER - LOWEST):
        result = 1.0 + result * z / (ORDER - i)
    for n in tl.static_range(LOWEST):
        result = result * z / (n + 1)
    return result


@triton.jit
def load_variable(ptr, row, ts, variables, T, K: tl.constexpr, wide):
    """x_t[variable] (ts, variables), 1 where the variable's number is K."""
    at = (row * T + ts)[:, None].to(tl.int64) * K + variables[None, :]
    return tl.load(ptr + at, mask=(ts < T)[:, None] & (variables < K)[None, :], other=1.0).to(wide)


@triton.jit
def load_features(
    ptr, variables_ptr, weights_ptr, row, ts, fs, T, K: tl.constexpr, F: tl.constexpr, ORDER: tl.constexpr, wide
):
    """phi(x_t) (ts, fs), zeros beyond F."""
    weight = tl.load(weights_ptr + fs, mask=fs < F, other=0.0).to(wide)
    product = (ts * 0.0).to(wide)[:, None] + weight[None, :]
    for n in tl.static_range(ORDER):
        variables = tl.load(variables_ptr + n * F + fs, mask=fs < F, other=K)
        product = product * load_variable(ptr, row, ts, variables, T, K, wide)
    return product


@triton.jit
def states_kernel(
    k_ptr, v_ptr, variables_ptr, weights_ptr, S_ptr, H_ptr, last_ptr, T,
    K: tl.constexpr, V: tl.constexpr, F: tl.constexpr, ORDER: tl.constexpr, C: tl.constexpr, ROWS: tl.constexpr,
    BLOCK_V: tl.constexpr, BLOCK_F: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """S <- S + phi(K)^T V, chunk after chunk; S before each goes to H (B H, chunks, F, V). Grid (blocks of F, rows)."""
    block, row = block_and_row(tl.cdiv(F, BLOCK_F))
    fs, vs = block * BLOCK_F + tl.arange(0, BLOCK_F), tl.arange(0, BLOCK_V)
    wide = S_ptr.dtype.element_ty
    inside = (fs < F)[:, None] & (vs < V)[None, :]
    at = fs[:, None] * V + vs[None, :]
    S = tl.load(S_ptr + row * F * V + at, mask=inside, other=0.0)
    n_chunks = tl.cdiv(T, C)
    for n in range(n_chunks):
        tl.store(H_ptr + (row * n_chunks + n) * F * V + at, S, mask=inside)
        for t0 in range(0, C, ROWS):
            ts = n * C + t0 + tl.arange(0, ROWS)
            phi = load_features(k_ptr, variables_ptr, weights_ptr, row, ts, fs, T, K, F, ORDER, wide)
            v = load_rows(v_ptr, row, ts, vs, T, V, wide)
            S = tl.dot(tl.trans(phi), v, S, input_precision=PRECISION, out_dtype=wide)
    tl.store(last_ptr + row * F * V + at, S, mask=inside)


@triton.jit
def output_kernel(
    q_ptr, k_ptr, v_ptr, variables_ptr, weights_ptr, H_ptr, o_ptr, T,
    K: tl.constexpr, V: tl.constexpr, F: tl.constexpr, ORDER: tl.constexpr, LOWEST: tl.constexpr,
    C: tl.constexpr, ROWS: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_F: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """o_t = phi(q_t)^T S + sum over the chunk's i <= t of T(q_t . k_i) v_i. Grid (blocks of tokens, rows)."""
    block, row = block_and_row(tl.cdiv(T, ROWS))
    start = block * ROWS
    ts, ks, vs = start + tl.arange(0, ROWS), tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_V)
    wide = H_ptr.dtype.element_ty
    q = load_rows(q_ptr, row, ts, ks, T, K, wide)
    o = tl.zeros((ROWS, BLOCK_V), wide)
    n = start // C
    for i0 in range(n * C, start + ROWS, ROWS):
        i = i0 + tl.arange(0, ROWS)
        k, v = load_rows(k_ptr, row, i, ks, T, K, wide), load_rows(v_ptr, row, i, vs, T, V, wide)
        z = tl.dot(q, tl.trans(k), input_precision=PRECISION, out_dtype=wide)
        weight = tl.where(ts[:, None] >= i[None, :], series(z, ORDER, LOWEST), 0.0)
        o = tl.dot(weight, v, o, input_precision=PRECISION, out_dtype=wide)
    before = H_ptr + (row * tl.cdiv(T, C) + n) * F * V
    for f0 in range(0, F, BLOCK_F):
        fs = f0 + tl.arange(0, BLOCK_F)
        S = tl.load(before + fs[:, None] * V + vs[None, :], mask=(fs < F)[:, None] & (vs < V)[None, :], other=0.0)
        phi = load_features(q_ptr, variables_ptr, weights_ptr, row, ts, fs, T, K, F, ORDER, wide)
        o = tl.dot(phi, S, o, input_precision=PRECISION, out_dtype=wide)
    inside = (ts < T)[:, None] & (vs < V)[None, :]
    tl.store(o_ptr + (row * T + ts)[:, None] * V + vs[None, :], o.to(o_ptr.dtype.element_ty), mask=inside)
