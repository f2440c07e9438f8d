"""Content-based pointer attention: the scores over the input are the output."""

import torch
from torch import Tensor, nn


class PointerAttention(nn.Module):
    """u_ij = v . tanh(W1 e_j + W2 d_i)   (Vinyals et al. 2015, eq. 3), without biases, as published.

    The scores are logits over the N inputs; no context vector is formed. W1 e_j needs no query, so `keys` is called
    once for inputs that are pointed at many times.
    """

    def __init__(self, d_query: int, d_key: int, d_hidden: int) -> None:
        super().__init__()
        if min(d_query, d_key, d_hidden) < 1:
            raise ValueError(f"widths must be positive, got query {d_query}, key {d_key}, hidden {d_hidden}")
        self.w1 = nn.Linear(d_key, d_hidden, bias=False)
        self.w2 = nn.Linear(d_query, d_hidden, bias=False)
        self.v = nn.Linear(d_hidden, 1, bias=False)

    def keys(self, e: Tensor) -> Tensor:
        """W1 e: (B, N, d_key) to (B, N, d_hidden)."""
        y: Tensor = self.w1(e)
        return y

    def forward(
        self, query: Tensor, keys: Tensor, bias: Tensor | None = None, *, allowed: Tensor | None = None
    ) -> Tensor:
        """Logits (B, M, N) of queries (B, M, d_query) over keys (B, N, d_hidden).

        `bias` (B, M, N, d_hidden) is added inside the tanh: what is known of a pair rather than of either. Where
        `allowed`, broadcast to (B, M, N), is False the logit is -inf; a row with nothing allowed is -inf throughout,
        which a softmax makes NaN, so its caller leaves it out.
        """
        sums = keys[:, None] + self.w2(query)[:, :, None]  # (B, M, N, d_hidden)
        logits = self.v(torch.tanh(sums if bias is None else sums + bias))[..., 0]
        y: Tensor = logits if allowed is None else logits.masked_fill(~allowed, -torch.inf)
        return y
