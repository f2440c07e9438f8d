"""Gated linear attention in PyTorch, quick: chunks as in `halves`, and a backward by hand that keeps the inputs alone.

With dS the gradient of the state after a chunk, A the decays between its tokens and dP = (dO V^T) * A below the
diagonal: dV = P^T dO + (K * exp(after)) dS,  dQ = dP K + (dO S^T) * exp(up_to),  dK = dP^T Q + (V dS^T) * exp(after),
and d log f_t = sum over i >= t in the chunk of (q_i dq_i - k_i dk_i), plus the sum over V of S dS at the chunk's end.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor

from kernels.gla import halves
from kernels.gla.halves import CHUNK
from kernels.whole import Whole


def gated_linear_attention(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """Shapes as in reference.py; log_f may be (B, H, T, 1), one gate for all key channels."""
    y: tuple[Tensor, Tensor] = (_whole if torch.compiler.is_compiling() else _run)(q, k, v, log_f, S)
    return y


def _run(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    if v.shape[2] > 1:
        run = _Chunked.apply if torch.is_grad_enabled() else _Chunked.forward  # a Function costs a short call a sixth
        y: tuple[Tensor, Tensor] = run(q, k, v, log_f, S)
        return y
    q, k, wide = (z.to(S.dtype) for z in (q, k, v))
    S = log_f[:, :, 0, :, None].exp() * S + k[:, :, 0, :, None] * wide[:, :, 0, None, :]
    return (q @ S).to(v.dtype), S


_whole = Whole(
    "gated_linear_attention",
    run=_run,
    like=lambda q, k, v, log_f, S: (v.new_empty(*q.shape[:3], v.shape[-1]), S.new_empty(S.shape)),
)


class _Chunked(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
        dtype, n_tokens = v.dtype, v.shape[2]
        q, k, v, log_f = (_in_chunks(z, S.dtype) for z in (q, k, v, log_f))
        up, after = (z.exp() for z in _sums(log_f))
        starts, S = _states(k, v, up, after, S)
        o = (q * up) @ starts
        if log_f.shape[-1] == 1:
            o = o + (q @ k.mT * _left(log_f)) @ v
        else:
            o = o + (q * k).sum(-1, keepdim=True) * v  # from here on o has every batch of torch.func's
            for half in _halves(q, k, log_f):
                half.late(o).add_((half.q @ half.k.mT) @ half.early(v))
        return o.flatten(2, 3)[:, :, :n_tokens].to(dtype), S

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, d_o: Tensor, d_S: Tensor) -> tuple[Tensor, ...]:
        given = ctx.saved_tensors
        # A derivative of this one may be wanted, as it always may under torch.func.
        if torch.is_grad_enabled() or any(is_functorch_wrapped_tensor(z) for z in (d_o, d_S, *given)):
            found: tuple[Tensor, ...] = torch.func.vjp(halves.gated_linear_attention, *given)[1]((d_o, d_S))
            return found
        n_tokens = d_o.shape[2]
        q, k, v, log_f = (_in_chunks(z, d_S.dtype) for z in given[:4])
        *found_in_chunks, d_S = _backward(q, k, v, log_f, given[4], d_o, d_S)
        back = (d.flatten(2, 3)[:, :, :n_tokens].to(z.dtype) for d, z in zip(found_in_chunks, given[:4], strict=True))
        return *back, d_S


def _backward(
    q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor, d_o: Tensor, d_S: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    d_o = _in_chunks(d_o, S.dtype)
    up, after = (z.exp() for z in _sums(log_f))
    starts, last = _states(k, v, up, after, S)
    read, kept = (q * up).mT @ d_o, up[..., -1:, :].mT  # (B, H, n, K, V), (B, H, n, K or 1, 1)
    d_ends = []
    for read_n, kept_n in zip(reversed(read.unbind(2)), reversed(kept.unbind(2)), strict=True):
        d_ends.append(d_S)
        d_S = torch.addcmul(read_n, kept_n, d_S)
    d_end = torch.stack(d_ends[::-1], 2)
    at_end = (torch.cat([starts[:, :, 1:], last[:, :, None]], 2) * d_end).sum(-1)[..., None, :]  # (B, H, n, 1, K)
    # Through the states; then, within a chunk, through the scores.
    d_q, d_k, d_v = (d_o @ starts.mT) * up, (v @ d_end.mT) * after, (k * after) @ d_end
    if log_f.shape[-1] == 1:
        d_log = (q * d_q - k * d_k).sum(-1, keepdim=True)
        left = _left(log_f)
        scores, d_scores = q @ k.mT, (d_o @ v.mT) * left
        d_q += d_scores @ k
        d_k += d_scores.mT @ q
        moved = (scores * d_scores).tril(-1)  # a token's own score has no gate
        d_log = d_log + (moved.sum(-1) - moved.sum(-2))[..., None]
        d_v += (scores * left).mT @ d_o
        at_end = at_end.sum(-1, keepdim=True)
    else:
        for half in _halves(q, k, log_f):
            d_late = half.late(d_o)
            d_scores = d_late @ half.early(v).mT
            half.late(d_q).addcmul_(d_scores @ half.k, half.up)
            half.early(d_k).addcmul_(d_scores.mT @ half.q, half.after)
            half.early(d_v).add_((half.k @ half.q.mT) @ d_late)
        d_log = q * d_q - k * d_k
        own = (d_o * v).sum(-1, keepdim=True)
        d_q.addcmul_(own, k)
        d_k.addcmul_(own, q)
        d_v.addcmul_((q * k).sum(-1, keepdim=True), d_o)
    return d_q, d_k, d_v, d_log.flip(-2).cumsum(-2).flip(-2) + at_end, d_S


def _in_chunks(z: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, H, T, X) to (B, H, n, C, X), filled up with steps that forget nothing and write nothing."""
    n_tokens = z.shape[2]
    size = min(CHUNK, 1 << (n_tokens - 1).bit_length())
    z = z.to(dtype)
    if n_tokens % size:  # a pad of nothing would copy all the same
        z = F.pad(z, (0, 0, 0, -n_tokens % size))
    chunks: Tensor = z.unflatten(2, (-1, size))
    return chunks


def _sums(log_f: Tensor) -> tuple[Tensor, Tensor]:
    """log f summed from a chunk's first step to this one, and from the next one to its last."""
    later = log_f.flip(-2).cumsum(-2).flip(-2)
    return log_f.cumsum(-2), torch.cat([later[..., 1:, :], torch.zeros_like(later[..., :1, :])], -2)


def _states(k: Tensor, v: Tensor, up: Tensor, after: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """The state each chunk starts from, (B, H, n, K, V), and the last one."""
    written, kept = (k * after).mT @ v, up[..., -1:, :].mT
    starts = []
    for kept_n, written_n in zip(kept.unbind(2), written.unbind(2), strict=True):
        starts.append(S)
        S = torch.addcmul(written_n, kept_n, S)
    return torch.stack(starts, 2), S


class _Half(NamedTuple):
    """A chunk in parts of 2 `size` steps, each part's later half meeting its earlier half over the border between."""

    size: int
    q: Tensor  # of the later halves, decayed from the border on, (B, H, n, parts, size, K)
    k: Tensor  # of the earlier halves, decayed up to the border
    up: Tensor  # those two decays
    after: Tensor

    def early(self, z: Tensor) -> Tensor:
        parts: Tensor = z.unflatten(-2, (-1, 2, self.size))
        return parts[..., 0, :, :]

    def late(self, z: Tensor) -> Tensor:
        parts: Tensor = z.unflatten(-2, (-1, 2, self.size))
        return parts[..., 1, :, :]


def _halves(q: Tensor, k: Tensor, log_f: Tensor) -> Iterator[_Half]:
    """From halves of one step to those of half a chunk."""
    up, after = log_f, torch.zeros_like(log_f)
    size, n_steps = 1, log_f.shape[-2]
    while size < n_steps:
        (up_1, up_2), (after_1, after_2), (_, q_2), (k_1, _) = (
            z.unflatten(-2, (-1, 2, size)).unbind(-3) for z in (up, after, q, k)
        )
        late, early = up_2.exp(), after_1.exp()
        yield _Half(size, q_2 * late, k_1 * early, late, early)
        up = torch.cat([up_1, up_2 + up_1[..., -1:, :]], -2).flatten(-3, -2)
        after = torch.cat([after_1 + up_2[..., -1:, :], after_2], -2).flatten(-3, -2)
        size *= 2


def _left(log_f: Tensor) -> Tensor:
    """What is left of step j at step i under one gate for all channels, (..., C, C), 0 where j is later."""
    size = log_f.shape[-2]
    if log_f.dtype == torch.float64:  # no wider dtype holds the sums whose differences would do
        later = torch.ones(size, size, dtype=torch.bool, device=log_f.device).tril(-1)
        between = torch.where(later, log_f, 0.0).cumsum(-2)
    else:
        sums = log_f.double().cumsum(-2)
        between = (sums - sums.mT).to(log_f.dtype)
    return between.exp().tril()  # what the future would have grown by, infinity included, is cut off
