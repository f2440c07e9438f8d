"""Chain and skip-chain CRFs: log-partition with its gradient, marginals, Viterbi. The one door to the op.

    chain = skip_chain(speakers, mask, start, end, same, other)      or linear_chain(mask, start, end, transition)
    log_partition(emissions, chain), marginals(emissions, chain), viterbi(emissions, chain)

What a chain is: structure.py. What the answers mean: reference.py.
"""

from torch import Tensor

from . import torch_sweep, torch_viterbi
from .filtering import advance, label_probabilities
from .filtering import follow as _follow
from .structure import FIRST, SAME, TURN, Chain, linear_chain, skip_chain, steps, tables

__all__ = [
    "FIRST",
    "SAME",
    "TURN",
    "Chain",
    "advance",
    "follow",
    "label_probabilities",
    "linear_chain",
    "log_partition",
    "marginals",
    "skip_chain",
    "steps",
    "tables",
    "viterbi",
]


def log_partition(emissions: Tensor, chain: Chain) -> Tensor:
    """log Z, the log of the sum of exp(score) over every labelling: emissions (B, N, L) to (B,) in float64.

    Differentiable once, with respect to emissions and all scores of the chain. Raises ValueError on shapes that
    disagree.
    """
    _check(emissions, chain)
    return torch_sweep.log_partition(emissions, chain)


def marginals(emissions: Tensor, chain: Chain) -> Tensor:
    """P(label of utterance i = c) given the whole dialogue: (B, N, L), rows sum to 1, zero on padding."""
    _check(emissions, chain)
    return torch_sweep.marginals(emissions, chain)


def viterbi(emissions: Tensor, chain: Chain) -> tuple[Tensor, Tensor]:
    """The best labelling (B, N) long, -1 on padding, and its score (B,) in float64."""
    _check(emissions, chain)
    return torch_viterbi.viterbi(emissions, chain)


def follow(emissions: Tensor, chain: Chain) -> Tensor:
    """P(label of utterance i = c) given utterances 1 to i alone: (B, N, L), zero on padding; `advance` one by one."""
    _check(emissions, chain)
    return _follow(emissions, chain)


def _check(emissions: Tensor, chain: Chain) -> None:
    n_labels = len(chain.end)
    expected = (*chain.kinds.shape, n_labels)
    if tuple(emissions.shape) != expected:
        raise ValueError(f"emissions are {tuple(emissions.shape)}, the chain is for {expected}")
    if not emissions.is_floating_point():
        raise ValueError(f"emissions are {emissions.dtype}, expected a floating-point type")
