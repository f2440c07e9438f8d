"""Attention in PyTorch, quick: fused where torch has a fused op for the case, else query block by query block."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from kernels.attention.pattern import Pattern, Structure, Tile, visible
from kernels.attention.reference import attend
from kernels.whole import Whole

BLOCK = 256
"""Queries at a time. A block's scores are the most that ever stands in memory: B H 256 (256 + window)."""
FEW = 2 * BLOCK
"""Queries whose scores a backward may keep; with more of them each block's are made again."""


def attention(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, structure: Structure) -> Tensor:
    """As `reference.attention`. Memory grows with T times the window, not with T^2, forward and backward."""
    n_queries, n_keys = q.shape[2], k.shape[2]
    if _torch_has_it(pattern, structure, n_queries, n_keys):
        causal = False
        if pattern.causal and n_queries > 1:  # a graph's own number of queries answers here, not in the call
            causal = True
        return scaled_dot_product_attention(
            q,
            k,
            v,
            is_causal=causal,
            scale=pattern.scale,
            enable_gqa=q.shape[1] != k.shape[1],
        )
    if torch.compiler.is_compiling():
        whole: Tensor = _whole(q, k, v, *structure, **_fields(pattern))
        return whole
    return _blocks(q, k, v, pattern, structure)


def _blocks(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, structure: Structure) -> Tensor:
    n_queries, n_keys = q.shape[2], k.shape[2]
    first = n_keys - n_queries
    masked = _a_mask_says_it(q, k, v, pattern, structure)
    keys, values, others = _Cut(k), _Cut(v), None if structure.k_other is None else _Cut(structure.k_other)
    outputs = []
    for q0, q_n in zip(range(first, n_keys, BLOCK), q.split(BLOCK, 2), strict=True):
        q1 = q0 + q_n.shape[2]
        k0 = 0 if pattern.window is None else max(0, q0 - pattern.window)
        k1 = n_keys
        if pattern.causal:
            k1 = q1
        elif pattern.window is not None:
            k1 = min(n_keys, q1 + pattern.window)
        tile = Tile(q0, q1, k0, k1, first)
        k_n, v_n = keys.between(k0, k1), values.between(k0, k1)
        if masked:
            outputs.append(_masked(q_n, k_n, v_n, pattern, structure, tile))
            continue
        arguments = (q_n, k_n, v_n, None if others is None else others.between(k0, k1), pattern, structure, tile)
        if n_queries > FEW and torch.is_grad_enabled():
            # Keeps q, k and v of a block for its backward, and not its scores.
            outputs.append(checkpoint(attend, *arguments, use_reentrant=False))
        else:
            outputs.append(attend(*arguments))
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, 2)).to(v.dtype)


class _Cut:
    """Keys or values (B, H, S, ...) of which blocks of queries see a piece each.

    Every slice's gradient is as long as what it is a slice of, so where there is one pieces are joined of parts that
    are cut once: with a window a backward pass then grows with S and not with S^2.
    """

    def __init__(self, whole: Tensor) -> None:
        self.whole = whole
        self.parts = whole.split(BLOCK, 2) if whole.requires_grad and torch.is_grad_enabled() else ()

    def between(self, start: int, end: int) -> Tensor:
        if not self.parts or (start == 0 and end == self.whole.shape[2]):
            return self.whole[:, :, start:end]
        n = start // BLOCK
        piece = self.parts[n : -(-end // BLOCK)]
        joined = piece[0] if len(piece) == 1 else torch.cat(piece, 2)
        return joined[:, :, start - n * BLOCK : end - n * BLOCK]


def _a_mask_says_it(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, s: Structure) -> bool:
    """Softmax over what a mask of true and false can say, in a dtype that torch's own attention keeps to."""
    wide = q.dtype == k.dtype == v.dtype and q.dtype in (torch.float32, torch.float64)
    added = s.k_other is not None or s.relative is not None or s.bias is not None or s.offset is not None
    return wide and pattern.kind == "softmax" and not pattern.dropout and not added and q.shape[2] > 1


def _masked(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, structure: Structure, tile: Tile) -> Tensor:
    """One tile by torch's own attention, which keeps no scores for the backward."""
    seen = visible(pattern, structure, tile, q.device)
    if q.shape[1] != k.shape[1]:
        k, v = (z.repeat_interleave(q.shape[1] // k.shape[1], 1) for z in (k, v))
    if structure.start is None and structure.end is None and structure.allowed is None and pattern.only is None:
        return scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=pattern.scale)
    nothing = ~seen.any(-1, keepdim=True)  # such a query sees all, and its answer is cleared
    o = scaled_dot_product_attention(q, k, v, attn_mask=seen | nothing, scale=pattern.scale)
    return o.masked_fill(nothing, 0.0)


def _fields(pattern: Pattern) -> dict[str, Any]:
    return {name: getattr(pattern, name) for name in Pattern.__slots__}


_whole = Whole(
    "attention",
    run=lambda q, k, v, *structure, **pattern: _blocks(q, k, v, Pattern(**pattern), Structure(*structure)),
    like=lambda q, k, v, *structure, **pattern: v.new_empty(*q.shape[:3], v.shape[-1]),
)


def _torch_has_it(pattern: Pattern, structure: Structure, n_queries: int, n_keys: int) -> bool:
    """Plain softmax attention over full rows: nothing to mask but the future."""
    # A graph is for any length, so it does not ask whether this one lies within the window.
    unlimited = pattern.window is None or (not torch.compiler.is_compiling() and pattern.window >= n_keys - 1)
    whole = n_queries == n_keys or n_queries == 1 or not pattern.causal
    plain = pattern.kind == "softmax" and pattern.only is None and not pattern.dropout
    return plain and unlimited and whole and all(part is None for part in structure)
