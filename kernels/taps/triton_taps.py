"""The kernels of taps: frames lie channels last, so a program reads rows of channels, and a dilation is a stride."""

# mypy: ignore-errors
import triton
import triton.language as tl


@triton.jit
def taps_kernel(
    u_ptr, w_ptr, y_ptr, S, N, C, dilation,
    WIDTH: tl.constexpr, TURNED: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """y_t = sum_i w_i u_{t + i dilation}, y (B, N, C) of u (B, S, C); TURNED: y_t = sum_i w_i u_{t - i dilation}, what
    lies outside u being zero. Grid (B, blocks of N, blocks of C)."""
    b = tl.program_id(0).to(tl.int64)
    ts = tl.program_id(1) * BLOCK_T + tl.arange(0, BLOCK_T)
    cs = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
    wide = tl.float64 if y_ptr.dtype.element_ty == tl.float64 else tl.float32
    y = tl.zeros((BLOCK_T, BLOCK_C), wide)
    for i in range(WIDTH):
        at = ts - i * dilation if TURNED else ts + i * dilation
        inside = ((at >= 0) & (at < S))[:, None] & (cs < C)[None, :]
        u = tl.load(u_ptr + (b * S + at)[:, None] * C + cs[None, :], mask=inside, other=0.0).to(wide)
        w = tl.load(w_ptr + cs * WIDTH + i, mask=cs < C, other=0.0).to(wide)
        y += u * w[None, :]
    inside = (ts < N)[:, None] & (cs < C)[None, :]
    tl.store(y_ptr + (b * N + ts)[:, None] * C + cs[None, :], y.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def weights_kernel(
    u_ptr, dy_ptr, shares_ptr, S, N, C, WIDTH, dilation, spans, BLOCK_T: tl.constexpr, BLOCK_C: tl.constexpr
):
    """One row's and span's share of dw (C, WIDTH). Grid (rows x spans, blocks of C, WIDTH)."""
    b, span = (tl.program_id(0) // spans).to(tl.int64), tl.program_id(0) % spans
    cs = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    i = tl.program_id(2)
    wide = shares_ptr.dtype.element_ty
    dw = tl.zeros((BLOCK_C,), wide)
    for t in range(span * BLOCK_T, N, spans * BLOCK_T):
        ts = t + tl.arange(0, BLOCK_T)
        inside = (ts < N)[:, None] & (cs < C)[None, :]
        dy = tl.load(dy_ptr + (b * N + ts)[:, None] * C + cs[None, :], mask=inside, other=0.0).to(wide)
        at = (b * S + ts + i * dilation)[:, None] * C + cs[None, :]
        dw += tl.sum(dy * tl.load(u_ptr + at, mask=inside, other=0.0).to(wide), 0)
    tl.store(shares_ptr + (tl.program_id(0).to(tl.int64) * C + cs) * WIDTH + i, dw, mask=cs < C)
