"""Additive attention of the newest state over the last few: what the forecaster and the life network read with."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Recent(NamedTuple):
    """The states that a next step can still see."""

    states: Tensor  # (B, W - 1, D), the newest last; what was never seen is zero
    seen: Tensor  # (B,) how many of them were seen, at most W - 1


class TemporalAttention(nn.Module):
    """c_t = sum_i a_i h_i over the last W states, a = softmax_i(v . tanh(W h_i + U h_t))   (Bahdanau et al. 2015).

    A step costs the same whatever came before it. Rows are padded on the right; `lengths` (B,) says where they end.
    """

    def __init__(self, d_model: int, window: int) -> None:
        super().__init__()
        if window < 1:
            raise ValueError(f"window {window}: expected 1 or more")
        self.window = window
        self.keys = nn.Linear(d_model, d_model, bias=False)
        self.query = nn.Linear(d_model, d_model)
        self.score = nn.Linear(d_model, 1, bias=False)

    def initial_state(self, batch: int) -> Recent:
        weight = self.keys.weight
        states = weight.new_zeros(batch, self.window - 1, weight.shape[1])
        return Recent(states, torch.zeros(batch, dtype=torch.long, device=weight.device))

    def forward(
        self, h: Tensor, state: Recent, *, lengths: Tensor | None = None, at: Tensor | None = None
    ) -> tuple[Tensor, Recent]:
        """h (B, T, D) to [c; h] (B, P, 2 D) at the steps `at` (B, P), all T of them where it is not given."""
        (n, t, d), w = h.shape, self.window
        known = torch.cat([state.states, h], 1)  # (B, W - 1 + T, D): step t sees known[t : t + W]
        if t == 1 and at is None and lengths is None:
            return self._step(known, state)
        at = torch.arange(t, device=h.device).expand(n, t) if at is None else at
        slots = torch.arange(w, device=h.device)
        rows = torch.arange(n, device=h.device)[:, None, None]
        places = at[..., None] + slots  # (B, P, W)
        keys = self.keys(known)
        now = h.take_along_dim(at[..., None], 1)  # (B, P, D)
        logits = self.score(torch.tanh(keys[rows, places] + self.query(now)[:, :, None]))[..., 0]  # (B, P, W)
        unseen = slots < (w - 1 - state.seen[:, None, None] - at[..., None])
        a = logits.masked_fill(unseen, -torch.inf).softmax(-1)
        c = (a[..., None] * known[rows, places]).sum(2)
        ends = torch.full((n,), t, device=h.device) if lengths is None else lengths
        kept = known.take_along_dim((ends[:, None] + slots[: w - 1])[..., None].expand(-1, -1, d), 1)
        return torch.cat([c, now], -1), Recent(kept, (state.seen + ends).clamp(max=w - 1))

    def _step(self, known: Tensor, state: Recent) -> tuple[Tensor, Recent]:
        """One step, which sees all of known (B, W, D)."""
        now = known[:, -1:]
        logits = self.score(torch.tanh(self.keys(known) + self.query(now))).transpose(1, 2)  # (B, 1, W)
        unseen = torch.arange(self.window, device=known.device) < (self.window - 1 - state.seen)[:, None, None]
        c = logits.masked_fill(unseen, -torch.inf).softmax(-1) @ known
        return torch.cat([c, now], -1), Recent(known[:, 1:], (state.seen + 1).clamp(max=self.window - 1))
