"""Ops that a compiler takes whole: as right as what they run, once differentiable, and never silently more."""

import pytest
import torch
from torch import Tensor

from kernels.first_order import SecondDerivative
from kernels.whole import Whole


def _weighted(x: Tensor, w: Tensor | None, places: Tensor, *, power: int, sign: str) -> tuple[Tensor, Tensor]:
    total = x if w is None else x * w
    return total.pow(power).cumsum(0) * (-1.0 if sign == "minus" else 1.0), places


OP = Whole(
    "test_weighted",
    run=_weighted,
    like=lambda x, w, places, **settings: (x.new_empty(x.shape), places.new_empty(places.shape)),
)
X, PLACES = torch.linspace(-1.0, 2.0, 6, dtype=torch.float64), torch.arange(6)


@pytest.mark.parametrize("w", [None, 1 + torch.arange(6, dtype=torch.float64)])
def test_it_answers_as_what_it_runs_with_settings_and_without_a_tensor(w: Tensor | None) -> None:
    ours, places = OP(X, w, PLACES, power=3, sign="minus")
    torch.testing.assert_close(ours, _weighted(X, w, PLACES, power=3, sign="minus")[0])
    assert torch.equal(places, PLACES)
    assert places.data_ptr() != PLACES.data_ptr()  # an op never answers with its own argument


def test_its_gradient_is_that_of_what_it_runs() -> None:
    x, w = X.clone().requires_grad_(), torch.ones(6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: OP(x, w, PLACES, power=2, sign="plus")[0], (x, w))


def test_a_second_derivative_is_an_error() -> None:
    x = X.clone().requires_grad_()
    y = OP(x, None, PLACES, power=2, sign="plus")[0].sum()
    with pytest.raises(SecondDerivative, match="test_weighted"):
        torch.autograd.grad(y, x, create_graph=True)
    (once,) = torch.autograd.grad(OP(x, None, PLACES, power=2, sign="plus")[0].sum(), x)
    torch.testing.assert_close(once, 2 * X * torch.arange(6, 0, -1))
