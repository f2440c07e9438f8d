"""The best labelling in PyTorch, fast: the recursion of structure.py with max for sum, in float64, and a way back."""

import numpy as np
import torch
from torch import Tensor

from kernels.crf.structure import SAME, TURN, Chain, turned

ROWS_AT_ONCE = 8192
"""Steps x dialogues whose tables exist at one time."""


@torch.no_grad()
def viterbi(emissions: Tensor, chain: Chain) -> tuple[Tensor, Tensor]:
    """The best labelling (B, N) long, -1 on padding, and its score (B,) in float64.

    For every entry of every table the one it came from is kept: N R L 16-bit integers a dialogue.
    """
    table, origins = _best(emissions.double(), chain)
    end = torch.where(chain.lengths[:, None] > 0, chain.end.double().repeat(chain.context.shape[1]), 0.0)
    scores, last = (table + end).max(1)
    # One number a step is followed: plain indexing is ten times quicker at that than a tensor operation.
    where = origins.cpu().numpy()
    entries = np.full(emissions.shape[:2], -1, dtype=np.int64)
    for row, (length, entry) in enumerate(zip(chain.lengths.tolist(), last.tolist(), strict=True)):
        for i in range(length - 1, -1, -1):
            entries[row, i] = entry
            entry = where[i, row, entry]
    paths = torch.from_numpy(np.where(entries < 0, -1, entries % emissions.shape[2]))
    return paths.to(emissions.device), scores


def _best(emissions: Tensor, chain: Chain) -> tuple[Tensor, Tensor]:
    """The best score of each last entry (B, R L), and where each entry of each step came from, (N, B, R L).

    Rows that have ended go on with numbers nobody reads.
    """
    batch, n, n_labels = emissions.shape
    n_rows = chain.context.shape[1]
    turn = turned(n_rows, n_labels, emissions.device)
    straight = torch.arange(len(turn), device=turn.device)
    reads = torch.stack([straight, turn])
    row = straight // n_labels * n_labels
    kinds = torch.where(torch.arange(n, device=turn.device) < chain.lengths[:, None], chain.kinds, SAME)
    transition, context = chain.transition.double(), chain.context.double()
    narrow = torch.int16 if len(turn) < 2**15 else torch.int64
    table = last = emissions.new_zeros(batch, len(turn))
    origins = torch.empty(n, batch, len(turn), dtype=narrow, device=turn.device)
    size = max(1, ROWS_AT_ONCE // batch)
    for low in range(0, n, size):
        now = slice(low, low + size)
        kind = kinds[:, now].T
        moves, sources = transition[kind][:, :, None], reads[(kind >= TURN).long()]
        adds = (context[kind] + emissions[:, now].transpose(0, 1)[:, :, None]).flatten(2)
        after, chosen = [], []
        for move, source, add in zip(moves.unbind(), sources.unbind(), adds.unbind(), strict=True):
            best, x = (table.gather(1, source).view(batch, n_rows, n_labels, 1) + move).max(2)
            table = best.view(batch, -1) + add
            after.append(table)
            chosen.append(x)
        # x is a column of the table as it was read; sources says which entry that was.
        origins[now] = sources.gather(2, torch.stack(chosen).flatten(2) + row).to(narrow)
        place = chain.lengths - 1 - low
        ends_here = torch.stack(after)[place.clamp(0, len(after) - 1), torch.arange(batch, device=turn.device)]
        last = torch.where(((place >= 0) & (place < len(after)))[:, None], ends_here, last)
    return last, origins
