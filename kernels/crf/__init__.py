"""Chain and skip-chain CRFs: log-partition with its gradient, marginals, Viterbi. The one door to the op.

    chain = skip_chain(speakers, mask, start, end, same, other)      or linear_chain(mask, start, end, transition)
    log_partition(emissions, chain), marginals(emissions, chain), viterbi(emissions, chain)

What a chain is: structure.py. What the answers mean: reference.py.
"""

import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable, choose, named
from kernels.crf import filtering, gradient, reference, torch_sweep, torch_viterbi
from kernels.crf.filtering import advance, label_probabilities
from kernels.crf.structure import FIRST, SAME, TURN, Chain, linear_chain, skip_chain, steps, tables

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


def log_partition(emissions: Tensor, chain: Chain, *, backend: Backend | None = None) -> Tensor:
    """log Z, the log of the sum of exp(score) over every labelling: emissions (B, N, L) to (B,) in float64.

    Differentiable once, with respect to emissions and all scores of the chain. Raises ValueError on shapes that
    disagree, and here as below BackendUnavailable where the backend named cannot do it.
    """
    _check(emissions, chain)
    if not emissions.numel():
        return emissions.double().sum((1, 2))  # zeros that autograd knows
    match _choose(emissions, chain, backend):
        case "triton":
            from kernels.crf import triton_kernel

            return triton_kernel.log_partition(emissions, chain)
        case "torch":
            return torch_sweep.log_partition(emissions, chain)
        case _:
            return reference.log_partition(emissions, chain)


def marginals(emissions: Tensor, chain: Chain, *, backend: Backend | None = None) -> Tensor:
    """P(label of utterance i = c) given the whole dialogue: (B, N, L), rows sum to 1, zero on padding.

    Differentiable by the torch backend, which is the automatic choice where a gradient is wanted.
    """
    _check(emissions, chain)
    if not emissions.numel():
        return torch.zeros_like(emissions)
    match _choose(emissions, chain, backend, differentiable=False):
        case "triton":
            from kernels.crf import triton_kernel

            return triton_kernel.marginals(emissions, chain)
        case "torch":
            return torch_sweep.marginals(emissions, chain)
        case _:
            return reference.marginals(emissions, chain)


def viterbi(emissions: Tensor, chain: Chain, *, backend: Backend | None = None) -> tuple[Tensor, Tensor]:
    """The best labelling (B, N) long, -1 on padding, and its score (B,) in float64."""
    _check(emissions, chain)
    if not emissions.numel():
        return torch.zeros_like(chain.kinds), emissions.double().sum((1, 2))
    match _choose(emissions, chain, backend):
        case "triton":
            from kernels.crf import triton_kernel

            return triton_kernel.viterbi(emissions, chain)
        case "torch":
            return torch_viterbi.viterbi(emissions, chain)
        case _:
            return reference.viterbi(emissions, chain)


def follow(emissions: Tensor, chain: Chain) -> Tensor:
    """P(label of utterance i = c) given utterances 1 to i alone: (B, N, L), zero on padding; `advance` one by one."""
    _check(emissions, chain)
    if not emissions.numel():
        return torch.zeros_like(emissions)
    return filtering.follow(emissions, chain)


def _choose(emissions: Tensor, chain: Chain, backend: Backend | None, *, differentiable: bool = True) -> Backend:
    chosen = choose(emissions, backend)
    if chosen != "triton":
        return chosen
    from kernels.crf import triton_kernel

    if not triton_kernel.fits(chain):
        why = f"{tuple(chain.context.shape[1:])} entries with {len(chain.end)} labels each are too many for one program"
    elif not differentiable and gradient.wanted(emissions, chain):
        why = "a gradient of the marginals is wanted"
    else:
        return chosen
    if named(backend) == "triton":
        raise BackendUnavailable(f"triton was asked for, but {why}")
    return "torch"


def _check(emissions: Tensor, chain: Chain) -> None:
    expected = (*chain.kinds.shape, len(chain.end))
    if tuple(emissions.shape) != expected:
        raise ValueError(f"emissions are {tuple(emissions.shape)}, the chain is for {expected}")
    if not emissions.is_floating_point():
        raise ValueError(f"emissions are {emissions.dtype}, expected a floating-point type")
