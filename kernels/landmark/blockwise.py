"""Landmark attention as tables of scores, a few queries at a time against the blocks up to theirs."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from kernels.landmark.far import Far
from kernels.whole import Whole

QUERIES = 128


def landmark_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    marks: Tensor,
    place: Tensor,
    size: int,
    landmark_last: bool,
    far: Far | None,
) -> Tensor:
    """As `reference.landmark_attention`."""
    given = (q, k, v, marks, place, None if far is None else far.q, None if far is None else far.k)
    settings: dict[str, Any] = {"size": size, "landmark_last": landmark_last, "reach": 0 if far is None else far.reach}
    y: Tensor = _whole(*given, **settings) if torch.compiler.is_compiling() else _run(*given, **settings)
    return y


def _run(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    marks: Tensor,
    place: Tensor,
    far_q: Tensor | None,
    far_k: Tensor | None,
    *,
    size: int,
    landmark_last: bool,
    reach: int,
) -> Tensor:
    scale, slots = q.shape[-1] ** -0.5, partial(_by_slot, size=size, landmark_last=landmark_last)
    q, k, v = q * scale, slots(k), slots(v)
    if far_q is not None and far_k is not None:
        far_q, far_k = far_q * scale, slots(far_k)
    cut = [z.split(QUERIES, 2) for z in (q, marks)] + [z.split(QUERIES, 1) for z in (place // size, place % size)]
    far_cut = [None] * len(cut[0]) if far_q is None else far_q.split(QUERIES, 2)
    outputs = []
    for q_n, marks_n, own, at, far_n in zip(*cut, far_cut, strict=True):
        far = None if far_n is None or far_k is None else Far(far_n, far_k, reach)
        outputs.append(_some(q_n, k, v, marks_n, own, at, far))
    return torch.cat(outputs, 2)


def _by_slot(z: Tensor, size: int, landmark_last: bool) -> Tensor:
    """(B, H, S, K) as (B, H, tokens of a block, n, K): what goes on within a block then goes on along long rows."""
    by_slot: Tensor = z.unflatten(2, (-1, size)).transpose(2, 3)
    return by_slot[:, :, : size - landmark_last].contiguous()


_whole = Whole(
    "landmark_attention",
    run=_run,
    like=lambda q, k, v, *rest, **settings: v.new_empty(*q.shape[:3], v.shape[-1]),
)


def _some(q: Tensor, k: Tensor, v: Tensor, marks: Tensor, own: Tensor, at: Tensor, far: Far | None) -> Tensor:
    """q scaled (B, H, C, K); k, v (B, H, R, n, K or V), R tokens a block; own, at (B, C) in which block and where."""
    block = torch.arange(marks.shape[-1], device=q.device)
    scores = q[:, :, None] @ k.mT  # (B, H, R, C, n)
    mine = own[:, None, None, :, None].expand(*scores.shape[:-1], 1)
    # Its own block, from the start of it to the token itself.
    near = scores.gather(-1, mine)[..., 0].mT  # (B, H, C, R)
    ahead = torch.arange(k.shape[2], device=q.device) > at[:, None, :, None]
    if far is not None:
        distant = far.q[:, :, None] @ far.k.mT
        scores = torch.where((own[..., None] - block > far.reach)[:, None, None], distant, scores)
    unseen = block >= own[:, None, :, None]
    a = torch.cat([near.masked_fill(ahead, -torch.inf), marks.masked_fill(unseen, -torch.inf)], -1).softmax(-1)
    near, a = a.split((near.shape[-1], len(block)), -1)
    within = (scores - scores.detach().amax(2, keepdim=True)).exp()
    weights = within * (a / within.sum(2))[:, :, None]
    # Nothing stands there yet: a query's own block has no mark.
    weights = weights.scatter(-1, mine, near.mT[..., None])
    o: Tensor = (weights @ v).sum(2)
    return o
