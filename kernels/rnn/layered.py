"""Recurrences that are a layer or several a step, walked with few operations and backwards by hand. Time first."""

from itertools import cycle
from typing import Any

import torch
from torch import Tensor

from kernels.first_order import first_order
from kernels.rnn.back import back_through, hear, summed


class _Elman(torch.autograd.Function):
    """u (T, B, N), recurrent (N, N), start (B, N), or with a G as in gated.py."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, recurrent: Tensor, start: Tensor) -> Tensor:
        states, weight = torch.cat([start[None], u]), recurrent.mT.contiguous()
        for h, after in zip(states[:-1].unbind(), states[1:].unbind(), strict=True):
            hear(after, h, weight).tanh_()
        ctx.save_for_backward(states, recurrent)
        return states[1:]

    @staticmethod
    @first_order
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor, ...]:
        states, recurrent = ctx.saved_tensors
        d_states = torch.cat([torch.zeros_like(states[:1]), d_out])
        d_u = back_through(d_states, (1 - states[1:].square()).unsqueeze(-2), None, [recurrent])
        return d_u, summed(d_u, states[:-1]), d_states[0]


class _Highway(torch.autograd.Function):
    """u (T, B, g N), recurrent (L, g N, N), biases (L - 1, g N), start (B, N); g is 2 where gates are coupled, or 3."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, recurrent: Tensor, biases: Tensor, start: Tensor) -> Tensor:
        (n_tokens, batch, logits), depth, width = u.shape, len(recurrent), start.shape[-1]
        acts = u.new_empty(n_tokens, depth, batch, logits)
        acts[:, 0], acts[:, 1:] = u, biases[:, None]
        flat = acts.flatten(0, 1)  # one layer after another, step after step
        states = torch.cat([start[None], u.new_empty(n_tokens * depth, batch, width)])
        a, t, *carry = flat.chunk(logits // width, -1)
        parts = (z.unbind() for z in (states[:-1], states[1:], flat, a, flat[..., width:], t, carry[0] if carry else t))
        weights = cycle([z.mT.contiguous() for z in recurrent])
        for (h, after, act, a_j, gates, t_j, c_j), weight in zip(zip(*parts, strict=True), weights, strict=False):
            hear(act, h, weight)
            a_j.tanh_()
            gates.sigmoid_()
            if carry:
                torch.mul(t_j, a_j, out=after).addcmul_(c_j, h)
            else:
                torch.lerp(h, a_j, t_j, out=after)
        ctx.save_for_backward(states, acts, recurrent)
        return states[depth::depth]

    @staticmethod
    @first_order
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor, ...]:
        states, acts, recurrent = ctx.saved_tensors
        depth, before = len(recurrent), states[:-1]
        a, t, *carry = acts.flatten(0, 1).chunk(recurrent.shape[1] // states.shape[-1], -1)
        of_t = t * (1 - t)
        slopes = [t * (1 - a * a), of_t * (a if carry else a - before)]
        if carry:
            slopes.append(before * carry[0] * (1 - carry[0]))
        d_states = torch.zeros_like(states)
        d_states[depth::depth] = d_out
        d_acts = back_through(d_states, torch.stack(slopes, -2), carry[0] if carry else 1 - t, list(recurrent))
        d_acts = d_acts.view_as(acts)
        d_recurrent = summed(d_acts, before.view(*acts.shape[:-1], -1))
        return d_acts[:, 0], d_recurrent, d_acts[:, 1:].sum((0, 2)), d_states[0]


def elman(u: Tensor, recurrent: Tensor, start: Tensor) -> Tensor:
    """As `reference.elman`."""
    h: Tensor = _Elman.apply(u.movedim(-2, 0), recurrent, start)
    return h.movedim(0, -2)


def highway(u: Tensor, recurrent: Tensor, biases: Tensor, start: Tensor) -> Tensor:
    """As `reference.highway`."""
    h: Tensor = _Highway.apply(u.movedim(-2, 0), recurrent, biases, start)
    return h.movedim(0, -2)
