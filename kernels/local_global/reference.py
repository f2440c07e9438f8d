"""What attention of a near and a far part means, frame by frame."""

import torch
from torch import Tensor


def local_global_attention(
    q: Tensor, q_far: Tensor, k: Tensor, k_far: Tensor, v: Tensor, chunk: int, causal: bool
) -> Tensor:
    """o_t = sum_{s in t's chunk} relu(q_t . k_s / chunk)^2 v_s + (1/T) sum_s (q'_t . k'_s) v_s."""
    n_frames = q.shape[1]
    outputs = []
    for t in range(n_frames):
        first = t // chunk * chunk
        near = range(first, t + 1 if causal else min(first + chunk, n_frames))
        far = range(first if causal else n_frames)
        o = torch.zeros_like(v[:, 0])
        for s in near:
            weight = ((q[:, t] * k[:, s]).sum(-1) / chunk).relu() ** 2
            o = o + weight[:, None] * v[:, s]
        for s in far:
            weight = (q_far[:, t] * k_far[:, s]).sum(-1) / (chunk if causal else n_frames)
            o = o + weight[:, None] * v[:, s]
        outputs.append(o)
    return torch.stack(outputs, 1)
