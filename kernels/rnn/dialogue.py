"""The recurrence of a DialogGRU in PyTorch, quick: a loop over time only, with a backward of its own.

Per step two matrix products over the rows still running, one where nobody listens to anybody, and eight operations; in
the backward five, since all that does not hang on the state's gradient is worked out for every step at once before.
"""

from collections.abc import Iterator
from itertools import groupby
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
    """Time first: gates (T, B, 4H), source (T, B), p (T, B, 1), memory (M, B, H); running[t] rows are active at t.

    Acts (T, B, 6H) are what a step works out: n's share of contagion, r, z, s, inertia's share of z, and of n.
    """

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
        (n_tokens, batch, _), (n_slots, _, width) = gates.shape, memory.shape
        if real := _real(running, gates):
            gates = gates.where(real[0], 0.0)
        states = torch.cat([memory, memory.new_zeros(n_tokens, batch, width)])  # (M+T, B, H)
        rows = source * batch + torch.arange(batch, device=source.device)  # of the inertia states, in flat
        (b_cr, b_cz, b_cn), (b_iz, b_is, b_in) = b_contagion.chunk(3), b_inertia.chunk(3)
        acts = gates.new_zeros(n_tokens, batch, 6 * width)
        acts[..., width : 4 * width] = gates[..., : 3 * width] + torch.cat([b_cr, b_cz + b_iz, b_is])
        acts[..., :width], acts[..., 5 * width :] = b_cn, b_in
        new = gates[..., 3 * width :].clone(memory_format=torch.contiguous_format)
        h_contagion, h_inertia = torch.empty_like(new), torch.zeros_like(new)
        flat, (of_contagion, of_inertia) = states.view(-1, width), _weights(w_contagion, w_inertia)
        to_contagion, to_inertia = of_contagion.t().contiguous(), of_inertia.t().contiguous()
        hears, keeps = _any(p_contagion), _any(p_inertia)
        by_step = (
            states[n_slots - 1 : -1], states[n_slots:], h_contagion, h_inertia, p_contagion, p_inertia,
            acts[..., : 3 * width], acts[..., 3 * width :], acts[..., width : 4 * width], *acts.chunk(6, -1), new, rows,
        )  # fmt: skip
        for t, (last, after, h_c, h_i, p_c, p_i, contagion, inertia, logits, c_n, r, z, s, more, i_n, n, row) in _steps(
            running, by_step
        ):
            if hears[t]:
                contagion.addmm_(torch.mul(last, p_c, out=h_c), to_contagion)
            if keeps[t]:
                inertia.addmm_(torch.mul(flat.index_select(0, row), p_i, out=h_i), to_inertia)
            z.add_(more)
            logits.sigmoid_()
            torch.lerp(n.addcmul_(r, c_n).addcmul_(s, i_n).tanh_(), h_i, z, out=after)
        return states[n_slots:].clone(), states, acts, h_inertia, new, rows

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
        states, acts, h_inertia, new, rows, p_inertia, p_contagion, w_contagion, w_inertia = ctx.saved_tensors
        n_slots, width = len(states) - len(d_out), states.shape[-1]
        wants_p_inertia, wants_p_contagion = ctx.needs_input_grad[6:8]
        if real := _real(ctx.running, d_out):
            d_out, p_inertia, p_contagion = (z.where(real[0], 0.0) for z in (d_out, p_inertia, p_contagion))
        c_n, r, z, s, _, i_n = acts.chunk(6, -1)
        of_new = (1 - z) * (1 - new * new)
        of_z = (h_inertia - new) * z * (1 - z)
        of_contagion = torch.stack([of_new * r, of_new * c_n * r * (1 - r), of_z], -2)  # (T, B, 3, H), in acts' order
        of_inertia = torch.stack([of_new * i_n * s * (1 - s), of_z, of_new * s], -2)
        # What a step sends back is weighted by how much it listened; so are its slopes, at once for all of them.
        sent = torch.cat([of_contagion * p_contagion[..., None], of_inertia * p_inertia[..., None]], -2)
        d_states = torch.cat([torch.zeros_like(states[:n_slots]), d_out])
        d_h, d_flat = d_states[n_slots:], d_states.view(-1, width)
        to_contagion, to_inertia = _weights(w_contagion, w_inertia)
        sends = sent.flatten(-2).split(3 * width, -1)
        hears, keeps = _any(p_contagion), _any(p_inertia)
        by_step = (d_h.unsqueeze(-2), d_h, d_states[n_slots - 1 : -1], sent, *sends, z * p_inertia, rows)
        for t, (d_wide, d_after, d_last, send, contagion, inertia, kept, row) in reversed(
            list(_steps(ctx.running, by_step))
        ):
            send.mul_(d_wide)
            if hears[t]:
                d_last.addmm_(contagion, to_contagion)
            if keeps[t]:
                d_flat.index_add_(0, row, kept.mul_(d_after).addmm_(inertia, to_inertia))
        d_contagion, d_inertia = (slopes.mul_(d_h.unsqueeze(-2)).flatten(-2) for slopes in (of_contagion, of_inertia))
        last, own = states[n_slots - 1 : -1], states.view(-1, width)[rows.flatten()].view_as(new)
        d_n, d_r, d_z = d_contagion.chunk(3, -1)
        d_s, d_m = d_inertia[..., :width], d_inertia[..., 2 * width :]
        w_c, w_i = (z.flatten(0, 1).t() @ h.flatten(0, 1) for z, h in zip(sends, (last, own), strict=True))
        return (
            torch.cat([d_r, d_z, d_s, d_h * of_new], -1),
            torch.cat([w_c[width:], w_c[:width]]),
            torch.cat([d_r, d_z, d_n], -1).sum((0, 1)),
            torch.cat([w_i[width : 2 * width], w_i[:width], w_i[2 * width :]]),
            torch.cat([d_z, d_s, d_m], -1).sum((0, 1)),
            None,
            ((d_inertia @ to_inertia + d_h * z) * own).sum(-1, keepdim=True) if wants_p_inertia else None,
            ((d_contagion @ to_contagion) * last).sum(-1, keepdim=True) if wants_p_contagion else None,
            d_states[:n_slots],
            None,
        )


def _weights(w_contagion: Tensor, w_inertia: Tensor) -> tuple[Tensor, Tensor]:
    """Both (3H, H) in the order of acts: n r z, and s z n."""
    (r, z, n), (i_z, i_s, i_n) = w_contagion.chunk(3), w_inertia.chunk(3)
    return torch.cat([n, r, z]), torch.cat([i_s, i_z, i_n])


def _real(running: tuple[int, ...], like: Tensor) -> tuple[Tensor] | tuple[()]:
    """Which rows run at which step, (T, B, 1); nothing where all do."""
    batch = like.shape[1]
    if min(running, default=batch) == batch:
        return ()
    n = torch.tensor(running, device=like.device)[:, None]
    return ((torch.arange(batch, device=like.device) < n)[..., None],)


def _any(p: Tensor) -> list[bool]:
    """By step, whether any row has a weight."""
    found: list[bool] = (p != 0).flatten(1).any(1).tolist()
    return found


def _steps(running: tuple[int, ...], tensors: tuple[Tensor, ...]) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
    """Step by step, the rows of each that run; made for all steps of as many rows at once, a view being dear."""
    start = 0
    for n, steps in groupby(running):
        end = start + len(list(steps))
        if n:
            parts = (z[start:end, :n].unbind() for z in tensors)
            yield from zip(range(start, end), zip(*parts, strict=True), strict=True)
        start = end
