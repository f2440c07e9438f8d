"""The backward kernels of Taylor attention. Names and layouts as in triton_forward.py.

With dS the gradient of the state after a chunk: inside the chunk dW = dO V^T on and below the diagonal, dZ = dW T'(Z),
T' the series one order shorter; between chunks d phi(q) = dO S^T and d phi(k) = V dS^T. A feature being a product, it
gives each of its variables the product of the others; a product with a matrix of zeros and ones brings it there.
"""

# mypy: ignore-errors
import triton
import triton.language as tl

from kernels.grid import block_and_row
from kernels.taylor.triton_forward import load_features, load_rows, load_variable, series


@triton.jit
def to_variables(
    dphi, dx, ptr, variables_ptr, weights_ptr, row, ts, fs, ks, T,
    K: tl.constexpr, F: tl.constexpr, ORDER: tl.constexpr, wide, PRECISION: tl.constexpr,
):  # fmt: skip
    """dx (ts, ks) and what the features' gradients dphi (ts, fs) add to it."""
    weight = tl.load(weights_ptr + fs, mask=fs < F, other=0.0).to(wide)
    for n in tl.static_range(ORDER):
        others = dphi * weight[None, :]
        for m in tl.static_range(ORDER):
            if m != n:
                variables = tl.load(variables_ptr + m * F + fs, mask=fs < F, other=K)
                others = others * load_variable(ptr, row, ts, variables, T, K, wide)
        own = tl.load(variables_ptr + n * F + fs, mask=fs < F, other=K)
        chosen = tl.where((own[:, None] == ks[None, :]) & (ks < K)[None, :], 1.0, 0.0).to(wide)
        dx = tl.dot(others, chosen, dx, input_precision=PRECISION, out_dtype=wide)
    return dx


@triton.jit
def dstates_kernel(
    q_ptr, do_ptr, variables_ptr, weights_ptr, dlast_ptr, DH_ptr, dS_ptr, T,
    K: tl.constexpr, V: tl.constexpr, F: tl.constexpr, ORDER: tl.constexpr, C: tl.constexpr, ROWS: tl.constexpr,
    BLOCK_V: tl.constexpr, BLOCK_F: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradient of the state after each chunk, DH (B H, chunks, F, V), last chunk first, and of the first state.

    Grid (blocks of F, rows).
    """
    block, row = block_and_row(tl.cdiv(F, BLOCK_F))
    fs, vs = block * BLOCK_F + tl.arange(0, BLOCK_F), tl.arange(0, BLOCK_V)
    wide = dS_ptr.dtype.element_ty
    inside = (fs < F)[:, None] & (vs < V)[None, :]
    at = fs[:, None] * V + vs[None, :]
    dS = tl.load(dlast_ptr + row * F * V + at, mask=inside, other=0.0)
    n_chunks = tl.cdiv(T, C)
    for m in range(n_chunks):
        n = n_chunks - 1 - m
        tl.store(DH_ptr + (row * n_chunks + n) * F * V + at, dS, mask=inside)
        for t0 in range(0, C, ROWS):
            ts = n * C + t0 + tl.arange(0, ROWS)
            phi = load_features(q_ptr, variables_ptr, weights_ptr, row, ts, fs, T, K, F, ORDER, wide)
            do = load_rows(do_ptr, row, ts, vs, T, V, wide)
            dS = tl.dot(tl.trans(phi), do, dS, input_precision=PRECISION, out_dtype=wide)
    tl.store(dS_ptr + row * F * V + at, dS, mask=inside)


@triton.jit
def queries_kernel(
    q_ptr, k_ptr, v_ptr, do_ptr, variables_ptr, weights_ptr, H_ptr, dq_ptr, T,
    K: tl.constexpr, V: tl.constexpr, F: tl.constexpr, ORDER: tl.constexpr, LOWEST: tl.constexpr,
    C: tl.constexpr, ROWS: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_F: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """dq. Grid (blocks of tokens, rows)."""
    block, row = block_and_row(tl.cdiv(T, ROWS))
    start = block * ROWS
    ts, ks, vs = start + tl.arange(0, ROWS), tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_V)
    wide = H_ptr.dtype.element_ty
    q, do = load_rows(q_ptr, row, ts, ks, T, K, wide), load_rows(do_ptr, row, ts, vs, T, V, wide)
    dq = tl.zeros((ROWS, BLOCK_K), wide)
    n = start // C
    for i0 in range(n * C, start + ROWS, ROWS):
        i = i0 + tl.arange(0, ROWS)
        k, v = load_rows(k_ptr, row, i, ks, T, K, wide), load_rows(v_ptr, row, i, vs, T, V, wide)
        z = tl.dot(q, tl.trans(k), input_precision=PRECISION, out_dtype=wide)
        dw = tl.dot(do, tl.trans(v), input_precision=PRECISION, out_dtype=wide)
        slope = series(z, ORDER - 1, 0 if LOWEST == 0 else LOWEST - 1)
        dq = tl.dot(
            tl.where(ts[:, None] >= i[None, :], dw * slope, 0.0), k, dq, input_precision=PRECISION, out_dtype=wide
        )
    before = H_ptr + (row * tl.cdiv(T, C) + n) * F * V
    for f0 in range(0, F, BLOCK_F):
        fs = f0 + tl.arange(0, BLOCK_F)
        S = tl.load(before + fs[:, None] * V + vs[None, :], mask=(fs < F)[:, None] & (vs < V)[None, :], other=0.0)
        dphi = tl.dot(do, tl.trans(S), input_precision=PRECISION, out_dtype=wide)
        dq = to_variables(dphi, dq, q_ptr, variables_ptr, weights_ptr, row, ts, fs, ks, T, K, F, ORDER, wide, PRECISION)
    inside = (ts < T)[:, None] & (ks < K)[None, :]
    tl.store(dq_ptr + (row * T + ts)[:, None] * K + ks[None, :], dq.to(dq_ptr.dtype.element_ty), mask=inside)


@triton.jit
def keys_kernel(
    q_ptr, k_ptr, v_ptr, do_ptr, variables_ptr, weights_ptr, DH_ptr, dk_ptr, dv_ptr, T,
    K: tl.constexpr, V: tl.constexpr, F: tl.constexpr, ORDER: tl.constexpr, LOWEST: tl.constexpr,
    C: tl.constexpr, ROWS: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_F: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """dk and dv. Grid (blocks of tokens, rows)."""
    block, row = block_and_row(tl.cdiv(T, ROWS))
    start = block * ROWS
    i, ks, vs = start + tl.arange(0, ROWS), tl.arange(0, BLOCK_K), tl.arange(0, BLOCK_V)
    wide = DH_ptr.dtype.element_ty
    k, v = load_rows(k_ptr, row, i, ks, T, K, wide), load_rows(v_ptr, row, i, vs, T, V, wide)
    dk, dv = tl.zeros((ROWS, BLOCK_K), wide), tl.zeros((ROWS, BLOCK_V), wide)
    n = start // C
    for t0 in range(start, tl.minimum(n * C + C, T), ROWS):
        ts = t0 + tl.arange(0, ROWS)
        q, do = load_rows(q_ptr, row, ts, ks, T, K, wide), load_rows(do_ptr, row, ts, vs, T, V, wide)
        z = tl.dot(k, tl.trans(q), input_precision=PRECISION, out_dtype=wide)  # (keys, queries)
        seen = ts[None, :] >= i[:, None]
        dv = tl.dot(tl.where(seen, series(z, ORDER, LOWEST), 0.0), do, dv, input_precision=PRECISION, out_dtype=wide)
        dw = tl.dot(v, tl.trans(do), input_precision=PRECISION, out_dtype=wide)
        slope = series(z, ORDER - 1, 0 if LOWEST == 0 else LOWEST - 1)
        dk = tl.dot(tl.where(seen, dw * slope, 0.0), q, dk, input_precision=PRECISION, out_dtype=wide)
    after = DH_ptr + (row * tl.cdiv(T, C) + n) * F * V
    for f0 in range(0, F, BLOCK_F):
        fs = f0 + tl.arange(0, BLOCK_F)
        dS = tl.load(after + fs[:, None] * V + vs[None, :], mask=(fs < F)[:, None] & (vs < V)[None, :], other=0.0)
        phi = load_features(k_ptr, variables_ptr, weights_ptr, row, i, fs, T, K, F, ORDER, wide)
        dv = tl.dot(phi, dS, dv, input_precision=PRECISION, out_dtype=wide)
        dphi = tl.dot(v, tl.trans(dS), input_precision=PRECISION, out_dtype=wide)
        dk = to_variables(dphi, dk, k_ptr, variables_ptr, weights_ptr, row, i, fs, ks, T, K, F, ORDER, wide, PRECISION)
    at = (row * T + i)[:, None]
    tl.store(dk_ptr + at * K + ks[None, :], dk.to(dk_ptr.dtype.element_ty), mask=(i < T)[:, None] & (ks < K)[None, :])
    tl.store(dv_ptr + at * V + vs[None, :], dv.to(dv_ptr.dtype.element_ty), mask=(i < T)[:, None] & (vs < V)[None, :])
