"""Weights that learn while they read: a small network a head, trained token by token to answer keys with values."""

import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable, as_given, choose, named
from kernels.neural_memory import chunked, op, reference
from kernels.neural_memory.rule import NO_MOMENTUM, Dot, Fast, Gates, Huber, Rule, Squared

__all__ = ["NO_MOMENTUM", "Dot", "Fast", "Gates", "Huber", "Rule", "Squared", "neural_memory"]

WIDEST, LONGEST_CHUNK = 64, 32
"""Of the Triton kernel: wider matrices and longer chunks do not fit beside their gradients."""


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

    q, k, v (B, H, T, d); gates (B, H, T) each, or for one matrix (B, H, T, d), all but the threshold; mask (B, T), True
    on real tokens: a padded one leaves the memory as it was. All sums in float32 or wider, y in v's dtype. The Triton
    kernel is for the losses `Squared`, `Dot` and `Huber`, one or two layers with SiLU and the three gates of a head,
    without a map or a residual norm, read after or before a token: another rule asked of it by name raises
    BackendUnavailable. ValueError where shapes disagree.
    """
    batch, heads, n_tokens, width = q.shape
    if k.shape != q.shape or v.shape != q.shape:
        raise ValueError(f"q, k, v are {tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}, expected one shape")
    first, last = state.weights[0], state.weights[-1]
    by_token = (batch, heads, n_tokens)
    expected = (*by_token, width) if gates.by_channel and len(state.weights) == 1 else by_token
    for name, gate in zip(Gates._fields, gates, strict=True):
        shape = by_token if name == "threshold" else expected
        if gate is not None and gate.shape != shape:
            raise ValueError(f"gate {name} is {tuple(gate.shape)}, expected {shape}")
    if first.shape[:2] != (batch, heads) or first.shape[-1] != width or last.shape[-2] != width:
        raise ValueError(f"weights {[tuple(w.shape) for w in state.weights]} do not fit q {tuple(q.shape)}")
    if n_tokens == 0:
        return v, state
    wide = first.dtype
    q, k, wide_v = (z.to(wide) for z in (q, k, v))
    gates = gates.each(lambda gate: gate.to(wide))
    chosen = choose(v, backend)
    if chosen == "triton" and not torch.compiler.is_compiling():  # a graph holds the op whole, in PyTorch
        amiss = _no_kernel(rule, gates, state)
        if amiss and named(backend) == "triton":
            raise BackendUnavailable(f"triton was asked for, but its neural memory {amiss}")
        if not amiss:
            from kernels.neural_memory import triton_kernel

            with as_given(v):
                y, state = triton_kernel.neural_memory(q, k, wide_v, gates, state, rule, mask)
            return y.to(v.dtype), state
    plain = chosen == "reference" or rule.settle is not None or (rule.map is not None and rule.read != "start")
    run = (reference if plain else chunked).neural_memory
    if torch.compiler.is_compiling() and chosen != "reference":
        run = op.plain if plain else op.chunked
    with as_given(v):
        y, state = run(q, k, wide_v, gates, state, rule, mask)
    return y.to(v.dtype), state


def _no_kernel(rule: Rule, gates: Gates, state: Fast) -> str:
    """Why the Triton kernel cannot run it; nothing where it can."""
    hidden, width = state.weights[0].shape[-2:]
    if not isinstance(rule.error, Squared | Dot | Huber):
        return "knows the losses Squared, Dot and Huber alone"
    if rule.map is not None or rule.settle is not None or rule.residual_norm or rule.read == "start":
        return "has no map, no residual norm and reads after or before a token"
    if len(state.weights) > 2 or rule.activation != "silu" or gates.by_channel or gates.threshold is not None:
        return "has one or two layers with SiLU between, and the three gates of a head"
    if max(width, hidden) > WIDEST or rule.chunk > LONGEST_CHUNK:
        return f"is at most {WIDEST} wide with chunks of at most {LONGEST_CHUNK} tokens"
    return ""
