"""What softmax attention of one fixed query over every prefix means, written to be read."""

import torch
from torch import Tensor


def prefix_softmax(scores: Tensor, v: Tensor, log_sum: Tensor, mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """o (B, H, T, V), o_t = sum_{i<=t} softmax(s_1 .. s_t)_i v_i, and the log_sum and mean after the last token.

    scores (B, H, T), -inf where a token is to be left out; v (B, H, T, V). The state, float64, is the log of
    the sum of exp(s), (B, H), -inf before any token, and the weighted mean so far, (B, H, V), 0 before any token.

    The running maximum m, sum u and weighted sum w of Feng et al. 2024, section 3.1:
    m' = max(m, s),  u' = u e^{m-m'} + e^{s-m'},  w' = w e^{m-m'} + e^{s-m'} v,  o = w' / u';
    here m = log_sum, u = 1, w = mean to begin with. Where no token has been seen, o is 0.
    """
    peak, total, weighted = log_sum, (log_sum > -torch.inf).to(mean.dtype), mean
    outputs = []
    for s, v_t in zip(scores.to(mean.dtype).unbind(2), v.to(mean.dtype).unbind(2), strict=True):
        new = torch.maximum(peak, s).detach()  # it cancels, so it has no gradient
        new = torch.where(new > -torch.inf, new, 0.0)
        before, now = ((z - new).to(scores.dtype).exp().to(mean.dtype) for z in (peak, s))
        total = total * before + now
        weighted = weighted * before[..., None] + now[..., None] * v_t
        peak = torch.where(total > 0, new, -torch.inf)
        seen = torch.where(total > 0, total, 1.0)
        outputs.append(weighted / seen[..., None])
    return torch.stack(outputs, 2).to(v.dtype), peak + seen.log(), outputs[-1]
