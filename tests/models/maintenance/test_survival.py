"""Hazards, survival and likelihood, against sums written out."""

import numpy as np
import pytest
import torch

from models.maintenance.survival import lived_by, log_survival, mean_life, negative_log_likelihood

EDGES = torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64)


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_survival_is_the_product_of_what_hazards_leave(logits: torch.Tensor) -> None:
    s = log_survival(logits).exp()
    h = torch.sigmoid(logits)
    for k in range(5):
        torch.testing.assert_close(s[:, k], (1 - h[:, :k]).prod(1))
    assert (s.diff(dim=1) <= 0).all()
    assert ((h > 0) & (h < 1)).all()


def test_every_end_together_has_probability_one(logits: torch.Tensor) -> None:
    middles = torch.tensor([0.5, 1.5, 3.0, 6.0], dtype=torch.float64)
    ended = [negative_log_likelihood(logits, EDGES, m.expand(5), torch.ones(5, dtype=torch.bool)) for m in middles]
    beyond = negative_log_likelihood(logits, EDGES, torch.full((5,), 9.0).double(), torch.ones(5, dtype=torch.bool))
    torch.testing.assert_close(torch.stack([*ended, beyond]).neg().exp().sum(0), torch.ones(5, dtype=torch.float64))


@pytest.mark.parametrize("left", [0.0, 0.3, 1.0, 5.0, 8.0, 1e6])
def test_a_censored_unit_counts_what_it_lived_and_its_loss_is_finite(logits: torch.Tensor, left: float) -> None:
    alive = negative_log_likelihood(logits, EDGES, torch.full((5,), left).double(), torch.zeros(5, dtype=torch.bool))
    assert alive.isfinite().all()
    assert (alive >= 0).all()
    if left == 1.0:
        torch.testing.assert_close(alive, -log_survival(logits)[:, 1])


def test_mean_and_quantiles_of_a_straight_curve() -> None:
    s = torch.tensor([[1.0, 0.9, 0.8, 0.6, 0.2]], dtype=torch.float64)
    assert mean_life(s, EDGES).item() == pytest.approx(0.95 + 0.85 + 2 * 0.7 + 4 * 0.4)
    ends = np.array([0.0, 1.0, 2.0, 4.0, 8.0])
    shares = np.array([0.1, 0.5, 0.9])
    for rows in (1, 3):  # a fifth outlives everything that is told
        np.testing.assert_allclose(lived_by(np.tile(s.numpy(), (rows, 1)), ends, shares), [[1.0, 5.0, 8.0]] * rows)
