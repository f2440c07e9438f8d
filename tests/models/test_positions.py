"""Where a token stands, as numbers."""

import math

import pytest
import torch
from torch import Tensor

from models.positions import alibi, rotary, sinusoidal


def test_sinusoids_are_the_papers() -> None:
    table = sinusoidal(torch.tensor([0, 1, -5]), 6)
    assert torch.equal(table[0], torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]))
    for k in range(3):
        w = math.exp(-k * math.log(10_000) / 2)
        torch.testing.assert_close(table[1, [k, 3 + k]], torch.tensor([math.sin(w), math.cos(w)]))
    torch.testing.assert_close(table[2, :3], -sinusoidal(torch.tensor(5), 6)[:3])


@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_any_width_has_sinusoids(width: int) -> None:
    table = sinusoidal(torch.arange(-3, 4).view(1, 7), width)
    assert table.shape == (1, 7, width)
    assert table.isfinite().all()


def test_rotary_products_depend_on_the_distance_alone() -> None:
    q, k = torch.randn(1, 1, 1, 8, dtype=torch.float64), torch.randn(1, 1, 1, 8, dtype=torch.float64)

    def product(i: int, j: int) -> Tensor:
        return (rotary(q, torch.tensor([[i]])) * rotary(k, torch.tensor([[j]]))).sum()

    torch.testing.assert_close(product(7, 3), product(100_007, 100_003))
    assert not torch.allclose(product(7, 3), product(7, 4))


def test_rotary_is_exact_far_out_in_single_precision() -> None:
    x = torch.randn(1, 1, 1, 8)
    where = torch.tensor([[1_000_001]])
    torch.testing.assert_close(rotary(x, where).double(), rotary(x.double(), where), rtol=1e-5, atol=1e-6)


def test_rotary_keeps_lengths_and_leaves_position_0_alone() -> None:
    x = torch.randn(2, 3, 4, 6)
    torch.testing.assert_close(rotary(x, torch.tensor([[5, 6, 7]] * 2)).norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(rotary(x, torch.zeros(2, 3)), x)
    with pytest.raises(ValueError, match="5 wide"):
        rotary(torch.randn(1, 1, 1, 5), torch.zeros(1, 1))


def test_alibi_slopes() -> None:
    table = alibi(8, 3, causal=True)
    torch.testing.assert_close(table[0, :, 1], -(2.0 ** -torch.arange(1, 9).float()))
    assert torch.equal(alibi(2, 3, causal=False)[0, :, 2:], alibi(2, 3, causal=True)[0])
