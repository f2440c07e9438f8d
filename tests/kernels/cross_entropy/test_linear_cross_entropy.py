import pytest
import torch
from torch.autograd import gradcheck

from kernels.cross_entropy import chunked, linear_cross_entropy


def drawn(n, width=7, n_classes=11, dtype=torch.float64):
    x = torch.randn(n, width, dtype=dtype, requires_grad=True)
    weight = torch.randn(n_classes, width, dtype=dtype, requires_grad=True)
    return x, weight, torch.randint(n_classes, (n,))


@pytest.mark.parametrize("n", [1, 3, 4, 33])
def test_blocks_of_rows_give_what_all_rows_at_once_give(n, monkeypatch):
    monkeypatch.setattr(chunked, "ROWS", 4)
    x, weight, labels = drawn(n)
    whole = linear_cross_entropy(x, weight, labels, backend="reference")
    fast = linear_cross_entropy(x, weight, labels, backend="torch")
    torch.testing.assert_close(fast, whole)
    expected = torch.autograd.grad(3 * whole, (x, weight))
    found = torch.autograd.grad(3 * fast, (x, weight))
    torch.testing.assert_close(found, expected)


def test_its_gradient_is_the_slope(monkeypatch):
    monkeypatch.setattr(chunked, "ROWS", 2)
    x, weight, labels = drawn(5)
    assert gradcheck(lambda a, b: linear_cross_entropy(a, b, labels, backend="torch"), (x, weight))


def test_under_autocast_it_multiplies_in_halves_and_keeps_the_parameters_dtype():
    x, weight, labels = drawn(9, dtype=torch.float32)
    exact = linear_cross_entropy(x, weight, labels, backend="torch")
    with torch.autocast("cpu", torch.bfloat16):
        loss = linear_cross_entropy(x, weight, labels, backend="torch")
    loss.backward()
    assert loss.dtype == weight.grad.dtype == torch.float32
    assert loss != exact
    torch.testing.assert_close(loss, exact, atol=0.1, rtol=0.05)


def test_where_nothing_is_learned_no_gradient_is_made():
    x, weight, labels = drawn(6)
    with torch.no_grad():
        assert not linear_cross_entropy(x, weight, labels).requires_grad


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"x \(3, 7\)"):
        linear_cross_entropy(torch.zeros(3, 7), torch.zeros(5, 6), torch.zeros(3, dtype=torch.long))
