"""The linear recurrence in about 2 sqrt(T) steps of wide tensors, where the definition takes T steps of narrow ones."""

import math
from typing import Any

import torch
from torch import Tensor


def linear_scan(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """h_t = a_t h_{t-1} + b_t; shapes as in reference.py. Only products of a's are formed, so nothing can overflow
    that does not in the definition, and a may be zero or negative."""
    y: Tensor = _LinearScan.apply(a, b, h)
    return y


class _LinearScan(torch.autograd.Function):
    """The gradient of the scan is the reversed scan of the gradients:

    g_t = dh_t + a_{t+1} g_{t+1};  db_t = g_t;  da_t = g_t h_{t-1};  dh_0 = a_1 g_1.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, h: Tensor) -> Tensor:
        states = _scan(a, b, h)
        ctx.save_for_backward(a, h, states)
        return states

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, h, states = ctx.saved_tensors
        later = torch.cat([a[:, 1:], torch.zeros_like(a[:, :1])], 1)
        g = linear_scan(later.flip(1), dy.flip(1), torch.zeros_like(h)).flip(1)
        earlier = torch.cat([h[:, None], states[:, :-1]], 1)
        return g * earlier, g, a[:, 0] * g[:, 0]


def _scan(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    batch, n_tokens, width = b.shape
    size = max(1, math.isqrt(n_tokens))
    n_chunks = -(-n_tokens // size)
    missing = n_chunks * size - n_tokens
    if missing:
        a, b = (torch.nn.functional.pad(z, (0, 0, 0, missing)) for z in (a, b))
    a, b = (z.reshape(batch, n_chunks, size, width) for z in (a, b))
    # Each chunk from a zero state, all chunks at once, and the product of the a's so far.
    states, product = (z.clone(memory_format=torch.contiguous_format) for z in (b, a))
    for t in range(1, size):
        states[:, :, t].addcmul_(a[:, :, t], states[:, :, t - 1])
        product[:, :, t].mul_(product[:, :, t - 1])
    # The state each chunk starts from.
    before = torch.empty_like(states[:, :, 0])  # (B, n_chunks, D)
    before[:, 0] = h
    for c in range(1, n_chunks):
        before[:, c] = torch.addcmul(states[:, c - 1, -1], product[:, c - 1, -1], before[:, c - 1])
    states.addcmul_(product, before[:, :, None])
    return states.view(batch, n_chunks * size, width)[:, :n_tokens]
