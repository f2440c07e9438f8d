"""What landmark attention's grouped softmax means, query by query."""

import torch
from torch import Tensor

from kernels.landmark.far import Far


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
    """o_t = sum over its own block of a_j v_j + sum over earlier blocks c of a_c softmax_c(q_t . k / sqrt(K)) V_c,

    a being one softmax over the scores of its own block's tokens up to t and the marks of the earlier blocks
    (Mohtashami and Jaggi 2023, section 3.1): a token of an earlier block weighs what it has within its block, times its
    landmark.
    """
    batch, _, n_tokens, width = q.shape
    n_real = size - landmark_last  # tokens of a block
    outputs = []
    for b in range(batch):
        rows = []
        for t in range(n_tokens):
            at = int(place[b, t])
            own = at // size
            first = own * size
            here = slice(first, first + min(at - first + 1, n_real))
            logits = [(k[b, :, here] @ q[b, :, t, :, None])[..., 0] * width**-0.5, marks[b, :, t, :own]]
            a = torch.cat(logits, -1).softmax(-1)  # (H, own tokens + earlier blocks)
            n_own = logits[0].shape[-1]
            o = (a[:, None, :n_own] @ v[b, :, here])[:, 0]
            for c in range(own):
                there = slice(c * size, c * size + n_real)
                distant = far is not None and own - c > far.reach
                q_t, k_c = (far.q[b, :, t], far.k[b, :, there]) if distant and far else (q[b, :, t], k[b, :, there])
                within = ((k_c @ q_t[..., None])[..., 0] * width**-0.5).softmax(-1)
                o = o + a[:, n_own + c, None] * (within[:, None] @ v[b, :, there])[:, 0]
            rows.append(o)
        outputs.append(torch.stack(rows, 1))
    return torch.stack(outputs)
