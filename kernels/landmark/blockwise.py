"""Landmark attention as tables of scores, a few queries at a time against the blocks up to theirs."""

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
    far = None if far_q is None or far_k is None else Far(far_q, far_k, reach)
    outputs = []
    for n in range(0, q.shape[2], QUERIES):
        here = slice(n, n + QUERIES)
        more = None if far is None else Far(far.q[:, :, here], far.k, far.reach)
        outputs.append(_some(q[:, :, here], k, v, marks[:, :, here], place[:, here], size, landmark_last, more))
    return torch.cat(outputs, 2)


_whole = Whole(
    "landmark_attention",
    run=_run,
    like=lambda q, k, v, *rest, **settings: v.new_empty(*q.shape[:3], v.shape[-1]),
)


def _some(
    q: Tensor, k: Tensor, v: Tensor, marks: Tensor, place: Tensor, size: int, landmark_last: bool, far: Far | None
) -> Tensor:
    scale = q.shape[-1] ** -0.5
    own = (place // size)[:, None, :, None]  # (B, 1, C, 1)
    block = torch.arange(marks.shape[-1], device=q.device)
    scores = (q @ k.mT * scale).unflatten(-1, (-1, size))  # (B, H, C, n, size)
    # Its own block, from the start of it to the token itself.
    mine = scores.take_along_dim(own[..., None], 3)[..., 0, :]  # (B, H, C, size)
    slot = torch.arange(size, device=q.device)
    ahead = slot > (place % size)[:, None, :, None]
    if far is not None:
        distant = (far.q @ far.k.mT * scale).unflatten(-1, (-1, size))
        scores = torch.where((own - block > far.reach)[..., None], distant, scores)
    if landmark_last:
        landmark = slot == size - 1
        scores, ahead = scores.masked_fill(landmark, -torch.inf), ahead | landmark
    logits = torch.cat([mine.masked_fill(ahead, -torch.inf), marks.masked_fill(block >= own, -torch.inf)], -1)
    a = logits.softmax(-1)
    weights = scores.softmax(-1) * a[..., size:, None]  # (B, H, C, n, size)
    # Nothing stands there yet: a query's own block has no mark.
    weights = weights.scatter(3, own[..., None].expand_as(mine[..., None, :]), a[..., None, :size])
    o: Tensor = weights.flatten(3) @ v
    return o
