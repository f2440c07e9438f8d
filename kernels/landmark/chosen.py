"""The grouped softmax over blocks that every query has of its own."""

import torch
from torch import Tensor


def chosen_blocks(q: Tensor, k: Tensor, v: Tensor, marks: Tensor, at: Tensor, landmark_last: bool) -> Tensor:
    """o (B, H, T, V) as `landmark_attention` has it, where each query brings the blocks that it looks into.

    q (B, H, T, C, K), a query as it asks each of its C blocks; k (B, H, T, C, size, K) and v (B, H, T, C, size, V), the
    last block its own, of which it sees slots up to at (B, T); marks (B, H, T, C - 1), the scores of the others'
    landmarks, scaled, -inf for one that is not to be seen. With `landmark_last` a block's last slot is the landmark
    itself. Sums in float32 or wider, o in v's dtype.
    """
    wide = torch.promote_types(v.dtype, torch.float32)
    scores = (q.to(wide)[..., None, :] @ k.to(wide).mT)[..., 0, :] * q.shape[-1] ** -0.5  # (B, H, T, C, size)
    slot = torch.arange(k.shape[-2], device=k.device)
    hidden = (slot > at[..., None])[:, None]  # (B, 1, T, size)
    if landmark_last:
        landmark = slot == k.shape[-2] - 1
        scores, hidden = scores.masked_fill(landmark, -torch.inf), hidden | landmark
    mine = scores[..., -1, :].masked_fill(hidden, -torch.inf)
    a = torch.cat([marks.to(wide), mine], -1).softmax(-1)
    a, mine = a.split((marks.shape[-1], mine.shape[-1]), -1)
    weights = torch.cat([scores[..., :-1, :].softmax(-1) * a[..., None], mine[..., None, :]], -2)
    o: Tensor = (weights.flatten(-2)[..., None, :] @ v.to(wide).flatten(-3, -2))[..., 0, :]
    return o.to(v.dtype)
