"""Gated recurrent units, both forms, walked with few operations a step and backwards by hand.

Time first: u (T, B, 3N), start (B, N), recurrent (3N, N), bias (N,); or all with a G before them but for u, whose G is
its second, (T, G, B, 3N): recurrences side by side in one walk.
"""

from typing import Any

import torch
from torch import Tensor

from kernels.first_order import first_order
from kernels.rnn.back import back_through, hear, summed


class _GRU(torch.autograd.Function):
    """The reset gate falls on R h."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, recurrent: Tensor, bias: Tensor, start: Tensor) -> Tensor:
        width = start.shape[-1]
        acts = u.clone(memory_format=torch.contiguous_format)  # logits of r and z, and what n hears; then their values
        acts[..., 2 * width :] = bias.unsqueeze(-2)
        new = u[..., 2 * width :].clone(memory_format=torch.contiguous_format)
        states = torch.cat([start[None], torch.empty_like(new)])
        parts = (z.unbind() for z in (states[:-1], states[1:], acts, acts[..., : 2 * width], *acts.chunk(3, -1), new))
        weight = recurrent.mT.contiguous()
        for h, after, act, gates, r, z, heard, n in zip(*parts, strict=True):
            hear(act, h, weight)
            gates.sigmoid_()
            torch.lerp(n.addcmul_(r, heard).tanh_(), h, z, out=after)
        ctx.save_for_backward(states, acts, new, recurrent)
        return states[1:]

    @staticmethod
    @first_order
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor, ...]:
        states, acts, new, recurrent = ctx.saved_tensors
        before, width = states[:-1], new.shape[-1]
        r, z, heard = acts.chunk(3, -1)
        of_new = (1 - z) * (1 - new * new)
        slopes = torch.stack([of_new * heard * r * (1 - r), (before - new) * z * (1 - z), of_new * r], -2)
        d_states = torch.cat([torch.zeros_like(states[:1]), d_out])
        d_acts = back_through(d_states, slopes, z, [recurrent])
        d_u = torch.cat([d_acts[..., : 2 * width], d_states[1:] * of_new], -1)
        return d_u, summed(d_acts, before), d_acts[..., 2 * width :].sum((0, -2)), d_states[0]


class _OriginalGRU(torch.autograd.Function):
    """The reset gate falls on h."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, recurrent: Tensor, start: Tensor) -> Tensor:
        width = start.shape[-1]
        gates, new = (z.clone(memory_format=torch.contiguous_format) for z in u.split([2 * width, width], -1))
        states, kept = torch.cat([start[None], torch.empty_like(new)]), torch.empty_like(new)
        parts = (z.unbind() for z in (states[:-1], states[1:], gates, *gates.chunk(2, -1), new, kept))
        of_gates, of_new = (z.mT.contiguous() for z in recurrent.split([2 * width, width], -2))
        for h, after, gate, r, z, n, rh in zip(*parts, strict=True):
            hear(gate, h, of_gates).sigmoid_()
            hear(n, torch.mul(r, h, out=rh), of_new).tanh_()
            torch.lerp(n, h, z, out=after)
        ctx.save_for_backward(states, gates, new, kept, recurrent)
        return states[1:]

    @staticmethod
    @first_order
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor, ...]:
        states, gates, new, kept, recurrent = ctx.saved_tensors
        before, width = states[:-1], new.shape[-1]
        r, z = gates.chunk(2, -1)
        d_new = (1 - z) * (1 - new * new)  # slopes, until its step multiplies them by the state's gradient
        d_gates = torch.cat([before * r * (1 - r), (before - new) * z * (1 - z)], -1)
        d_kept = torch.zeros_like(new)
        d_states = torch.cat([torch.zeros_like(states[:1]), d_out])
        of_gates, of_new = recurrent.split([2 * width, width], -2)
        rows = (d_states[1:], d_states[:-1], d_new, d_gates, *d_gates.chunk(2, -1), d_kept, r, z)
        for d_h, d_before, d_n, d_gate, d_r, d_z, d_rh, r_t, z_t in reversed(list(zip(*rows, strict=True))):
            hear(d_rh, d_n.mul_(d_h), of_new)
            d_r.mul_(d_rh)
            d_z.mul_(d_h)
            hear(d_before.addcmul_(d_h, z_t).addcmul_(d_rh, r_t), d_gate, of_gates)
        d_recurrent = torch.cat([summed(d_gates, before), summed(d_new, kept)], -2)
        return torch.cat([d_gates, d_new], -1), d_recurrent, d_states[0]


def gru(u: Tensor, recurrent: Tensor, bias: Tensor | None, start: Tensor) -> Tensor:
    """As `reference.gru`."""
    u = u.movedim(-2, 0)
    h: Tensor = _OriginalGRU.apply(u, recurrent, start) if bias is None else _GRU.apply(u, recurrent, bias, start)
    return h.movedim(0, -2)
