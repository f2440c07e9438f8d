"""RAT: a gated average inside each chunk of a sequence, softmax attention between the chunks."""

from types import ModuleType

import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable, as_given, choose, named
from kernels.rat import blockwise, reference

__all__ = ["chunk_attention", "chunk_scan"]

WIDEST_ROW = 512
"""Bytes of a head's vector, beyond which the attention kernel's tiles do not fit a multiprocessor."""


def chunk_scan(
    k: Tensor,
    v: Tensor,
    g: Tensor,
    size: int,
    phase: Tensor,
    k_before: Tensor,
    v_before: Tensor,
    *,
    backend: Backend | None = None,
) -> tuple[Tensor, Tensor]:
    """k~, v~ (B, T, H, P) of v~_t = g_t v~_{t-1} + (1 - g_t) v_t within chunks; `reference.chunk_scan` says the rest.

    Differentiable in all but phase. Raises ValueError where shapes disagree.
    """
    batch, n_tokens, heads, width = v.shape
    expected = {
        "k": (k, (batch, n_tokens, k.shape[2], width)),
        "g": (g, (batch, n_tokens, heads, width)),
        "phase": (phase, (batch,)),
        "k_before": (k_before, (batch, heads, width)),
        "v_before": (v_before, (batch, heads, width)),
    }
    _check(expected)
    if heads % k.shape[2]:
        raise ValueError(f"{heads} heads are not a multiple of {k.shape[2]} key groups")
    if size < 1:
        raise ValueError(f"a chunk holds at least 1 token, got {size}")
    wide = torch.promote_types(torch.promote_types(v.dtype, k_before.dtype), torch.float32)
    k_before, v_before = k_before.to(wide), v_before.to(wide)
    if v.numel() == 0:
        return v.to(wide), v.to(wide)
    y: tuple[Tensor, Tensor] = _implementation(v, backend).chunk_scan(k, v, g, size, phase, k_before, v_before)
    return y


def chunk_attention(
    q: Tensor,
    k_own: Tensor,
    v_own: Tensor,
    k_ends: Tensor,
    v_ends: Tensor,
    first: Tensor,
    end: Tensor,
    *,
    backend: Backend | None = None,
) -> Tensor:
    """y (B, T, H, P): softmax over the slots first[b] <= s < end[b, t] and the token's own chunk so far.

    `reference.chunk_attention` says what every argument is. Differentiable in the five floating ones, which must be
    of one dtype. end must not fall along t. Raises ValueError where shapes or dtypes disagree.
    """
    batch, n_tokens, heads, width = q.shape
    ends = (batch, k_ends.shape[1], heads, width)
    expected = {
        "k_own": (k_own, tuple(q.shape)),
        "v_own": (v_own, tuple(q.shape)),
        "k_ends": (k_ends, ends),
        "v_ends": (v_ends, ends),
        "first": (first, (batch,)),
        "end": (end, (batch, n_tokens)),
    }
    _check(expected)
    dtypes = {z.dtype for z in (q, k_own, v_own, k_ends, v_ends)}
    if len(dtypes) > 1:
        raise ValueError(f"q, keys and values are of several dtypes: {', '.join(sorted(map(str, dtypes)))}")
    if q.numel() == 0:
        return v_own
    if width * q.element_size() > WIDEST_ROW and choose(q, backend) == "triton":
        if named(backend) == "triton":
            raise BackendUnavailable(f"triton was asked for, but a head is {width} {q.dtype} wide, too much for it")
        backend = "torch"
    with as_given(q):
        y: Tensor = _implementation(q, backend).chunk_attention(q, k_own, v_own, k_ends, v_ends, first, end)
        return y


def _check(expected: dict[str, tuple[Tensor, tuple[int, ...]]]) -> None:
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} is {tuple(tensor.shape)}, expected {shape}")


def _implementation(x: Tensor, backend: Backend | None) -> ModuleType:
    chosen = choose(x, backend)
    if chosen == "triton":
        from kernels.rat import triton_kernel

        return triton_kernel
    return reference if chosen == "reference" else blockwise
