"""Weights that learn while they read: a small network a head, trained token by token to answer keys with values."""

import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable, as_given, choose, named
from kernels.neural_memory import chunked, op, reference
from kernels.neural_memory.rule import NO_MOMENTUM, Fast, Gates, Rule

__all__ = ["NO_MOMENTUM", "Fast", "Gates", "Rule", "neural_memory"]


def neural_memory(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gates: Gates,
    state: Fast,
    rule: Rule,
    mask: Tensor | None = None,
    *,
    backend: Backend | None = None,
) -> tuple[Tensor, Fast]:
    """y (B, H, T, d) read from the memory, and the memory after it; see `reference.neural_memory` for what it means.

    q, k, v (B, H, T, d); gates (B, H, T) each; mask (B, T), True on real tokens: a padded one leaves the memory as it
    was. All sums in float32 or wider, y in v's dtype. There is no Triton kernel: asked for by name it raises
    BackendUnavailable. ValueError where shapes disagree.
    """
    batch, heads, n_tokens, width = q.shape
    if k.shape != q.shape or v.shape != q.shape:
        raise ValueError(f"q, k, v are {tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}, expected one shape")
    for name, gate in zip(Gates._fields, gates, strict=True):
        if gate.shape != (batch, heads, n_tokens):
            raise ValueError(f"gate {name} is {tuple(gate.shape)}, expected {(batch, heads, n_tokens)}")
    first, last = state.weights[0], state.weights[-1]
    if first.shape[:2] != (batch, heads) or first.shape[-1] != width or last.shape[-2] != width:
        raise ValueError(f"weights {[tuple(w.shape) for w in state.weights]} do not fit q {tuple(q.shape)}")
    if named(backend) == "triton":
        raise BackendUnavailable("triton was asked for, but the neural memory has no kernel yet")
    if n_tokens == 0:
        return v, state
    wide = first.dtype
    given = [z.to(wide) for z in (q, k, v)]
    gates = Gates(*(gate.to(wide) for gate in gates))
    plain = choose(v, backend) == "reference" or (rule.map is not None and rule.read != "start")
    run = (reference if plain else chunked).neural_memory
    if torch.compiler.is_compiling() and choose(v, backend) != "reference":
        run = op.plain if plain else op.chunked
    with as_given(v):
        y, state = run(*given, gates, state, rule, mask)
    return y.to(v.dtype), state
