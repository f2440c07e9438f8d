"""Attention without a softmax: squared within a chunk of frames, linear over all of them."""

from typing import NamedTuple

from torch import Tensor

from kernels.backend import Backend, BackendUnavailable, choose, named
from kernels.local_global import chunked, reference

__all__ = ["Sides", "local_global_attention"]


class Sides(NamedTuple):
    """Queries or keys (B, T, K): those of the chunk, and those of the whole."""

    near: Tensor
    far: Tensor


def local_global_attention(
    q: Sides, k: Sides, v: Tensor, chunk: int, *, causal: bool = False, backend: Backend | None = None
) -> Tensor:
    """o_t = sum_{s in t's chunk} relu(q_t . k_s / chunk)^2 v_s + (1/T) sum_s (q'_t . k'_s) v_s

    with q, k the near sides and q', k' the far ones (MossFormer's gated attention, Zhao and Ma 2023, as its code has
    it). Chunks lie side by side from the first frame. `causal`: s <= t within the chunk, and the far sum runs over
    the chunks before t's, divided by `chunk` in place of T.

    q, k (B, T, K) twice; v (B, T, V); o (B, T, V). Linear in T. Raises ValueError where shapes disagree; there is no
    Triton kernel.
    """
    shape = q.near.shape
    if len(shape) != 3 or any(z.shape != shape for z in (q.far, *k)) or v.dim() != 3 or v.shape[:2] != shape[:2]:
        given = [tuple(z.shape) for z in (*q, *k, v)]
        raise ValueError(f"q, k and v are {given}, expected (B, T, K) four times and (B, T, V)")
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}, expected at least 1")
    if named(backend) == "triton":
        raise BackendUnavailable("triton was asked for, but local and global attention has no kernel")
    if not shape[1] or not shape[0]:
        return v
    run = reference if choose(v, backend) == "reference" else chunked
    o: Tensor = run.local_global_attention(q.near, q.far, k.near, k.far, v, chunk, causal)
    return o
