"""The live half of the op: what is known after each utterance, before the next is spoken.

The table is normalised at every step, so a chat may go on for ever; `follow` over a whole dialogue and `advance` one
utterance at a time do the same arithmetic.
"""

import torch
from torch import Tensor

from kernels.crf.structure import SAME, TURN, Chain, turned

NEVER = -1e30
"""Nats: stands for an emission of -inf. Its probability is 0 in float64 as well, and no gradient is NaN."""
ROWS_AT_ONCE = 8192
"""Steps x dialogues whose tables exist at one time."""


def advance(table: Tensor, kind: Tensor, emission: Tensor, transition: Tensor, context: Tensor) -> Tensor:
    """One utterance more: the log-probabilities (B, R, L) of the table's entries, float64.

    table (B, R, L), zeros before the first utterance; kind (B,) long; emission (B, L); transition and context as in
    `Chain`.
    """
    n_rows, n_labels = table.shape[1:]
    source = _sources(n_rows, n_labels, kind)
    add = context.double()[kind] + emission.double().clamp(min=NEVER)[:, None]
    return _step(table, source, transition.double()[kind], add)


def follow(emissions: Tensor, chain: Chain) -> Tensor:
    """P(label of utterance i = c) given utterances 1 to i, without `end`: (B, N, L), zero on padding."""
    batch, n, n_labels = emissions.shape
    real = torch.arange(n, device=emissions.device) < chain.lengths[:, None]
    kinds = torch.where(real, chain.kinds, SAME).T
    wide = emissions.double().masked_fill(~real[..., None], 0.0).clamp(min=NEVER).transpose(0, 1)
    transition, context = chain.transition.double(), chain.context.double()
    table = wide.new_zeros(batch, context.shape[1], n_labels)
    labels = []
    size = max(1, ROWS_AT_ONCE // batch)
    for low in range(0, n, size):
        kind = kinds[low : low + size]
        sources, moves = _sources(context.shape[1], n_labels, kind), transition[kind]
        adds = context[kind] + wide[low : low + size, :, None]
        tables = []
        for source, move, add in zip(sources.unbind(), moves.unbind(), adds.unbind(), strict=True):
            table = _step(table, source, move, add)
            tables.append(table)
        labels.append(label_probabilities(torch.stack(tables)))
    return torch.where(real[..., None], torch.cat(labels).transpose(0, 1), 0.0).to(emissions.dtype)


def label_probabilities(table: Tensor) -> Tensor:
    """From a normalised table (..., R, L) to the current label's probabilities (..., L)."""
    return table.exp().sum(-2)


def _sources(n_rows: int, n_labels: int, kind: Tensor) -> Tensor:
    """Where each entry is read from at steps of these kinds: (..., R L)."""
    turn = turned(n_rows, n_labels, kind.device)
    return torch.where(kind[..., None] >= TURN, turn, torch.arange(len(turn), device=kind.device))


def _step(table: Tensor, source: Tensor, move: Tensor, add: Tensor) -> Tensor:
    """source (B, R L), move (B, L, L), add (B, R, L): the next table, normalised."""
    read = table.flatten(1).gather(1, source).view(*table.shape, 1)
    new = (read + move[:, None]).logsumexp(2) + add
    return new - new.logsumexp((1, 2), keepdim=True)
