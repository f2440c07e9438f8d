"""Attention within clusters of one size, each with the tokens of the whole sequence that are nearest to it."""

import torch
from torch import Tensor

from models.mixers.along import take_along


def balanced_attention(
    q: Tensor, k: Tensor, v: Tensor, asking: Tensor, told: Tensor, real: Tensor, size: int, *, causal: bool
) -> Tensor:
    """(B, H, T, K): the mean over the clusters that a token is in of softmax attention there, 0 where it is in none.

    q, k, v (B, H, T, K). A cluster's queries are the `size` tokens with the largest of its scores asking (B, H, T, C),
    its keys those with the largest of told; where that is the same tensor they are the same tokens. causal, a member
    sees itself and earlier ones. real (B, T): others are in no cluster.
    """
    n_tokens = q.shape[2]
    size = min(size, n_tokens)
    ask, asks = _nearest(asking, real, size)
    tell, tells = (ask, asks) if told is asking else _nearest(told, real, size)
    near_q, near_k, near_v = (_taken(z, which) for z, which in ((q, ask), (k, tell), (v, tell)))  # (B, H, C, w, K)
    seen = tells[..., None, :].expand(-1, -1, -1, size, -1)
    if causal:
        seen = seen & (tell[..., None, :] <= ask[..., None])
    scores = (near_q @ near_k.mT * q.shape[-1] ** -0.5).masked_fill(~seen, torch.finfo(q.dtype).min)
    answered = asks & seen.any(-1)
    o = (scores.softmax(-1) @ near_v) * answered[..., None]
    flat = ask.flatten(2)
    total = torch.zeros_like(v).scatter_add(2, flat[..., None].expand(-1, -1, -1, v.shape[-1]), o.flatten(2, 3))
    n = v.new_zeros(v.shape[:3]).scatter_add(2, flat, answered.flatten(2).to(v.dtype))
    return total / n.clamp(min=1)[..., None]


def _nearest(scores: Tensor, real: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Places (B, H, C, size) of each cluster's nearest tokens, in order, and whether a token stands there."""
    by_cluster = scores.transpose(2, 3).masked_fill(~real[:, None, None], -torch.inf)
    places = by_cluster.topk(size, -1).indices.sort(-1).values
    return places, take_along(real[:, None, None], places, -1)


def _taken(z: Tensor, places: Tensor) -> Tensor:
    """(B, H, C, w, K) of z (B, H, T, K)."""
    taken: Tensor = take_along(z, places.flatten(2)[..., None], 2).unflatten(2, places.shape[2:])
    return taken
