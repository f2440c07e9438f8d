"""Landmark attention's grouped softmax: a block of keys shares the weight its landmark gets."""

from typing import NamedTuple

import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable, as_given, choose, named
from kernels.landmark import blockwise, reference
from kernels.landmark.chosen import chosen_blocks
from kernels.landmark.far import Far

__all__ = ["Blocks", "Far", "chosen_blocks", "landmark_attention"]

LARGEST_BLOCK, WIDEST_ROW = 128, 256
"""Of the Triton kernel: slots of a block, and bytes of a head's vector, beyond which its tiles do not fit."""


class Blocks(NamedTuple):
    """How key slots are grouped: `size` of them a block. With `landmark_last` the last of each is the landmark itself,
    which gives no value and is no token."""

    size: int
    landmark_last: bool = False


def landmark_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    marks: Tensor,
    place: Tensor,
    blocks: Blocks,
    far: Far | None = None,
    *,
    backend: Backend | None = None,
) -> Tensor:
    """o (B, H, T, V); `reference.landmark_attention` says what it is.

    q (B, H, T, K); k (B, H, S, K) and v (B, H, S, V), S a whole number of blocks; marks (B, H, T, S / size), the scores
    of the blocks' landmarks, scaled, -inf for a block that is not to be seen; place (B, T) long, the slot where each
    query stands. It sees its own block up to itself, and blocks before it as their marks say. Sums in float32 or wider,
    o in v's dtype. ValueError where shapes disagree.
    """
    batch, heads, n_tokens, width = q.shape
    n_slots = k.shape[2]
    if blocks.size < 1 + blocks.landmark_last or n_slots % blocks.size:
        raise ValueError(f"{n_slots} slots are no whole number of blocks of {blocks.size}, a landmark and a token each")
    expected = {
        "k": (k, (batch, heads, n_slots, width)),
        "v": (v, (batch, heads, n_slots, v.shape[-1])),
        "marks": (marks, (batch, heads, n_tokens, n_slots // blocks.size)),
        "place": (place, (batch, n_tokens)),
    }
    if far is not None:
        expected |= {"q of far blocks": (far.q, q.shape), "k of far blocks": (far.k, k.shape)}
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != tuple(shape):
            raise ValueError(f"{name} is {tuple(tensor.shape)}, expected {tuple(shape)}")
    if n_tokens == 0 or batch == 0:
        return v.new_zeros(batch, heads, n_tokens, v.shape[-1])
    wide, chosen = torch.promote_types(v.dtype, torch.float32), choose(v, backend)
    if chosen == "triton":
        if blocks.size <= LARGEST_BLOCK and max(width, v.shape[-1]) * v.element_size() <= WIDEST_ROW:
            from kernels.landmark import triton_kernel

            q, k = q.to(v.dtype), k.to(v.dtype)
            far = None if far is None else Far(far.q.to(v.dtype), far.k.to(v.dtype), far.reach)
            return triton_kernel.landmark_attention(q, k, v, marks, place, blocks.size, blocks.landmark_last, far)
        if named(backend) == "triton":
            raise BackendUnavailable(
                f"triton was asked for, but its landmark attention has blocks of at most {LARGEST_BLOCK} slots and "
                f"heads of {WIDEST_ROW} bytes, and they are {blocks.size} and {max(width, v.shape[-1])} {v.dtype} wide"
            )
    if far is not None:
        far = Far(far.q.to(wide), far.k.to(wide), far.reach)
    run = reference if chosen == "reference" else blockwise
    with as_given(v):
        given = [z.to(wide) for z in (q, k, v, marks)]
        o: Tensor = run.landmark_attention(*given, place, blocks.size, blocks.landmark_last, far)
    return o.to(v.dtype)
