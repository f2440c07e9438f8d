"""The recurrence of a DialogGRU in PyTorch, quick: a loop over time only, with a backward of its own.

Per step two matrix products over the rows still running; in the backward the weights' gradients are one product a
layer. Autograd's own walk through the loop would do them step by step and copy every state that is read twice.
"""

from typing import Any

import torch
from torch import Tensor

from kernels.first_order import first_order, keep_inputs
from kernels.whole import Whole


def dialog_gru(*args: Tensor) -> Tensor:
    """As `reference.dialog_gru`, and equal to it."""
    y: Tensor = (_whole if torch.compiler.is_compiling() else _dialog_gru)(*args)
    return y


def _dialog_gru(
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
    batch, n_tokens = source.shape
    running = (lengths > torch.arange(n_tokens, device=lengths.device)[:, None]).sum(1).tolist()
    by_row = [gates, p_inertia, p_contagion, memory, source]
    ragged = running != [batch] * n_tokens and batch > 1
    if ragged:
        # Rows that end first come last, so that the rows active at a step are the first ones.
        order = lengths.argsort(descending=True)
        by_row = [z.index_select(0, order) for z in by_row]
    gates, p_inertia, p_contagion, memory, source = (z.transpose(0, 1) for z in by_row)
    h: Tensor = _DialogGRU.apply(
        gates.contiguous(),
        w_contagion,
        b_contagion,
        w_inertia,
        b_inertia,
        source.contiguous(),
        p_inertia[..., None],
        p_contagion[..., None],
        memory,
        tuple(running),
    )[0].transpose(0, 1)
    return h.index_select(0, order.argsort()) if ragged else h


_whole = Whole("dialog_gru", run=_dialog_gru, like=lambda *args: args[0].new_empty(*args[5].shape, args[8].shape[-1]))


class _DialogGRU(torch.autograd.Function):
    """Time first: gates (T, B, 4H), source (T, B), p (T, B, 1), memory (M, B, H); running[t] rows are active at t."""

    @staticmethod
    def forward(
        gates: Tensor,
        w_contagion: Tensor,
        b_contagion: Tensor,
        w_inertia: Tensor,
        b_inertia: Tensor,
        source: Tensor,
        p_inertia: Tensor,
        p_contagion: Tensor,
        memory: Tensor,
        running: tuple[int, ...],
    ) -> tuple[Tensor, ...]:
        n_tokens, batch, _ = gates.shape
        n_slots, _, width = memory.shape
        states = torch.cat([memory, memory.new_zeros(n_tokens, batch, width)])  # (M+T, B, H)
        flat = states.view(-1, width)
        rows = source * batch + torch.arange(batch, device=source.device)  # of the inertia states, in flat
        w_c, w_i = w_contagion.t(), w_inertia.t()
        acts, h_inertia = gates.clone(), torch.zeros_like(states[n_slots:])
        c_n, i_n = torch.zeros_like(h_inertia), torch.zeros_like(h_inertia)
        for t, n in enumerate(running):
            if n == 0:
                break
            h_i = torch.mul(flat.index_select(0, rows[t, :n]), p_inertia[t, :n], out=h_inertia[t, :n])
            from_contagion = torch.addmm(b_contagion, states[n_slots + t - 1, :n] * p_contagion[t, :n], w_c)
            from_inertia = torch.addmm(b_inertia, h_i, w_i)
            act = acts[t, :n]  # r z s n
            act[:, : 2 * width] += from_contagion[:, : 2 * width]
            act[:, width : 3 * width] += from_inertia[:, : 2 * width]
            r, z, s = act[:, : 3 * width].sigmoid_().chunk(3, 1)
            c_n[t, :n], i_n[t, :n] = from_contagion[:, 2 * width :], from_inertia[:, 2 * width :]
            new = act[:, 3 * width :].addcmul_(r, c_n[t, :n]).addcmul_(s, i_n[t, :n]).tanh_()
            torch.lerp(new, h_i, z, out=states[n_slots + t, :n])
        return states[n_slots:].clone(), states, acts, h_inertia, c_n, i_n, rows

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, w_contagion, _, w_inertia, _, _, p_inertia, p_contagion, _, ctx.running = inputs
        ctx.set_materialize_grads(False)
        keep_inputs(ctx, inputs)
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*output[1:], p_inertia, p_contagion, w_contagion, w_inertia)

    @staticmethod
    @first_order
    def backward(ctx: Any, d_out: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        if d_out is None:
            return (None,) * 10
        states, acts, h_inertia, c_n, i_n, rows, p_inertia, p_contagion, w_contagion, w_inertia = ctx.saved_tensors
        n_tokens, batch, width = d_out.shape
        n_slots = len(states) - n_tokens
        wants_p_inertia, wants_p_contagion = ctx.needs_input_grad[6:8]
        d_states = torch.cat([torch.zeros_like(states[:n_slots]), d_out])
        flat, d_flat = states.view(-1, width), d_states.view(-1, width)
        d_gates = torch.zeros_like(acts)
        d_contagion, d_inertia = (d_gates.new_zeros(n_tokens, batch, 3 * width) for _ in range(2))
        d_p_inertia, d_p_contagion = torch.zeros_like(p_inertia), torch.zeros_like(p_contagion)
        for t in reversed(range(n_tokens)):
            n = ctx.running[t]
            if n == 0:
                continue
            r, z, s, new = acts[t, :n].chunk(4, 1)
            d_h = d_states[n_slots + t, :n]
            d_gate = d_gates[t, :n]
            d_new = d_h * (1 - z) * (1 - new * new)
            d_gate[:, 3 * width :] = d_new
            d_gate[:, :width] = d_new * c_n[t, :n] * r * (1 - r)
            d_gate[:, width : 2 * width] = d_h * (h_inertia[t, :n] - new) * z * (1 - z)
            d_gate[:, 2 * width : 3 * width] = d_new * i_n[t, :n] * s * (1 - s)
            d_c, d_i = d_contagion[t, :n], d_inertia[t, :n]
            d_c[:, : 2 * width], d_c[:, 2 * width :] = d_gate[:, : 2 * width], d_new * r
            d_i[:, : 2 * width], d_i[:, 2 * width :] = d_gate[:, width : 3 * width], d_new * s
            d_h_contagion = d_c @ w_contagion
            d_h_inertia = torch.addmm(d_h * z, d_i, w_inertia)
            if wants_p_contagion:
                d_p_contagion[t, :n] = (d_h_contagion * states[n_slots + t - 1, :n]).sum(1, keepdim=True)
            if wants_p_inertia:
                d_p_inertia[t, :n] = (d_h_inertia * flat.index_select(0, rows[t, :n])).sum(1, keepdim=True)
            d_states[n_slots + t - 1, :n].addcmul_(d_h_contagion, p_contagion[t, :n])
            d_flat.index_add_(0, rows[t, :n], d_h_inertia * p_inertia[t, :n])
        h_contagion = states[n_slots - 1 : -1] * p_contagion
        return (
            d_gates,
            d_contagion.flatten(0, 1).t() @ h_contagion.flatten(0, 1),
            d_contagion.sum((0, 1)),
            d_inertia.flatten(0, 1).t() @ h_inertia.flatten(0, 1),
            d_inertia.sum((0, 1)),
            None,
            d_p_inertia if wants_p_inertia else None,
            d_p_contagion if wants_p_contagion else None,
            d_states[:n_slots],
            None,
        )
