"""What papers claim of memories that learn while they read, on streams made here: no training, the claim alone."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.neural_memory import NO_MOMENTUM, Fast, Gates, Huber, Rule, Squared, neural_memory
from models.mixers import build_mixer


def recall_error(rule: Rule, k: Tensor, v: Tensor, step: float, wanted: Tensor) -> float:
    """Mean squared error of what a matrix answers the keys after a stream of pairs k, v (T, d), nothing forgotten."""
    n, d = k.shape
    zero = (torch.zeros(1, 1, d, d, dtype=k.dtype),)
    gate = torch.zeros(1, 1, n, dtype=k.dtype)
    gates = Gates(gate + step, gate, gate + NO_MOMENTUM)
    state = Fast(zero, zero, zero, torch.zeros(1, dtype=torch.long))
    _, after = neural_memory(*(z[None, None] for z in (k, k, v)), gates, state, rule)
    return float((k[: len(wanted)] @ after.weights[0][0, 0].T - wanted).square().mean())


@pytest.mark.parametrize("seed", range(3))
def test_hubers_loss_keeps_outliers_from_ruining_a_memory(seed: int) -> None:
    """Miras, of Yaad: with 5 % of the values 20 times too large its recall is far better than the squared loss's."""
    random = torch.Generator().manual_seed(seed)
    n_keys, d, n = 16, 32, 480
    keys = F.normalize(torch.randn(n_keys, d, generator=random, dtype=torch.float64), dim=-1)
    values = torch.randn(n_keys, d, generator=random, dtype=torch.float64) / d**0.5
    which = torch.cat([torch.arange(n_keys), torch.randint(n_keys, (n - n_keys,), generator=random)])
    outlier = torch.rand(n, 1, generator=random, dtype=torch.float64) < 0.05
    stream = torch.where(outlier, 20 * values[which], values[which])
    squared, huber = (recall_error(Rule(error=e), keys[which], stream, 0.3, values) for e in (Squared(1.0), Huber(0.5)))
    assert huber < squared / 5


def test_the_activator_mixes_nothing() -> None:
    """Activator: where attention is replaced by its gated unit, shuffled tokens give the same answers shuffled."""
    mixer, x, order = build_mixer("activator", d_model=16), torch.randn(1, 9, 16), torch.randperm(9)
    torch.testing.assert_close(mixer(x[:, order])[0], mixer(x)[0][:, order])
