"""torch.func over the ops whose backward is written by hand: gradients, one for each example; never a wrong second."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from kernels.first_order import SecondDerivative
from models.emotionic.linear_chain_crf import LinearChainCRF
from models.mixers import build_mixer

Loss = Callable[[Tensor], Tensor]


def loss_of(name: str) -> tuple[Loss, Tensor]:
    """A scalar of x (2, 6, D), and an x."""
    if name == "crf":
        crf, speakers = LinearChainCRF(3).double(), torch.zeros(2, 6, dtype=torch.long)
        return lambda x: crf.log_partition(x, speakers).sum(), torch.randn(2, 6, 3, dtype=torch.float64)
    mixer = build_mixer(name, d_model=8).double().eval()
    ids = torch.zeros(2, 6, dtype=torch.long) if mixer.takes_ids else None
    return lambda x: mixer(x, ids=ids)[0].square().sum(), torch.randn(2, 6, 8, dtype=torch.float64)


BATCHED = ["aaren", "mesa", "min_rnn", "rat", "regression"]
ALONE = ["crf", "dialog_gru"]
"""Their loops ask how long each row is, which under vmap has no answer."""


@pytest.mark.parametrize("name", BATCHED + ALONE)
def test_the_functional_gradient_is_autograds(name: str) -> None:
    loss, x = loss_of(name)
    given = x.clone().requires_grad_()
    torch.testing.assert_close(grad(loss)(x), torch.autograd.grad(loss(given), given)[0])


@pytest.mark.parametrize("name", BATCHED)
def test_each_example_has_its_gradient(name: str) -> None:
    loss, x = loss_of(name)
    several = torch.stack([x, 2 * x, x.flip(1)])
    torch.testing.assert_close(vmap(loss)(several), torch.stack([loss(z) for z in several]))
    torch.testing.assert_close(vmap(grad(loss))(several), torch.stack([grad(loss)(z) for z in several]))


@pytest.mark.parametrize("name", ALONE)
def test_what_cannot_be_batched_says_so(name: str) -> None:
    loss, x = loss_of(name)
    with pytest.raises(RuntimeError, match="vmap"):
        vmap(grad(loss))(torch.stack([x, x]))


@pytest.mark.parametrize("name", [n for n in BATCHED + ALONE if n != "min_rnn"])
def test_a_gradient_of_a_gradient_is_an_error(name: str) -> None:
    loss, x = loss_of(name)
    with pytest.raises(SecondDerivative, match="second derivative"):
        grad(lambda z: grad(loss)(z).sum())(x)
    outside = x.clone().requires_grad_()
    with pytest.raises(SecondDerivative, match="second derivative"):
        grad(loss)(outside).sum().backward()


def test_a_scan_has_a_second_derivative() -> None:
    loss, x = loss_of("min_rnn")
    twice = grad(lambda z: grad(loss)(z).square().sum())(x)
    given = x.clone().requires_grad_()
    once = torch.autograd.grad(loss(given), given, create_graph=True)[0]
    torch.testing.assert_close(twice, torch.autograd.grad(once.square().sum(), given)[0])
