"""Linear attention with its gate on the values' side, on a GPU: chunks of 32, in each the decays one token at a time.

The gate goes with v and o, whose width no matmul sums over, so within a chunk it cannot be split between the operands
of one. Between chunks it can. Heads are rows, (B H, T, ...), contiguous; `after` and `up to` are log g summed inside a
chunk, as in triton_forward.py.
"""

# mypy: ignore-errors
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.first_order import first_order
from kernels.grid import block_and_row, blocks_and_row, line

CHUNK = 32
WIDEST = 256
"""Keys wider than this do not fit beside a block of values."""


def value_gated_attention(q: Tensor, k: Tensor, v: Tensor, log_g: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """Shapes as in value_gates.py."""
    batch, heads = k.shape[:2]
    rows = [z.flatten(0, 1).contiguous() for z in (q, k, v, log_g, S)]
    o, S = _Chunked.apply(*rows)
    return o.unflatten(0, (batch, heads)), S.unflatten(0, (batch, heads))


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, log_g: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
        run = _Launch(k, v)
        H, last = run.states(k, v, log_g, S)
        o = torch.empty_like(v)
        output_kernel[run.grid](q, k, v, log_g, H, o, run.T, **run.sizes)
        ctx.save_for_backward(q, k, v, log_g, S)
        return o, last

    @staticmethod
    @first_order
    def backward(ctx: Any, do: Tensor, dlast: Tensor) -> tuple[Tensor, ...]:
        q, k, v, log_g, S = ctx.saved_tensors
        do, dlast = do.contiguous(), dlast.contiguous()
        run = _Launch(k, v)
        H, _ = run.states(k, v, log_g, S)  # made again rather than kept
        DH, dS = torch.empty_like(H), torch.empty_like(S)
        dstates_kernel[run.state_grid](q, log_g, do, dlast, DH, dS, run.T, **run.sizes)
        dv, dlog_g = torch.empty_like(v), torch.empty_like(log_g)
        # A block of values knows its own part of dq and dk.
        dq, dk = (torch.empty(run.n_v, *k.shape, dtype=S.dtype, device=k.device) for _ in range(2))
        backward_kernel[run.grid](q, k, v, log_g, H, DH, do, dq, dk, dv, dlog_g, run.T, **run.sizes)
        return dq.sum(0).to(q.dtype), dk.sum(0).to(k.dtype), dv, dlog_g, dS


class _Launch:
    """Sizes and grids for tensors k (B H, T, K) and v (B H, T, V); chosen for a Hopper chip and not measured."""

    def __init__(self, k: Tensor, v: Tensor) -> None:
        (rows, self.T, width), d_value = k.shape, v.shape[-1]
        self.n_chunks = triton.cdiv(self.T, CHUNK)
        block_k, block_v = max(16, triton.next_power_of_2(width)), min(32, max(16, triton.next_power_of_2(d_value)))
        self.sizes = {
            "K": width, "V": d_value, "C": CHUNK, "BLOCK_K": block_k, "BLOCK_V": block_v,
            # In single precision three passes of tf32 keep its accuracy on the tensor cores.
            "PRECISION": "tf32x3", "num_warps": 8 if block_k > 64 else 4,
        }  # fmt: skip
        self.n_v = triton.cdiv(d_value, block_v)
        self.state_grid = line(self.n_v, rows)
        self.grid = line(self.n_v, self.n_chunks, rows)

    def states(self, k: Tensor, v: Tensor, log_g: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
        """The state before each chunk, (B H, chunks, K, V), and after the last."""
        H, last = S.new_empty(len(S), self.n_chunks, *S.shape[1:]), torch.empty_like(S)
        states_kernel[self.state_grid](k, v, log_g, S, H, last, self.T, **self.sizes)
        return H, last


@triton.jit
def load_tile(ptr, row, rows, columns, end, T, width: tl.constexpr, wide):
    """(rows, columns) of a (B H, T, width) tensor as the wide dtype, zeros from step `end` on and beyond the width."""
    inside = (rows < end)[:, None] & (columns < width)[None, :]
    at = (row * T + rows)[:, None].to(tl.int64) * width + columns[None, :]
    return tl.load(ptr + at, mask=inside, other=0.0).to(wide)


@triton.jit
def sums(log_g_ptr, row, start, vs, T, V: tl.constexpr, C: tl.constexpr, wide):
    """log g summed inside the chunk that begins at `start`: up to each step, after it, (C, vs), and all of it (vs)."""
    ts = start + tl.arange(0, C)
    gates = load_tile(log_g_ptr, row, ts, vs, T, T, V, wide)
    following = load_tile(log_g_ptr, row, ts + 1, vs, tl.minimum(start + C, T), T, V, wide)
    return tl.cumsum(gates, 0), tl.cumsum(following, 0, reverse=True), tl.sum(gates, 0)


@triton.jit
def load_row(ptr, row, t, columns, T, width: tl.constexpr, wide):
    """Step t of a (B H, T, width) tensor, (columns,), zeros beyond T and beyond the width."""
    return tl.load(ptr + (row * T + t) * width + columns, mask=(columns < width) & (t < T), other=0.0).to(wide)


@triton.jit
def states_kernel(
    k_ptr, v_ptr, log_g_ptr, S_ptr, H_ptr, last_ptr, T,
    K: tl.constexpr, V: tl.constexpr, C: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """S <- S diag(g of the whole chunk) + K^T (V * exp(after)), chunk after chunk. Grid (blocks of V, rows)."""
    block, row = block_and_row(tl.cdiv(V, BLOCK_V))
    ks, vs = tl.arange(0, BLOCK_K), block * BLOCK_V + tl.arange(0, BLOCK_V)
    wide = S_ptr.dtype.element_ty
    inside = (ks < K)[:, None] & (vs < V)[None, :]
    at = ks[:, None] * V + vs[None, :]
    S = tl.load(S_ptr + row * K * V + at, mask=inside, other=0.0)
    n_chunks = tl.cdiv(T, C)
    for n in range(n_chunks):
        tl.store(H_ptr + (row * n_chunks + n) * K * V + at, S, mask=inside)
        ts = n * C + tl.arange(0, C)
        k, v = load_tile(k_ptr, row, ts, ks, T, T, K, wide), load_tile(v_ptr, row, ts, vs, T, T, V, wide)
        _, after, whole = sums(log_g_ptr, row, n * C, vs, T, V, C, wide)
        S = S * tl.exp(whole)[None, :]
        S = tl.dot(tl.trans(k), v * tl.exp(after), S, input_precision=PRECISION, out_dtype=wide)
    tl.store(last_ptr + row * K * V + at, S, mask=inside)


@triton.jit
def dstates_kernel(
    q_ptr, log_g_ptr, do_ptr, dlast_ptr, DH_ptr, dS_ptr, T,
    K: tl.constexpr, V: tl.constexpr, C: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradient of the state after each chunk, DH, last chunk first, and of the first. Grid (blocks of V, rows)."""
    block, row = block_and_row(tl.cdiv(V, BLOCK_V))
    ks, vs = tl.arange(0, BLOCK_K), block * BLOCK_V + tl.arange(0, BLOCK_V)
    wide = dS_ptr.dtype.element_ty
    inside = (ks < K)[:, None] & (vs < V)[None, :]
    at = ks[:, None] * V + vs[None, :]
    dS = tl.load(dlast_ptr + row * K * V + at, mask=inside, other=0.0)
    n_chunks = tl.cdiv(T, C)
    for m in range(n_chunks):
        n = n_chunks - 1 - m
        tl.store(DH_ptr + (row * n_chunks + n) * K * V + at, dS, mask=inside)
        ts = n * C + tl.arange(0, C)
        q, do = load_tile(q_ptr, row, ts, ks, T, T, K, wide), load_tile(do_ptr, row, ts, vs, T, T, V, wide)
        up_to, _, whole = sums(log_g_ptr, row, n * C, vs, T, V, C, wide)
        dS = dS * tl.exp(whole)[None, :]
        dS = tl.dot(tl.trans(q), do * tl.exp(up_to), dS, input_precision=PRECISION, out_dtype=wide)
    tl.store(dS_ptr + row * K * V + at, dS, mask=inside)


@triton.jit
def output_kernel(
    q_ptr, k_ptr, v_ptr, log_g_ptr, H_ptr, o_ptr, T,
    K: tl.constexpr, V: tl.constexpr, C: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """o for one chunk. Grid (blocks of V, chunks, rows)."""
    block, n, row = blocks_and_row(tl.cdiv(V, BLOCK_V), tl.cdiv(T, C))
    start = n * C
    ts, ks, vs = start + tl.arange(0, C), tl.arange(0, BLOCK_K), block * BLOCK_V + tl.arange(0, BLOCK_V)
    wide = H_ptr.dtype.element_ty
    q = load_tile(q_ptr, row, ts, ks, T, T, K, wide)
    before = H_ptr + (row * tl.cdiv(T, C) + n) * K * V
    at = ks[:, None] * V + vs[None, :]
    S = tl.load(before + at, mask=(ks < K)[:, None] & (vs < V)[None, :], other=0.0)
    up_to, _, _ = sums(log_g_ptr, row, start, vs, T, V, C, wide)
    o = tl.dot(q, S, input_precision=PRECISION, out_dtype=wide) * tl.exp(up_to)
    until = tl.zeros((C, BLOCK_V), wide)  # log g from after step s up to each step t; s goes backwards
    for m in range(C):
        s = start + C - 1 - m
        until = tl.where((ts > s)[:, None], until + load_row(log_g_ptr, row, s + 1, vs, T, V, wide)[None, :], 0.0)
        scores = tl.sum(q * load_row(k_ptr, row, s, ks, T, K, wide)[None, :], 1)
        read = scores[:, None] * load_row(v_ptr, row, s, vs, T, V, wide)[None, :] * tl.exp(until)
        o += tl.where((ts >= s)[:, None], read, 0.0)
    inside = (ts < T)[:, None] & (vs < V)[None, :]
    tl.store(o_ptr + (row * T + ts)[:, None] * V + vs[None, :], o.to(o_ptr.dtype.element_ty), mask=inside)


@triton.jit
def backward_kernel(
    q_ptr, k_ptr, v_ptr, log_g_ptr, H_ptr, DH_ptr, do_ptr, dq_ptr, dk_ptr, dv_ptr, dlog_g_ptr, T,
    K: tl.constexpr, V: tl.constexpr, C: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_V: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradients of one chunk; dq and dk (blocks of V, B H, T, K) are this block's part. Grid (blocks of V, chunks,
    rows).

    d log g_t = sum over i >= t in the chunk of (o_i do_i - v_i dv_i) plus the sum over K of S dS at the chunk's end.
    A step's answer to itself adds the same to both products, so it comes in after their difference.
    """
    block, n, row = blocks_and_row(tl.cdiv(V, BLOCK_V), tl.cdiv(T, C))
    start = n * C
    ss, ks, vs = start + tl.arange(0, C), tl.arange(0, BLOCK_K), block * BLOCK_V + tl.arange(0, BLOCK_V)
    wide = H_ptr.dtype.element_ty
    q, k = load_tile(q_ptr, row, ss, ks, T, T, K, wide), load_tile(k_ptr, row, ss, ks, T, T, K, wide)
    v, do = load_tile(v_ptr, row, ss, vs, T, T, V, wide), load_tile(do_ptr, row, ss, vs, T, T, V, wide)
    up_to, after, whole = sums(log_g_ptr, row, start, vs, T, V, C, wide)
    at = (row * tl.cdiv(T, C) + n) * K * V + ks[:, None] * V + vs[None, :]
    filled = (ks < K)[:, None] & (vs < V)[None, :]
    S, dS = tl.load(H_ptr + at, mask=filled, other=0.0), tl.load(DH_ptr + at, mask=filled, other=0.0)
    written = v * tl.exp(after)
    end = tl.dot(tl.trans(k), written, S * tl.exp(whole)[None, :], input_precision=PRECISION, out_dtype=wide)
    ends = tl.sum(end * dS, 0)
    o = tl.dot(q, S, input_precision=PRECISION, out_dtype=wide) * tl.exp(up_to)
    dv = tl.dot(k, dS, input_precision=PRECISION, out_dtype=wide) * tl.exp(after)
    dq = tl.dot(do * tl.exp(up_to), tl.trans(S), input_precision=PRECISION, out_dtype=wide)
    dk = tl.dot(written, tl.trans(dS), input_precision=PRECISION, out_dtype=wide)
    until = tl.zeros((C, BLOCK_V), wide)  # log g from after each step s up to step t; t goes forwards
    for m in range(C):
        t = start + m
        until = tl.where((ss < t)[:, None], until + load_row(log_g_ptr, row, t, vs, T, V, wide)[None, :], 0.0)
        decay = tl.where((ss <= t)[:, None], tl.exp(until), 0.0)
        before = (ss < t)[:, None]
        q_t, do_t = load_row(q_ptr, row, t, ks, T, K, wide), load_row(do_ptr, row, t, vs, T, V, wide)
        weight = tl.sum(k * q_t[None, :], 1)[:, None] * decay
        dv += tl.where(before, weight * do_t[None, :], 0.0)
        o += tl.where((ss == t)[:, None], tl.sum(tl.where(before, weight * v, 0.0), 0)[None, :], 0.0)
        dscores = tl.sum(v * do_t[None, :] * decay, 1)
        dk += dscores[:, None] * q_t[None, :]
        dq += tl.where((ss == t)[:, None], tl.sum(dscores[:, None] * k, 0)[None, :], 0.0)
    dlog_g = tl.cumsum(o * do - v * dv, 0, reverse=True) + ends[None, :]
    dv += tl.sum(q * k, 1)[:, None] * do
    inside = (ss < T)[:, None] & (vs < V)[None, :]
    at = (row * T + ss)[:, None] * V + vs[None, :]
    tl.store(dv_ptr + at, dv.to(dv_ptr.dtype.element_ty), mask=inside)
    tl.store(dlog_g_ptr + at, dlog_g, mask=inside)
    part = block * (tl.num_programs(0) // tl.cdiv(V, BLOCK_V) // tl.cdiv(T, C)).to(tl.int64) + row
    inside = (ss < T)[:, None] & (ks < K)[None, :]
    at = (part * T + ss)[:, None] * K + ks[None, :]
    tl.store(dq_ptr + at, dq, mask=inside)
    tl.store(dk_ptr + at, dk, mask=inside)
