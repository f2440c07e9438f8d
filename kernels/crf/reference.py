"""What the op means: sum over every labelling, or take the best, one utterance at a time (structure.py's recursion).

Written to be read and differentiated by autograd; torch_sweep.py and triton_kernel.py are the fast ones.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from kernels.crf import gradient
from kernels.crf.structure import TURN, Chain, turned


def log_partition(emissions: Tensor, chain: Chain) -> Tensor:
    """log of the sum of exp(score) over every labelling: emissions (B, N, L) to (B,), in float64.

    A dialogue without utterances has one labelling, of score 0.
    """
    final = _final(emissions, chain, _log_sum).flatten(1)
    return (_log_sum(final, 1) - math.log(final.shape[1])).double()


def marginals(emissions: Tensor, chain: Chain) -> Tensor:
    """P(label of utterance i = c), (B, N, L), zero on padding: the gradient of log Z with respect to the emissions."""
    again = gradient.wanted(emissions, chain)  # a gradient of this gradient
    with torch.enable_grad():
        if not emissions.requires_grad:
            emissions = emissions.detach().requires_grad_()
        total = log_partition(emissions, chain).sum()
        return torch.autograd.grad(total, emissions, create_graph=again)[0]


def viterbi(emissions: Tensor, chain: Chain) -> tuple[Tensor, Tensor]:
    """The best labelling (B, N) long, -1 on padding, and its score (B,) in float64.

    By definition: the best score's gradient with respect to the emissions is 1 at the labels that make it.
    """
    with torch.enable_grad():
        emissions = emissions.detach().requires_grad_()
        scores = _final(emissions, Chain(*(x.detach() for x in chain)), torch.amax).flatten(1).max(1).values
        chosen = torch.autograd.grad(scores.sum(), emissions)[0]
    padded = torch.arange(emissions.shape[1], device=emissions.device) >= chain.lengths[:, None]
    return chosen.argmax(-1).masked_fill(padded, -1), scores.detach().double()


def _log_sum(terms: Tensor, dim: int) -> Tensor:
    """log of the sum of exp; where every term is -inf so is the answer, and its gradient is 0 where torch's is NaN."""
    never = (terms == -torch.inf).all(dim, keepdim=True)
    return terms.masked_fill(never, 0.0).logsumexp(dim).masked_fill(never.squeeze(dim), -torch.inf)


def _final(emissions: Tensor, chain: Chain, reduce: Callable[..., Tensor]) -> Tensor:
    """The table (B, R, L) after each dialogue's last utterance, `end` included."""
    batch, n, n_labels = emissions.shape
    n_rows = chain.context.shape[1]
    turn = turned(n_rows, n_labels, emissions.device)
    table = emissions.new_zeros(batch, n_rows, n_labels)
    for i in range(n):
        kind = chain.kinds[:, i]
        read = torch.where(kind[:, None, None] >= TURN, table.flatten(1)[:, turn].view(table.shape), table)
        summed = reduce(read[..., None] + chain.transition[kind][:, None], 2)  # (B, R, L, L) to (B, R, L)
        new = summed + chain.context[kind] + emissions[:, i, None]
        table = torch.where((i < chain.lengths)[:, None, None], new, table)
    return torch.where(chain.lengths[:, None, None] > 0, table + chain.end, table)
