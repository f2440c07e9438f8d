"""RAT's two halves without a loop over time and without a T x S tensor that outlives its block of queries."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from kernels.first_order import first_order
from kernels.scan import chunked
from kernels.whole import Whole

BLOCK = 512
"""Queries at a time."""


def chunk_scan(
    k: Tensor,
    v: Tensor,
    g: Tensor,
    size: int,
    phase: Tensor,
    k_before: Tensor,
    v_before: Tensor,
    linear_scan: Callable[[Tensor, Tensor, Tensor], Tensor] = chunked.linear_scan,
) -> tuple[Tensor, Tensor]:
    """The linear scan of keys and values side by side, whose gate is 0 where a chunk opens."""
    wide = k_before.dtype
    k, v, g = k.repeat(1, 1, v.shape[2] // k.shape[2], 1).to(wide), v.to(wide), g.to(wide)
    opens = (phase[:, None] + torch.arange(v.shape[1], device=v.device)) % size == 0  # (B, T)
    a = g.masked_fill(opens[:, :, None, None], 0.0)
    a, b = torch.cat([a, a], 2), torch.cat([(1 - g) * k, (1 - g) * v], 2)  # (B, T, 2H, P)
    before = torch.cat([k_before, v_before], 1)
    states = linear_scan(a.flatten(2), b.flatten(2), before.flatten(1)).view_as(b)
    k, v = states.chunk(2, 2)
    return k, v


def chunk_attention(
    q: Tensor, k_own: Tensor, v_own: Tensor, k_ends: Tensor, v_ends: Tensor, first: Tensor, end: Tensor
) -> Tensor:
    """Shapes as in reference.py."""
    run = _whole if torch.compiler.is_compiling() else _chunk_attention
    y: Tensor = run(q, k_own, v_own, k_ends, v_ends, first, end)
    return y


def _chunk_attention(
    q: Tensor, k_own: Tensor, v_own: Tensor, k_ends: Tensor, v_ends: Tensor, first: Tensor, end: Tensor
) -> Tensor:
    heads_first = (z.transpose(1, 2) for z in (q, k_own, v_own, k_ends, v_ends))
    y, _ = _ChunkAttention.apply(*heads_first, first, end)
    return cast(Tensor, y).transpose(1, 2)


_whole = Whole(
    "chunk_attention", run=_chunk_attention, like=lambda q, k_own, v_own, *rest: v_own.new_empty(v_own.shape)
)


class _ChunkAttention(torch.autograd.Function):
    """Softmax over the slots and the token itself, with s_t the latter's score and lse_t the slots' log-sum-exp.

    Forward keeps y and the whole log-sum-exp; backward makes each block's weights again from that. With
    D_t = dy_t . y_t: dscore = p (dy . v - D), for slots and for the token's own vector alike.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        q: Tensor, k_own: Tensor, v_own: Tensor, k_ends: Tensor, v_ends: Tensor, first: Tensor, end: Tensor
    ) -> tuple[Tensor, Tensor]:
        wide = torch.promote_types(q.dtype, torch.float32)
        y, lse = torch.empty_like(v_own), q.new_empty(q.shape[:3], dtype=wide)
        own = _own_scores(q, k_own)
        for rows in _blocks(q.shape[2]):
            n = _n_slots(end[:, rows], k_ends.shape[2])
            scores = _scores(q[:, :, rows], k_ends[:, :, :n], first, end[:, rows])
            lse[:, :, rows] = torch.cat([scores, own[:, :, rows, None]], -1).logsumexp(-1)
            p = (scores - lse[:, :, rows, None]).exp()
            p_own = (own[:, :, rows] - lse[:, :, rows])[..., None].exp()
            y[:, :, rows] = (p @ v_ends[:, :, :n].to(wide) + p_own * v_own[:, :, rows]).to(y.dtype)
        return y, lse

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*inputs, *output)

    @staticmethod
    @first_order
    def backward(ctx: Any, dy: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        q, k_own, v_own, k_ends, v_ends, first, end, y, lse = ctx.saved_tensors
        wide, scale = lse.dtype, q.shape[-1] ** -0.5
        keys, values = k_ends.to(wide), v_ends.to(wide)
        dq, dk_ends, dv_ends = torch.empty_like(q), torch.zeros_like(keys), torch.zeros_like(values)
        dot = (dy.to(wide) * y).sum(-1, keepdim=True)
        p_own = (_own_scores(q, k_own) - lse)[..., None].exp()
        ds_own = p_own * ((dy.to(wide) * v_own).sum(-1, keepdim=True) - dot) * scale  # (B, H, T, 1)
        for rows in _blocks(q.shape[2]):
            n = _n_slots(end[:, rows], keys.shape[2])
            p = (_scores(q[:, :, rows], keys[:, :, :n], first, end[:, rows]) - lse[:, :, rows, None]).exp()
            dy_rows = dy[:, :, rows].to(wide)
            ds = p * (dy_rows @ values[:, :, :n].mT - dot[:, :, rows]) * scale
            dv_ends[:, :, :n] += p.mT @ dy_rows
            dk_ends[:, :, :n] += ds.mT @ q[:, :, rows].to(wide)
            dq[:, :, rows] = (ds @ keys[:, :, :n] + ds_own[:, :, rows] * k_own[:, :, rows]).to(q.dtype)
        dk_own, dv_own = (ds_own * q).to(k_own.dtype), (p_own * dy).to(v_own.dtype)
        return dq, dk_own, dv_own, dk_ends.to(k_ends.dtype), dv_ends.to(v_ends.dtype), None, None


def _blocks(n_tokens: int) -> list[slice]:
    return [slice(t, min(t + BLOCK, n_tokens)) for t in range(0, n_tokens, BLOCK)]


def _n_slots(end: Tensor, n_slots: int) -> int:
    """How many slots a block of queries may look at. On a CPU that number costs nothing to know; elsewhere a wait."""
    return min(int(end.max()), n_slots) if end.device.type == "cpu" else n_slots


def _own_scores(q: Tensor, k_own: Tensor) -> Tensor:
    """Each token's score for its own chunk, (B, H, T), float32 or wider."""
    wide = torch.promote_types(q.dtype, torch.float32)
    y: Tensor = (q.to(wide) * k_own).sum(-1) * q.shape[-1] ** -0.5
    return y


def _scores(q: Tensor, k_ends: Tensor, first: Tensor, end: Tensor) -> Tensor:
    """A block's scores for every slot, (B, H, block, S), -inf where it is not seen; float32 or wider."""
    wide = torch.promote_types(q.dtype, torch.float32)
    slots = torch.arange(k_ends.shape[2], device=q.device)
    seen = (slots >= first[:, None, None]) & (slots < end[:, :, None])
    scores = q.to(wide) @ k_ends.to(wide).mT * q.shape[-1] ** -0.5
    y: Tensor = scores.masked_fill(~seen[:, None], -torch.inf)
    return y
