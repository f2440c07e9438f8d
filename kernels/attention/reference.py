"""What the attention ops mean: every score at once."""

import math

import torch
from torch import Tensor

from kernels.attention.pattern import Pattern, Structure, Tile, added, same_id, visible


def attention(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, structure: Structure) -> Tensor:
    """o_i = sum_j w_ij v_j, (B, H, T, V); zero for a query that sees no key.

    q (B, H, T, K); k (B, G, S, K), v (B, G, S, V), H a multiple of G; the queries stand at the last T of S slots.
    score_ij = scale q_i . k_j + relative_{i-j} + bias_ij + offset_i, k_j being k_other_j where the ids differ.
    softmax: w_i = softmax of the visible scores. sigmoid: w_ij = sigmoid(score_ij) where visible, else 0
    (Ramapuram et al. 2024). exp: w_ij = exp(min(score_ij, ceiling)) where visible, else 0: softmax's numerator.
    Computed in float32 or wider.
    """
    first = k.shape[2] - q.shape[2]
    tile = Tile(first, k.shape[2], 0, k.shape[2], first)
    return attend(q, k, v, structure.k_other, pattern, structure, tile).to(v.dtype)


def attend(
    q: Tensor, k: Tensor, v: Tensor, k_other: Tensor | None, pattern: Pattern, s: Structure, tile: Tile
) -> Tensor:
    """One tile: q, k, v and k_other are the tile's own, the structure is the whole op's."""
    dtype = torch.promote_types(q.dtype, torch.float32)
    per_group = q.shape[1] // k.shape[1]
    scale = pattern.scale if pattern.scale is not None else 1 / math.sqrt(q.shape[-1])

    def score(keys: Tensor) -> Tensor:
        return (q.to(dtype) * scale) @ _each(keys.to(dtype), per_group).transpose(-1, -2)

    scores = score(k)
    if k_other is not None:
        scores = torch.where(same_id(s, tile), scores, score(k_other))
    more = added(pattern, s, tile)
    if more is not None:
        scores = scores + more
    seen = visible(pattern, s, tile, q.device)
    if pattern.kind == "sigmoid":
        weights = scores.sigmoid() * seen
    elif pattern.kind == "exp":
        weights = scores.clamp(max=pattern.ceiling).exp() * seen
    else:
        # A finite floor, and rows that see nothing cleared afterwards: zeros, and no NaN in their gradients.
        weights = scores.masked_fill(~seen, torch.finfo(dtype).min).softmax(-1)
        weights = weights.masked_fill(~seen.any(-1, keepdim=True), 0.0)
    if pattern.dropout:
        weights = torch.nn.functional.dropout(weights, pattern.dropout)
    return weights @ _each(v.to(dtype), per_group)


def _each(z: Tensor, per_group: int) -> Tensor:
    """Keys or values once a query head."""
    return z if per_group == 1 else z.repeat_interleave(per_group, 1)
