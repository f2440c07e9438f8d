"""Softmax and sigmoid attention under any structure: causal, windowed, by identity, over rows of any length."""

import torch
from torch import Tensor

from kernels.attention import blockwise, reference
from kernels.attention.pattern import Pattern, Structure
from kernels.backend import Backend, BackendUnavailable, as_given, choose
from kernels.backend import named as asked_for

__all__ = ["Pattern", "Structure", "attention"]

CAUSAL = Pattern()
NOTHING_MORE = Structure()
WIDEST_HEAD = 256
"""Of the Triton kernel: a wider one does not fit beside its tiles."""


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    pattern: Pattern = CAUSAL,
    structure: Structure = NOTHING_MORE,
    *,
    backend: Backend | None = None,
) -> Tensor:
    """o (B, H, T, V); `reference.attention` says what it is, `Pattern` and `Structure` what can be asked for.

    q (B, H, T, K), k (B, G, S, K), v (B, G, S, V); the queries stand at the last T of the S slots.
    Raises ValueError where shapes disagree or ids are wanted and missing.
    """
    _check(q, k, v, pattern, structure)
    if q.shape[2] == 0:
        return v[:, :1, :0].expand(-1, q.shape[1], -1, -1)
    chosen = choose(q, backend)
    if chosen == "triton":
        lacking = _kernel_lacks(q, k, v)
        if lacking is None:
            from kernels.attention import triton_kernel

            return triton_kernel.attention(q, k, v, pattern, structure)
        if asked_for(backend) == "triton":
            raise BackendUnavailable(f"triton was asked for, but its attention has {lacking}")
    run = reference if chosen == "reference" else blockwise
    with as_given(q):
        y: Tensor = run.attention(q, k, v, pattern, structure)
        return y


def _kernel_lacks(q: Tensor, k: Tensor, v: Tensor) -> str | None:
    """Why the kernel cannot do this, or None if it can."""
    if q.dtype not in (torch.float32, torch.float16, torch.bfloat16) or not q.dtype == k.dtype == v.dtype:
        return f"one dtype of 32 or 16 bits, and q, k, v are {q.dtype}, {k.dtype}, {v.dtype}"
    if max(q.shape[-1], v.shape[-1]) > WIDEST_HEAD:
        return f"heads of at most {WIDEST_HEAD}, and they are {q.shape[-1]} and {v.shape[-1]} wide"
    return None


def _check(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, s: Structure) -> None:
    batch, n_heads, n_queries, width = q.shape
    n_groups, n_keys = k.shape[1:3]
    if k.shape != (batch, n_groups, n_keys, width) or v.shape[:3] != k.shape[:3]:
        raise ValueError(f"q {tuple(q.shape)}, k {tuple(k.shape)} and v {tuple(v.shape)} do not fit together")
    if n_heads % n_groups:
        raise ValueError(f"{n_heads} query heads are not a multiple of {n_groups} key heads")
    if n_queries > n_keys:
        raise ValueError(f"{n_queries} queries stand at the last of only {n_keys} keys")
    for name, part in (("start", s.start), ("end", s.end)):
        if part is not None and part.shape != (batch,):
            raise ValueError(f"{name} is {tuple(part.shape)}, expected {(batch,)}")
    if s.ids is None:
        if pattern.only or s.k_other is not None or (s.relative is not None and len(s.relative) == 2):
            raise ValueError("the structure depends on ids, and ids is None")
    elif s.ids.shape != (batch, n_keys):
        raise ValueError(f"ids is {tuple(s.ids.shape)}, expected {(batch, n_keys)}")
    if s.k_other is not None and s.k_other.shape != k.shape:
        raise ValueError(f"k_other is {tuple(s.k_other.shape)}, expected {tuple(k.shape)}")
    if s.relative is not None:
        if s.relative.dim() != 3 or s.relative.shape[0] not in (1, 2) or s.relative.shape[1] != n_heads:
            raise ValueError(f"relative is {tuple(s.relative.shape)}, expected (1 or 2, {n_heads}, distances)")
        if not pattern.causal and s.relative.shape[2] % 2 == 0:
            raise ValueError(f"relative has {s.relative.shape[2]} distances, expected an odd number around 0")
    for name, part in (("bias", s.bias), ("allowed", s.allowed)):
        if part is not None and not _fits(part, (batch, n_heads, n_queries, n_keys), fixed=2):
            raise ValueError(f"{name} is {tuple(part.shape)}, expected ({batch}, {n_heads}, {n_queries}, {n_keys})")
    if s.offset is not None and not _fits(s.offset, (batch, n_heads, n_queries), fixed=0):
        raise ValueError(f"offset is {tuple(s.offset.shape)}, expected ({batch}, {n_heads}, {n_queries}) or ones")


def _fits(part: Tensor, shape: tuple[int, ...], fixed: int) -> bool:
    """Every size as expected, or 1; the last `fixed` sizes exactly."""
    free = len(shape) - fixed
    return part.dim() == len(shape) and all(
        n == m or (n == 1 and i < free) for i, (n, m) in enumerate(zip(part.shape, shape, strict=True))
    )
