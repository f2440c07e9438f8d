"""The linear recurrence as one pass over memory: tiles of time scanned in registers, the state carried between them.

Forward reads a and b and writes h; backward reads a, dy and h and writes da and db, each in whatever width it comes,
with 32 bits in between. Where batch and width are too small to fill the chip, time is cut into segments whose ends are
computed first (a second read of the inputs).
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.first_order import first_order
from kernels.grid import segments


def linear_scan(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """Every h_t = a_t h_{t-1} + b_t in h's dtype, 32 bits or more. Shapes as in reference.py."""
    return scanned(a, b, h, h.dtype)[0]


def scanned(a: Tensor, b: Tensor, h: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Every state in `dtype`, and the last one (B, D) in h's, in which all are computed."""
    states, last = _LinearScan.apply(a.contiguous(), b.contiguous(), h.contiguous(), dtype)
    return states, last


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, h: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        states, last = torch.empty_like(b, dtype=dtype), torch.empty_like(h)
        ends = _segment_ends(a, b, h, shift=0, step=1)
        grid, sizes, time = _launch(b)
        _forward_kernel[grid](a, b, h, ends, states, last, *sizes, **time)
        ctx.save_for_backward(a, h, states)
        ctx.dtype = b.dtype
        return states, last

    @staticmethod
    @first_order
    def backward(ctx: Any, dy: Tensor, dlast: Tensor) -> tuple[Tensor | None, ...]:
        a, h, states = ctx.saved_tensors
        dy, dlast = dy.contiguous(), dlast.contiguous()
        da, db, dh = torch.empty_like(a), torch.empty_like(a, dtype=ctx.dtype), torch.empty_like(h)
        ends = _segment_ends(a, dy, h, shift=1, step=-1)
        grid, sizes, time = _launch(dy)
        _backward_kernel[grid](a, dy, dlast, h, states, ends, da, db, dh, *sizes, **time)
        return da, db, dh, None


def _launch(x: Tensor) -> tuple[tuple[int, int], tuple[int, int, int], dict[str, int]]:
    """The grid (rows times blocks of width, segments), the sizes T, D and tiles a segment, and the tile's shape."""
    batch, n_tokens, width = x.shape
    block_t = min(64, triton.next_power_of_2(n_tokens))
    block_d = min(32, triton.next_power_of_2(width))
    columns = batch * triton.cdiv(width, block_d)
    parts, tiles = segments(triton.cdiv(n_tokens, block_t), columns, x.is_cuda)
    return (columns, parts), (n_tokens, width, tiles), {"BLOCK_T": block_t, "BLOCK_D": block_d, "num_warps": 4}


def _segment_ends(a: Tensor, b: Tensor, h: Tensor, shift: int, step: int) -> Tensor:
    """(2, segments, B, D): the product of each segment's gates, and the state it ends in when it starts from zero."""
    grid, sizes, time = _launch(b)
    ends = h.new_empty(2, grid[1], *h.shape)
    if grid[1] > 1:
        _ends_kernel[grid](a, b, ends, *sizes, SHIFT=shift, STEP=step, **time)
    return ends


@triton.jit
def _combine(a1, b1, a2, b2):
    return a1 * a2, a2 * b1 + b2


@triton.jit
def _tile(a_ptr, b_ptr, row, n, T, D, columns, wide, SHIFT: tl.constexpr, STEP: tl.constexpr, BLOCK_T: tl.constexpr):
    """The n-th tile in the direction of travel, scanned from zero: gates' products, states, and where they lie.

    With STEP -1 time runs backwards; SHIFT 1 takes the gate of the next step, as the gradient does. Overrunning steps
    have gate 1 and input 0, which leave the state alone.
    """
    order = n * BLOCK_T + tl.arange(0, BLOCK_T)
    t = order if STEP == 1 else T - 1 - order
    inside = ((t >= 0) & (t < T))[:, None] & (columns < D)[None, :]
    at = (row * T + t)[:, None].to(tl.int64) * D + columns[None, :]
    gated = inside if SHIFT == 0 else inside & (t + SHIFT < T)[:, None]
    # Outside the tensor nothing moves, and past the last step a gradient comes as it is: gate 1.
    a = tl.load(a_ptr + at + SHIFT * D, mask=gated, other=1.0).to(wide)
    b = tl.load(b_ptr + at, mask=inside, other=0.0).to(wide)
    product, state = tl.associative_scan((a, b), 0, _combine)
    return product, state, at, t, inside


@triton.jit
def _last(x, BLOCK_T: tl.constexpr):
    """The last row of a tile (BLOCK_T, BLOCK_D)."""
    return tl.sum(tl.where((tl.arange(0, BLOCK_T) == BLOCK_T - 1)[:, None], x, 0.0), 0)


@triton.jit
def _ends_kernel(
    a_ptr, b_ptr, ends_ptr, T, D, tiles,
    SHIFT: tl.constexpr, STEP: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    n_blocks = tl.cdiv(D, BLOCK_D)
    row, segment = (tl.program_id(0) // n_blocks).to(tl.int64), tl.program_id(1)
    columns = (tl.program_id(0) % n_blocks) * BLOCK_D + tl.arange(0, BLOCK_D)
    product = tl.full((BLOCK_D,), 1.0, ends_ptr.dtype.element_ty)
    state = tl.zeros((BLOCK_D,), ends_ptr.dtype.element_ty)
    for n in range(segment * tiles, (segment + 1) * tiles):
        p, s, _, _, _ = _tile(a_ptr, b_ptr, row, n, T, D, columns, state.dtype, SHIFT, STEP, BLOCK_T)
        p_end = _last(p, BLOCK_T)
        state = p_end * state + _last(s, BLOCK_T)
        product = p_end * product
    rows = tl.num_programs(0) // n_blocks
    at = (segment * rows + row) * D + columns
    tl.store(ends_ptr + at, product, mask=columns < D)
    tl.store(ends_ptr + tl.num_programs(1).to(tl.int64) * rows * D + at, state, mask=columns < D)


@triton.jit
def _start(ends_ptr, state, row, rows, D, columns):
    """The state this segment starts from: the first one led through the segments before."""
    far = tl.num_programs(1).to(tl.int64) * rows * D
    for segment in range(tl.program_id(1)):
        at = (segment * rows + row) * D + columns
        product = tl.load(ends_ptr + at, mask=columns < D, other=0.0)
        state = product * state + tl.load(ends_ptr + far + at, mask=columns < D, other=0.0)
    return state


@triton.jit
def _forward_kernel(
    a_ptr, b_ptr, h_ptr, ends_ptr, out_ptr, last_ptr, T, D, tiles, BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    n_blocks = tl.cdiv(D, BLOCK_D)
    row, segment = (tl.program_id(0) // n_blocks).to(tl.int64), tl.program_id(1)
    columns = (tl.program_id(0) % n_blocks) * BLOCK_D + tl.arange(0, BLOCK_D)
    state = tl.load(h_ptr + row * D + columns, mask=columns < D, other=0.0)
    state = _start(ends_ptr, state, row, tl.num_programs(0) // n_blocks, D, columns)
    for n in range(segment * tiles, (segment + 1) * tiles):
        product, scanned, at, _, inside = _tile(a_ptr, b_ptr, row, n, T, D, columns, state.dtype, 0, 1, BLOCK_T)
        states = product * state[None, :] + scanned
        tl.store(out_ptr + at, states.to(out_ptr.dtype.element_ty), mask=inside)
        state = _last(states, BLOCK_T)
    if segment == tl.num_programs(1) - 1:  # overrunning steps left it alone
        tl.store(last_ptr + row * D + columns, state, mask=columns < D)


@triton.jit
def _backward_kernel(
    a_ptr, dy_ptr, dlast_ptr, h_ptr, states_ptr, ends_ptr, da_ptr, db_ptr, dh_ptr, T, D, tiles,
    BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """g_t = dy_t + a_{t+1} g_{t+1} from the last state's own;  db_t = g_t;  da_t = g_t h_{t-1};  dh_0 = a_1 g_1."""
    n_blocks = tl.cdiv(D, BLOCK_D)
    row, segment = (tl.program_id(0) // n_blocks).to(tl.int64), tl.program_id(1)
    columns = (tl.program_id(0) % n_blocks) * BLOCK_D + tl.arange(0, BLOCK_D)
    g = tl.load(dlast_ptr + row * D + columns, mask=columns < D, other=0.0)
    g = _start(ends_ptr, g, row, tl.num_programs(0) // n_blocks, D, columns)
    first = tl.load(h_ptr + row * D + columns, mask=columns < D, other=0.0)
    for n in range(segment * tiles, (segment + 1) * tiles):
        product, scanned, at, t, inside = _tile(a_ptr, dy_ptr, row, n, T, D, columns, g.dtype, 1, -1, BLOCK_T)
        grads = product * g[None, :] + scanned
        before = tl.load(states_ptr + at - D, mask=inside & (t > 0)[:, None], other=0.0).to(g.dtype)
        before = tl.where((t == 0)[:, None], first[None, :], before)
        tl.store(db_ptr + at, grads.to(db_ptr.dtype.element_ty), mask=inside)
        tl.store(da_ptr + at, (grads * before).to(da_ptr.dtype.element_ty), mask=inside)
        g = _last(grads, BLOCK_T)
    if segment == tl.num_programs(1) - 1:  # where the first step is; overrunning ones left its gradient alone
        gate = tl.load(a_ptr + row * T * D + columns, mask=columns < D, other=0.0).to(g.dtype)
        tl.store(dh_ptr + row * D + columns, gate * g, mask=columns < D)
