"""Ops with a backward pass of their own refuse second derivatives; their references have them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kernels.backend import use_backend
from kernels.first_order import SecondDerivative
from kernels.prefix_softmax import prefix_softmax
from models.emotionic.linear_chain_crf import LinearChainCRF
from models.mixers import build_mixer


def _prefix() -> tuple[Callable[[Tensor], Tensor], Tensor]:
    v = torch.randn(1, 2, 5, 3)
    return lambda x: prefix_softmax(x, v)[0].square().sum(), torch.randn(1, 2, 5)


def _crf() -> tuple[Callable[[Tensor], Tensor], Tensor]:
    crf, speakers = LinearChainCRF(3), torch.zeros(1, 4, dtype=torch.long)
    return lambda x: crf.log_partition(x, speakers).sum(), torch.randn(1, 4, 3)


def _mixer(name: str) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    mixer = build_mixer(name, d_model=16)
    ids = torch.zeros(1, 6, dtype=torch.long) if mixer.takes_ids else None
    return lambda x: mixer(x, ids=ids)[0].square().sum(), torch.randn(1, 6, 16)


@pytest.mark.parametrize(
    "make", [_prefix, _crf, lambda: _mixer("dialog_gru"), lambda: _mixer("rat")], ids=["prefix", "crf", "gru", "rat"]
)
def test_a_second_derivative_is_an_error_and_never_wrong(
    make: Callable[[], tuple[Callable[[Tensor], Tensor], Tensor]],
) -> None:
    f, x = make()
    x.requires_grad_()
    with pytest.raises(SecondDerivative, match="second derivative"):
        torch.autograd.grad(f(x), x, create_graph=True)
    torch.autograd.grad(f(x), x)  # once is fine


def test_the_reference_has_second_derivatives() -> None:
    scores, v = torch.randn(1, 1, 4, dtype=torch.float64, requires_grad=True), torch.randn(1, 1, 4, 2).double()
    with use_backend("reference"):
        assert torch.autograd.gradgradcheck(lambda s: prefix_softmax(s, v)[0], scores)
