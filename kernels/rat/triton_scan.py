"""The kernels of RAT's average inside chunks. Chunks start from zero, so each is a program's own, one token at a time.

D = H P channels in blocks; k has G P, and the channel of head h reads that of group h mod G. A row's first chunk may
have begun before the row's first token here: then it starts from what was gathered, `phase` tokens in.
"""

# mypy: ignore-errors
import triton
import triton.language as tl


@triton.jit
def _place(phase_ptr, T, n_chunks, size, D: tl.constexpr, P: tl.constexpr, G: tl.constexpr, BLOCK: tl.constexpr):
    """This program's row, the token its chunk starts at (below 0 if before the row), and its channels, also k's."""
    row, chunk = (tl.program_id(0) // n_chunks).to(tl.int64), tl.program_id(0) % n_chunks
    start = chunk * size - tl.load(phase_ptr + row).to(tl.int32)
    channels = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    return row, chunk, start, channels, channels // P % G * P + channels % P


@triton.jit
def scan_kernel(
    k_ptr, v_ptr, g_ptr, phase_ptr, k_before_ptr, v_before_ptr, k_out_ptr, v_out_ptr, T, n_chunks, size,
    D: tl.constexpr, P: tl.constexpr, G: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """k~, v~ (B, T, D). Grid (rows x chunks, blocks of D)."""
    row, _, start, channels, k_channels = _place(phase_ptr, T, n_chunks, size, D, P, G, BLOCK)
    inside = channels < D
    wide = k_out_ptr.dtype.element_ty
    begun = inside & (start < 0)
    k_state = tl.load(k_before_ptr + row * D + channels, mask=begun, other=0.0)
    v_state = tl.load(v_before_ptr + row * D + channels, mask=begun, other=0.0)
    for t in range(tl.maximum(start, 0), tl.minimum(start + size, T)):
        at = (row * T + t) * D + channels
        g = tl.load(g_ptr + at, mask=inside, other=0.0).to(wide)
        k = tl.load(k_ptr + (row * T + t) * G * P + k_channels, mask=inside, other=0.0).to(wide)
        v = tl.load(v_ptr + at, mask=inside, other=0.0).to(wide)
        k_state, v_state = g * k_state + (1 - g) * k, g * v_state + (1 - g) * v
        tl.store(k_out_ptr + at, k_state, mask=inside)
        tl.store(v_out_ptr + at, v_state, mask=inside)


@triton.jit
def scan_backward_kernel(
    k_ptr, v_ptr, g_ptr, phase_ptr, k_before_ptr, v_before_ptr, k_out_ptr, v_out_ptr, dk_out_ptr, dv_out_ptr,
    dk_ptr, dv_ptr, dg_ptr, dk_before_ptr, dv_before_ptr, T, n_chunks, size,
    D: tl.constexpr, P: tl.constexpr, G: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """With E_t = dk~_t + g_{t+1} E_{t+1} inside the chunk: dk_t = (1 - g_t) E_t, dg_t = E_t (k~_{t-1} - k_t) and the
    same of the values. dk is (B, T, D), a head's own; its group's sum is left to the caller. Grid as forward.
    """
    row, chunk, start, channels, k_channels = _place(phase_ptr, T, n_chunks, size, D, P, G, BLOCK)
    inside = channels < D
    wide = k_out_ptr.dtype.element_ty
    k_first = tl.load(k_before_ptr + row * D + channels, mask=inside & (start < 0), other=0.0)
    v_first = tl.load(v_before_ptr + row * D + channels, mask=inside & (start < 0), other=0.0)
    k_carry, v_carry = tl.zeros((BLOCK,), wide), tl.zeros((BLOCK,), wide)
    begin, end = tl.maximum(start, 0), tl.minimum(start + size, T)
    for back in range(end - begin):
        t = end - 1 - back
        at = (row * T + t) * D + channels
        g = tl.load(g_ptr + at, mask=inside, other=0.0).to(wide)
        k = tl.load(k_ptr + (row * T + t) * G * P + k_channels, mask=inside, other=0.0).to(wide)
        v = tl.load(v_ptr + at, mask=inside, other=0.0).to(wide)
        earlier = inside & (t > begin)
        k_prev = tl.where(t > begin, tl.load(k_out_ptr + at - D, mask=earlier, other=0.0), k_first)
        v_prev = tl.where(t > begin, tl.load(v_out_ptr + at - D, mask=earlier, other=0.0), v_first)
        k_grad = tl.load(dk_out_ptr + at, mask=inside, other=0.0) + k_carry
        v_grad = tl.load(dv_out_ptr + at, mask=inside, other=0.0) + v_carry
        tl.store(dk_ptr + at, (1 - g) * k_grad, mask=inside)
        tl.store(dv_ptr + at, ((1 - g) * v_grad).to(dv_ptr.dtype.element_ty), mask=inside)
        dg = k_grad * (k_prev - k) + v_grad * (v_prev - v)
        tl.store(dg_ptr + at, dg.to(dg_ptr.dtype.element_ty), mask=inside)
        k_carry, v_carry = g * k_grad, g * v_grad
    if chunk == 0:  # what was gathered before counts only in a chunk that had begun
        begun = start < 0
        tl.store(dk_before_ptr + row * D + channels, tl.where(begun, k_carry, 0.0), mask=inside)
        tl.store(dv_before_ptr + row * D + channels, tl.where(begun, v_carry, 0.0), mask=inside)
