"""Near and far attention as products of matrices, a chunk at a time."""

import torch.nn.functional as F
from torch import Tensor


def local_global_attention(
    q: Tensor, q_far: Tensor, k: Tensor, k_far: Tensor, v: Tensor, chunk: int, causal: bool
) -> Tensor:
    n_frames = q.shape[1]
    chunk_or_less = min(chunk, n_frames)
    rows = [_in_chunks(z, chunk_or_less) for z in (q, k, v)]  # (B, N, C, K)
    weights = (rows[0] @ rows[1].transpose(-1, -2) / chunk).relu().square()
    if causal:
        weights = weights.tril()
    near = (weights @ rows[2]).flatten(1, 2)[:, :n_frames]
    if not causal:
        return near + q_far @ (k_far.transpose(-1, -2) @ v / n_frames)
    q_rows, k_rows = _in_chunks(q_far, chunk_or_less), _in_chunks(k_far, chunk_or_less)
    sums = k_rows.transpose(-1, -2) @ rows[2] / chunk  # (B, N, K, V)
    before = F.pad(sums.cumsum(1)[:, :-1], (0, 0, 0, 0, 1, 0))
    return near + (q_rows @ before).flatten(1, 2)[:, :n_frames]


def _in_chunks(z: Tensor, chunk: int) -> Tensor:
    """(B, T, K) as (B, N, C, K), zeros behind the last frame: a key of zeros weighs nothing."""
    chunks: Tensor = F.pad(z, (0, 0, 0, -z.shape[1] % chunk)).unflatten(1, (-1, chunk))
    return chunks
