"""Prefix softmax in PyTorch, quick: chunks in parallel, two numbers and a vector handed from one to the next.

With L_t the log of the sum of exp(s_1 .. s_t), o_t = e^{L_{t-1} - L_t} o_{t-1} + e^{s_t - L_t} v_t: no exponent is
above 0, so nothing overflows, and an early token is not lost to a late high score.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from kernels.first_order import first_order
from kernels.whole import Whole

CHUNK = 64


def prefix_softmax(scores: Tensor, v: Tensor, log_sum: Tensor, mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `reference.prefix_softmax`."""
    y: tuple[Tensor, Tensor, Tensor] = (_whole if torch.compiler.is_compiling() else _run)(scores, v, log_sum, mean)
    return y


def _run(scores: Tensor, v: Tensor, log_sum: Tensor, mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    o, log_sum, mean, _ = _PrefixSoftmax.apply(scores, v.to(scores.dtype), log_sum, mean)
    return o.to(v.dtype), log_sum, mean


_whole = Whole(
    "prefix_softmax",
    run=_run,
    like=lambda scores, v, log_sum, mean: tuple(z.new_empty(z.shape) for z in (v, log_sum, mean)),
)


class _PrefixSoftmax(torch.autograd.Function):
    """Sums of exponentials, and what one chunk hands to the next, in float64; within a chunk the scores' dtype."""

    generate_vmap_rule = True

    @staticmethod
    def forward(scores: Tensor, v: Tensor, log_sum: Tensor, mean: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        log_sums = torch.cat([log_sum[..., None], scores.double()], -1).logcumsumexp(-1)[..., 1:]
        within, decay, _, v_chunks = _weights(scores, v, log_sums, log_sum)
        inside = within @ v_chunks  # (B, H, n, C, V)
        carry, carries = mean, []
        for end, kept in zip(inside[..., -1, :].unbind(2), decay[..., -1, None].unbind(2), strict=True):
            carries.append(carry)
            carry = end + kept * carry
        before = torch.stack(carries, 2)[..., None, :]
        o = (inside + (decay[..., None] * before).to(v.dtype)).flatten(2, 3)[:, :, : scores.shape[2]]
        return o, log_sums[..., -1].clone(), carry, log_sums

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        (scores, v, log_sum, mean), (o, _, _, log_sums) = inputs, output
        ctx.mark_non_differentiable(log_sums)
        ctx.save_for_backward(scores, v, log_sums, log_sum, mean, o)

    @staticmethod
    @first_order
    def backward(ctx: Any, d_o: Tensor, d_log_sum: Tensor, d_last: Tensor, _: Tensor) -> tuple[Tensor, ...]:
        """With r_t = do_t . o_t - dL_t: dv_i = sum_{t>=i} e^{s_i - L_t} do_t,

        ds_i = sum_{t>=i} e^{s_i - L_t} (do_t . v_i - r_t); the state before is one more such token, (L_0, o_0).
        """
        scores, v, log_sums, log_sum, mean, o = ctx.saved_tensors
        n_tokens = scores.shape[2]
        # The state after the last token is its output and its log-sum.
        d_o = torch.cat([d_o[:, :, :-1], d_o[:, :, -1:] + d_last[:, :, None].to(d_o.dtype)], 2)
        r = (d_o * o).sum(-1)
        r = torch.cat([r[..., :-1], r[..., -1:] - d_log_sum[..., None].to(r.dtype)], -1)
        within, decay, to_end, v_chunks = _weights(scores, v, log_sums, log_sum)
        decay = decay.to(v.dtype)
        d_chunks, r_chunks = _chunked(d_o, 0.0), _chunked(r[..., None], 0.0)
        d_v = within.transpose(-1, -2) @ d_chunks
        d_s = (within * (d_chunks @ v_chunks.transpose(-1, -2) - r_chunks)).sum(-2)
        # From later chunks, seen from a chunk's end: A = sum e^{L_end - L_t} do_t, and B with r_t in do_t's place.
        both = torch.cat([d_chunks, r_chunks], -1)  # (B, H, n, C, V + 1)
        later = torch.zeros_like(both[:, :, 0, 0])
        laters = []
        own = (decay[..., None, :] @ both)[..., 0, :]
        for mine, kept in zip(reversed(own.unbind(2)), reversed(decay[..., -1, None].unbind(2)), strict=True):
            laters.append(later)
            later = mine + kept * later
        after = torch.stack(laters[::-1], 2)[..., None, :]  # (B, H, n, 1, V + 1)
        a, b = after[..., :-1], after[..., -1]
        d_v = d_v + to_end[..., None] * a
        d_s = d_s + to_end * ((v_chunks * a).sum(-1) - b)
        d_mean, b = later[..., :-1].double(), later[..., -1].double()
        return (
            d_s.flatten(2, 3)[..., :n_tokens],
            d_v.flatten(2, 3)[:, :, :n_tokens],
            (mean * d_mean).sum(-1) - b,
            d_mean,
        )


def _weights(scores: Tensor, v: Tensor, log_sums: Tensor, log_sum: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """e^{s_i - L_t} for i <= t in a chunk (B, H, n, C, C); e^{L_before - L_t} (B, H, n, C), float64; e^{s_i - L_end}
    (B, H, n, C); v."""
    chunks = _chunked(scores[..., None], -torch.inf)[..., 0]
    sums = _chunked(log_sums[..., None], None)[..., 0]
    before = torch.cat([log_sum[..., None], sums[..., :-1, -1]], -1)  # (B, H, n)
    sums = torch.where(sums > -torch.inf, sums, 0.0)  # where nothing has been seen, every exponent is -inf
    # Less the chunk's own end, the differences that matter are small, and survive the scores' dtype.
    end = sums[..., -1:]
    near, near_sums = (chunks - end).to(v.dtype), (sums - end).to(v.dtype)
    size = chunks.shape[-1]
    past = torch.ones(size, size, dtype=torch.bool, device=scores.device).tril()
    within = (near[..., None, :] - near_sums[..., :, None]).masked_fill(~past, -torch.inf).exp()
    return within, (before[..., None] - sums).exp(), near.exp(), _chunked(v, 0.0)


def _chunked(x: Tensor, filler: float | None) -> Tensor:
    """(B, H, T, V) to (B, H, n, C, V), the last chunk filled up, with the last entry where the filler is None."""
    n_tokens = x.shape[2]
    size = min(CHUNK, n_tokens)
    missing = -n_tokens % size
    if missing:
        more = x[:, :, -1:].expand(-1, -1, missing, -1) if filler is None else None
        x = pad(x, (0, 0, 0, missing), value=filler or 0.0) if more is None else torch.cat([x, more], 2)
    y: Tensor = x.unflatten(2, (-1, size))
    return y
