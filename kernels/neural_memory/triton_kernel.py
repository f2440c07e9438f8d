"""The neural memory on a GPU: one program a head walks through the chunks; the gates' tables are made before it."""

from typing import Any

import torch
import triton
from torch import Tensor

from kernels.first_order import first_order
from kernels.neural_memory import triton_memory as kernels
from kernels.neural_memory.rule import Dot, Fast, Gates, Huber, Rule, Squared, Weights, where
from kernels.neural_memory.slots import in_slots, of_tokens
from kernels.neural_memory.tables import tables

EVERY = 32
"""Chunks from one kept state to the next; the backward pass makes those between again, so many at a time."""


def neural_memory(
    q: Tensor, k: Tensor, v: Tensor, gates: Gates, state: Fast, rule: Rule, mask: Tensor | None
) -> tuple[Tensor, Fast]:
    """As `reference.neural_memory`, for the rules the door lets through."""
    slots = in_slots(q, k, v, gates, state, rule, mask)
    weights, momentum, anchor, phase = state
    anchor = where(phase == 0, weights, anchor)
    by_chunk = slots.gates.each(lambda g: g.unflatten(2, (-1, rule.chunk)))
    left = tables(by_chunk, slots.real.unflatten(1, (-1, rule.chunk))[:, None].to(q.dtype), rule)
    ends = torch.stack([left.B_end, left.c_end, left.eta_end], -1)
    flat = torch.stack([_flat(weights), _flat(momentum)], 2)
    last = ((phase + slots.lengths - 1) // rule.chunk).clamp(min=0)
    given = (*slots[:3], left.B, left.c, left.P, left.reach, left.reach_momentum, ends, by_chunk.log_keep.exp())
    y, after, fixed = _Memory.apply(*(z.contiguous() for z in given), last, flat, _flat(anchor), rule, weights[0].shape)
    y = of_tokens(y, slots)
    weights, momentum, anchor = (_matrices(z, weights) for z in (after[:, :, 0], after[:, :, 1], fixed))
    return y, Fast(weights, momentum, anchor, (phase + slots.lengths) % rule.chunk)


def _flat(weights: Weights) -> Tensor:
    return torch.cat([w.flatten(2) for w in weights], -1)


def _matrices(flat: Tensor, like: Weights) -> Weights:
    parts = flat.split([w.shape[2] * w.shape[3] for w in like], -1)
    return tuple(z.reshape(w.shape) for z, w in zip(parts, like, strict=True))


class _Memory(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, B: Tensor, c: Tensor, P: Tensor, reach: Tensor, momentum: Tensor,
        ends: Tensor, decay: Tensor, last: Tensor, state: Tensor, anchor: Tensor, rule: Rule, shape: torch.Size,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        given = (q, k, v, B, c, P, reach, momentum, ends, decay, last)
        run = _Launch(q, rule, shape, state)
        y = torch.empty_like(v)
        kept, after, fixed = run.forward(given, state, anchor, y, 0, run.N, EVERY)
        ctx.save_for_backward(*given, anchor, kept)
        ctx.rule, ctx.shape = rule, shape
        return y, after, fixed

    @staticmethod
    @first_order
    def backward(ctx: Any, dy: Tensor, dafter: Tensor, dfixed: Tensor) -> tuple[Tensor | None, ...]:
        *given, anchor, kept = ctx.saved_tensors
        run = _Launch(given[0], ctx.rule, ctx.shape, dafter)
        dy, dstate, danchor = dy.contiguous(), dafter.contiguous().clone(), dfixed.contiguous().clone()
        back = [torch.empty_like(z) for z in given[:-1]]
        if not ctx.rule.decay_first:
            back[-1].zero_()
        for i in reversed(range(kept.shape[2])):
            begin, end = i * EVERY, min((i + 1) * EVERY, run.N)
            state = kept[:, :, i].contiguous()
            start = anchor if i == 0 else state[:, :, 0].contiguous()
            between, _, _ = run.forward(given, state, start, None, begin, end, 1)
            kernels.backward_kernel[run.grid](
                *given, between, anchor, dy, dstate, danchor, *back, begin, end, run.N, between.shape[2], run.heads,
                run.scale, **run.shape | run.backward,
            )  # fmt: skip
        return *back, None, dstate, danchor, None, None


class _Launch:
    """Sizes of a run, q (B, H, slots, d), state (B, H, 2, numbers); tiles are whole matrices."""

    def __init__(self, q: Tensor, rule: Rule, shape: torch.Size, state: Tensor) -> None:
        self.batch, self.heads, n_slots, width = q.shape
        self.N, self.grid, hidden = n_slots // rule.chunk, (self.batch * self.heads,), shape[-2]
        layers = state.shape[-1] // (width * hidden)
        loss = {Squared: "squared", Dot: "dot", Huber: "huber"}[type(rule.error)]  # the door let no other through
        error: Any = rule.error
        self.scale = float(error.scale if loss == "squared" else error.delta if loss == "huber" else 0.0)
        wide_d, wide_h, block = (max(16, triton.next_power_of_2(n)) for n in (width, hidden, rule.chunk))
        self.shape = {
            "D": width, "HID": hidden, "C": rule.chunk, "WIDE_D": wide_d, "WIDE_H": wide_h, "BLOCK_C": block,
            "LAYERS": layers, "LOSS": loss, "DECAY_FIRST": rule.decay_first,
            "PRECISION": "tf32x3" if q.dtype == torch.float32 else "ieee", "num_stages": 1, "num_warps": 8,
        }  # fmt: skip
        # Sixteen tokens are one warp's tile on the tensor cores, which every other warp would work out again and hold:
        # plain multiply-adds over all warps are fewer instructions there and spill less. By counting, not by a clock.
        self.backward = {"PRECISION": "ieee"} if block == 16 and layers == 1 else {}
        if block == 16 and layers == 2 and max(wide_d, wide_h) <= 32:
            self.shape |= {"PRECISION": "ieee", "num_warps": 4}

    def forward(
        self, given: Any, state: Tensor, anchor: Tensor, y: Tensor | None, begin: int, end: int, every: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The states before every so many chunks, (B, H, ., 2, numbers), the state after them and the anchor."""
        n_kept = triton.cdiv(end - begin, every)
        kept = state.new_empty(*state.shape[:2], n_kept, *state.shape[2:])
        after, fixed = torch.empty_like(state), torch.empty_like(anchor)
        kernels.forward_kernel[self.grid](
            *given, state, anchor, given[2] if y is None else y, kept, after, fixed, begin, end, self.N, n_kept,
            self.heads, self.scale, **self.shape, EVERY=every, ANSWER=y is not None,
        )  # fmt: skip
        return kept, after, fixed
