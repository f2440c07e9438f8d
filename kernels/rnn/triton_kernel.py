"""The recurrence of a DialogGRU in Triton: one launch a step, forward and backward, over rows and state columns.

A step's six products, the gates and the new state are one kernel. In the backward, the launch of step t first brings
home what step t+1 owes to earlier states, and then has all it needs for step t's gates; the weights' gradients are
two matrix products at the end.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.first_order import first_order

PRECISION = tl.constexpr("tf32x3")
"""Three TF32 products make up one of float32, at tensor cores' speed."""


def dialog_gru(
    gates: Tensor,
    w_contagion: Tensor,
    b_contagion: Tensor,
    w_inertia: Tensor,
    b_inertia: Tensor,
    source: Tensor,
    p_inertia: Tensor,
    p_contagion: Tensor,
    memory: Tensor,
    lengths: Tensor,
) -> Tensor:
    """As `reference.dialog_gru`, in float32."""
    floats = (gates, w_contagion, b_contagion, w_inertia, b_inertia, p_inertia, p_contagion, memory)
    y: Tensor = _DialogGRU.apply(*(z.contiguous() for z in floats), source.contiguous(), lengths)
    return y


class _DialogGRU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        gates: Tensor,
        w_contagion: Tensor,
        b_contagion: Tensor,
        w_inertia: Tensor,
        b_inertia: Tensor,
        p_inertia: Tensor,
        p_contagion: Tensor,
        memory: Tensor,
        source: Tensor,
        lengths: Tensor,
    ) -> Tensor:
        batch, n_tokens, _ = gates.shape
        n_slots, width = memory.shape[1:]
        states = torch.cat([memory, memory.new_zeros(batch, n_tokens, width)], 1)  # (B, M + T, H)
        saving = any(ctx.needs_input_grad)
        # r z s n, and the inner sums of n; zero at padding, where nothing is written.
        acts = gates.new_zeros(batch, n_tokens, 6 * width) if saving else gates
        grid, blocks = _launch(batch, width, gates.is_cuda)
        for t in range(n_tokens):
            _forward_kernel[grid](
                gates, w_contagion, b_contagion, w_inertia, b_inertia, p_inertia, p_contagion, source, lengths,
                states, acts, batch, n_tokens, n_slots, t, H=width, SAVE=saving, **blocks,
            )  # fmt: skip
        ctx.save_for_backward(w_contagion, w_inertia, p_inertia, p_contagion, source, lengths, states, acts)
        return states[:, n_slots:].clone()

    @staticmethod
    @first_order
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        w_contagion, w_inertia, p_inertia, p_contagion, source, lengths, states, acts = ctx.saved_tensors
        batch, n_tokens, width = d_out.shape
        n_slots = states.shape[1] - n_tokens
        d_states = torch.cat([torch.zeros_like(states[:, :n_slots]), d_out], 1)
        # Of r z s n before their functions, then of the two inner sums; zero at padding.
        d_acts = torch.zeros_like(acts)
        grid, blocks = _launch(batch, width, d_out.is_cuda)
        for t in range(n_tokens - 1, -2, -1):
            _backward_kernel[grid](
                w_contagion, w_inertia, p_inertia, p_contagion, source, lengths, states, acts, d_states, d_acts,
                batch, n_tokens, n_slots, t, H=width, **blocks,
            )  # fmt: skip
        d_r, d_z, d_s, _, d_c, d_i = d_acts.chunk(6, -1)
        d_contagion, d_inertia = torch.cat([d_r, d_z, d_c], -1), torch.cat([d_z, d_s, d_i], -1)  # (B, T, 3H)
        before = states[:, n_slots - 1 : -1]
        own = states.gather(1, source[..., None].expand(-1, -1, width))
        d_p_inertia = d_p_contagion = None
        if ctx.needs_input_grad[5]:
            d_h = d_inertia @ w_inertia
            inside = torch.arange(n_tokens, device=lengths.device) < lengths[:, None]
            d_h = d_h + d_states[:, n_slots:] * acts[..., width : 2 * width] * inside[..., None]
            d_p_inertia = (d_h * own).sum(-1)
        if ctx.needs_input_grad[6]:
            d_p_contagion = ((d_contagion @ w_contagion) * before).sum(-1)
        h_contagion, h_inertia = before * p_contagion[..., None], own * p_inertia[..., None]
        return (
            d_acts[..., : 4 * width],
            d_contagion.flatten(0, 1).t() @ h_contagion.flatten(0, 1),
            d_contagion.sum((0, 1)),
            d_inertia.flatten(0, 1).t() @ h_inertia.flatten(0, 1),
            d_inertia.sum((0, 1)),
            d_p_inertia,
            d_p_contagion,
            d_states[:, :n_slots],
            None,
            None,
        )


def _launch(batch: int, width: int, on_gpu: bool) -> tuple[tuple[int, int], dict[str, int]]:
    """The grid (row blocks, column blocks) and the blocks: narrow columns, so that a small batch fills more chip."""
    rows, columns, inner = (16, 32, 64) if on_gpu else (16, 16, 16)
    columns, inner = (min(size, max(16, triton.next_power_of_2(width))) for size in (columns, inner))
    grid = (triton.cdiv(batch, rows), triton.cdiv(width, columns))
    return grid, {"BLOCK_B": rows, "BLOCK_H": columns, "BLOCK_K": inner, "num_warps": 4}


@triton.jit
def _weights(ptr, gate, rows, row_mask, columns, column_mask, H: tl.constexpr):
    """One gate's weights at (rows, columns) of its H x H block."""
    at = (gate * H + rows)[:, None].to(tl.int64) * H + columns[None, :]
    return tl.load(ptr + at, mask=row_mask[:, None] & column_mask[None, :], other=0.0)


@triton.jit
def _tanh(x):
    return 2.0 * tl.sigmoid(2.0 * x) - 1.0


@triton.jit(do_not_specialize=["t"])
def _forward_kernel(
    x_ptr, wc_ptr, bc_ptr, wi_ptr, bi_ptr, pi_ptr, pc_ptr, source_ptr, lengths_ptr, states_ptr, acts_ptr, B, T, M, t,
    H: tl.constexpr, SAVE: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)).to(tl.int64)
    column = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    active = t < tl.load(lengths_ptr + row, mask=row < B, other=0)
    if tl.max(active.to(tl.int32), 0) > 0:
        step = row * T + t
        p_i = tl.load(pi_ptr + step, mask=active, other=0.0)
        p_c = tl.load(pc_ptr + step, mask=active, other=0.0)
        own = row * (M + T) + tl.load(source_ptr + step, mask=active, other=0)
        last = row * (M + T) + M + t - 1
        c_r = tl.zeros((BLOCK_B, BLOCK_H), tl.float32)
        c_z, c_n, i_z, i_s, i_n = c_r, c_r, c_r, c_r, c_r
        for n in range(0, H, BLOCK_K):
            k = n + tl.arange(0, BLOCK_K)
            mask = active[:, None] & (k < H)[None, :]
            h_c = tl.load(states_ptr + last[:, None] * H + k[None, :], mask=mask, other=0.0) * p_c[:, None]
            h_i = tl.load(states_ptr + own[:, None] * H + k[None, :], mask=mask, other=0.0) * p_i[:, None]
            # A weight matrix is (3H, H), so its tile lies (columns, k).
            inside, across = column < H, k < H
            c_r = tl.dot(h_c, tl.trans(_weights(wc_ptr, 0, column, inside, k, across, H)), c_r, PRECISION)
            c_z = tl.dot(h_c, tl.trans(_weights(wc_ptr, 1, column, inside, k, across, H)), c_z, PRECISION)
            c_n = tl.dot(h_c, tl.trans(_weights(wc_ptr, 2, column, inside, k, across, H)), c_n, PRECISION)
            i_z = tl.dot(h_i, tl.trans(_weights(wi_ptr, 0, column, inside, k, across, H)), i_z, PRECISION)
            i_s = tl.dot(h_i, tl.trans(_weights(wi_ptr, 1, column, inside, k, across, H)), i_s, PRECISION)
            i_n = tl.dot(h_i, tl.trans(_weights(wi_ptr, 2, column, inside, k, across, H)), i_n, PRECISION)
        mask = active[:, None] & (column < H)[None, :]
        x_at = x_ptr + step[:, None] * (4 * H) + column[None, :]
        c_r += tl.load(x_at, mask=mask, other=0.0) + tl.load(bc_ptr + column, mask=column < H, other=0.0)[None, :]
        c_z += tl.load(x_at + H, mask=mask, other=0.0) + tl.load(bc_ptr + H + column, mask=column < H, other=0.0)
        c_n += tl.load(bc_ptr + 2 * H + column, mask=column < H, other=0.0)[None, :]
        i_z += tl.load(bi_ptr + column, mask=column < H, other=0.0)[None, :]
        i_s += tl.load(x_at + 2 * H, mask=mask, other=0.0) + tl.load(bi_ptr + H + column, mask=column < H, other=0.0)
        i_n += tl.load(bi_ptr + 2 * H + column, mask=column < H, other=0.0)[None, :]
        r, z, s = tl.sigmoid(c_r), tl.sigmoid(c_z + i_z), tl.sigmoid(i_s)
        new = _tanh(tl.load(x_at + 3 * H, mask=mask, other=0.0) + r * c_n + s * i_n)
        h_i = tl.load(states_ptr + own[:, None] * H + column[None, :], mask=mask, other=0.0) * p_i[:, None]
        now = (row * (M + T) + M + t)[:, None] * H + column[None, :]
        tl.store(states_ptr + now, new + z * (h_i - new), mask=mask)
        if SAVE:
            act = acts_ptr + step[:, None] * (6 * H) + column[None, :]
            tl.store(act, r, mask=mask)
            tl.store(act + H, z, mask=mask)
            tl.store(act + 2 * H, s, mask=mask)
            tl.store(act + 3 * H, new, mask=mask)
            tl.store(act + 4 * H, c_n, mask=mask)
            tl.store(act + 5 * H, i_n, mask=mask)


@triton.jit(do_not_specialize=["t"])
def _backward_kernel(
    wc_ptr, wi_ptr, pi_ptr, pc_ptr, source_ptr, lengths_ptr, states_ptr, acts_ptr, d_states_ptr, d_acts_ptr, B, T, M, t,
    H: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)).to(tl.int64)
    column = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    length = tl.load(lengths_ptr + row, mask=row < B, other=0)
    inside = (row < B)[:, None] & (column < H)[None, :]
    here = (row * (M + T) + M + t)[:, None] * H + column[None, :]
    d_h = tl.load(d_states_ptr + here, mask=inside, other=0.0)
    later = t + 1 < length  # the rows that have a step after this one
    if tl.max(later.to(tl.int32), 0) > 0:
        step = row * T + t + 1
        p_i = tl.load(pi_ptr + step, mask=later, other=0.0)[:, None]
        p_c = tl.load(pc_ptr + step, mask=later, other=0.0)[:, None]
        source = tl.load(source_ptr + step, mask=later, other=0)
        d_c = tl.zeros((BLOCK_B, BLOCK_H), tl.float32)
        d_i = tl.zeros((BLOCK_B, BLOCK_H), tl.float32)
        for n in range(0, H, BLOCK_K):
            k = n + tl.arange(0, BLOCK_K)
            mask = later[:, None] & (k < H)[None, :]
            d_act = d_acts_ptr + step[:, None] * (6 * H) + k[None, :]
            d_r, d_z = tl.load(d_act, mask=mask, other=0.0), tl.load(d_act + H, mask=mask, other=0.0)
            d_s, d_cn = tl.load(d_act + 2 * H, mask=mask, other=0.0), tl.load(d_act + 4 * H, mask=mask, other=0.0)
            d_in = tl.load(d_act + 5 * H, mask=mask, other=0.0)
            d_c = tl.dot(d_r, _weights(wc_ptr, 0, k, k < H, column, column < H, H), d_c, PRECISION)
            d_c = tl.dot(d_z, _weights(wc_ptr, 1, k, k < H, column, column < H, H), d_c, PRECISION)
            d_c = tl.dot(d_cn, _weights(wc_ptr, 2, k, k < H, column, column < H, H), d_c, PRECISION)
            d_i = tl.dot(d_z, _weights(wi_ptr, 0, k, k < H, column, column < H, H), d_i, PRECISION)
            d_i = tl.dot(d_s, _weights(wi_ptr, 1, k, k < H, column, column < H, H), d_i, PRECISION)
            d_i = tl.dot(d_in, _weights(wi_ptr, 2, k, k < H, column, column < H, H), d_i, PRECISION)
        mask = later[:, None] & (column < H)[None, :]
        z = tl.load(acts_ptr + step[:, None] * (6 * H) + H + column[None, :], mask=mask, other=0.0)
        d_i += tl.load(d_states_ptr + here + H, mask=mask, other=0.0) * z
        # Both shares may go to one state, the previous one; then it is written once.
        previous = (source == M + t)[:, None]
        d_h += p_c * d_c + tl.where(previous, p_i * d_i, 0.0)
        there = (row * (M + T) + source)[:, None] * H + column[None, :]
        elsewhere = mask & (previous == 0)
        d_own = tl.load(d_states_ptr + there, mask=elsewhere, other=0.0) + p_i * d_i
        tl.store(d_states_ptr + here, d_h, mask=mask)
        tl.store(d_states_ptr + there, d_own, mask=elsewhere)
    if t >= 0:
        active = t < length
        mask = active[:, None] & (column < H)[None, :]
        step = row * T + t
        act = step[:, None] * (6 * H) + column[None, :]
        r, z = tl.load(acts_ptr + act, mask=mask, other=0.0), tl.load(acts_ptr + act + H, mask=mask, other=0.0)
        s = tl.load(acts_ptr + act + 2 * H, mask=mask, other=0.0)
        new = tl.load(acts_ptr + act + 3 * H, mask=mask, other=0.0)
        c_n = tl.load(acts_ptr + act + 4 * H, mask=mask, other=0.0)
        i_n = tl.load(acts_ptr + act + 5 * H, mask=mask, other=0.0)
        source = tl.load(source_ptr + step, mask=active, other=0)
        own = (row * (M + T) + source)[:, None] * H + column[None, :]
        h_i = tl.load(states_ptr + own, mask=mask, other=0.0) * tl.load(pi_ptr + step, mask=active, other=0.0)[:, None]
        d_new = d_h * (1.0 - z) * (1.0 - new * new)
        tl.store(d_acts_ptr + act, d_new * c_n * r * (1.0 - r), mask=mask)
        tl.store(d_acts_ptr + act + H, d_h * (h_i - new) * z * (1.0 - z), mask=mask)
        tl.store(d_acts_ptr + act + 2 * H, d_new * i_n * s * (1.0 - s), mask=mask)
        tl.store(d_acts_ptr + act + 3 * H, d_new, mask=mask)
        tl.store(d_acts_ptr + act + 4 * H, d_new * r, mask=mask)
        tl.store(d_acts_ptr + act + 5 * H, d_new * s, mask=mask)
