"""The live half of the op: what is known after each utterance, before the next is spoken.

The table is normalised at every step, so a chat may go on for ever; `follow` over a whole dialogue and `advance` one
utterance at a time do the same arithmetic.
"""

import torch
from torch import Tensor

from .structure import SAME, TURN, Chain, turned


def advance(table: Tensor, kind: Tensor, emission: Tensor, transition: Tensor, context: Tensor) -> Tensor:
    """One utterance more: the log-probabilities (B, R, L) of the table's entries, float64.

    table (B, R, L), zeros before the first utterance; kind (B,) long; emission (B, L); transition and context as in
    `Chain`.
    """
    return _step(table, _source(table, kind), transition[kind], context[kind] + emission[:, None])


def follow(emissions: Tensor, chain: Chain) -> Tensor:
    """P(label of utterance i = c) given utterances 1 to i, without `end`: (B, N, L), zero on padding."""
    batch, n, n_labels = emissions.shape
    real = torch.arange(n, device=emissions.device) < chain.lengths[:, None]
    kinds = torch.where(real, chain.kinds, SAME)
    wide = emissions.double().masked_fill(~real[..., None], 0.0)
    transition, context = chain.transition.double(), chain.context.double()
    table = wide.new_zeros(batch, context.shape[1], n_labels)
    labels = []
    for emission, kind in zip(wide.unbind(1), kinds.unbind(1), strict=True):
        table = advance(table, kind, emission, transition, context)
        labels.append(label_probabilities(table))
    if not labels:
        return torch.zeros_like(emissions)
    return torch.where(real[..., None], torch.stack(labels, 1), 0.0).to(emissions.dtype)


def label_probabilities(table: Tensor) -> Tensor:
    """From a normalised table (B, R, L) to the current label's probabilities (B, L)."""
    return table.exp().sum(1)


def _source(table: Tensor, kind: Tensor) -> Tensor:
    n_rows, n_labels = table.shape[1:]
    turn = turned(n_rows, n_labels, table.device)
    return torch.where(kind[:, None] >= TURN, turn, torch.arange(len(turn), device=table.device))


def _step(table: Tensor, source: Tensor, move: Tensor, add: Tensor) -> Tensor:
    """move (B, L, L), add (B, R, L), source (B, R L): where each entry is read from."""
    read = table.flatten(1).gather(1, source).view(*table.shape, 1)
    new = (read + move[:, None]).logsumexp(2) + add
    return new - new.logsumexp((1, 2), keepdim=True)
