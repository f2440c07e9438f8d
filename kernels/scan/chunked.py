"""The linear recurrence in about 2 sqrt(T) steps of wide tensors, where the definition takes T steps of narrow ones."""

import math
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor

from kernels.whole import Whole


def linear_scan(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """h_t = a_t h_{t-1} + b_t; shapes as in reference.py. Only products of a's are formed, so nothing can overflow
    that does not in the definition, and a may be zero or negative."""
    y: Tensor = (_whole if torch.compiler.is_compiling() else _LinearScan.apply)(a, b, h)
    return y


class _LinearScan(torch.autograd.Function):
    """The gradient of the scan is the reversed scan of the gradients:

    g_t = dh_t + a_{t+1} g_{t+1};  db_t = g_t;  da_t = g_t h_{t-1};  dh_0 = a_1 g_1.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
        return _scan(a, b, h)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], inputs[2], output)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, h, states = ctx.saved_tensors
        later = torch.cat([a[:, 1:], torch.zeros_like(a[:, :1])], 1)
        g = linear_scan(later.flip(1), dy.flip(1), torch.zeros_like(h)).flip(1)
        earlier = torch.cat([h[:, None], states[:, :-1]], 1)
        return g * earlier, g, a[:, 0] * g[:, 0]


_whole = Whole("linear_scan", run=_LinearScan.apply, like=lambda a, b, h: b.new_empty(b.shape))


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
        _add_product(states[:, :, t], a[:, :, t], states[:, :, t - 1])
        product[:, :, t].mul_(product[:, :, t - 1])
    # The state each chunk starts from.
    before = [h]  # n_chunks of (B, D)
    for c in range(1, n_chunks):
        before.append(torch.addcmul(states[:, c - 1, -1], product[:, c - 1, -1], before[-1]))
    _add_product(states, product, torch.stack(before, 1)[:, :, None])
    return states.view(batch, n_chunks * size, width)[:, :n_tokens]


def _add_product(z: Tensor, a: Tensor, b: Tensor) -> None:
    """z += a b, by an operation that torch.func.vmap knows where it is wanted; it is the slower one."""
    if not torch.compiler.is_compiling() and is_functorch_wrapped_tensor(z):
        z.add_(a * b)
    else:
        z.addcmul_(a, b)
