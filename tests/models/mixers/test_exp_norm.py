"""The exponential with other normalisers, against the formula."""

from typing import Any

import pytest
import torch
from torch import Tensor

from models.mixers.exp_norm import ExpNorm, ExpNormConfig


def build(d_model: int = 8, n_heads: int = 2, **fields: Any) -> ExpNorm:
    return ExpNorm(ExpNormConfig(d_model=d_model, n_heads=n_heads, positions="none", **fields)).double()


def numerator(mixer: ExpNorm, x: Tensor, ceiling: float = torch.inf) -> tuple[Tensor, Tensor]:
    """N (B, H, T, V) and the weights (B, H, T, T)."""
    q, k, v = (z.unflatten(-1, (2, -1)).transpose(1, 2) for z in mixer.project(x).split(mixer.widths, -1))
    if mixer.config.gate == "in":
        v = v * mixer.gate(x).sigmoid().transpose(1, 2)[..., None]
    weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).clamp(max=ceiling).exp().tril()
    return weights @ v, weights


@pytest.mark.parametrize("normaliser", ["l2", "rms", "row_sum", "count", "none"])
@pytest.mark.parametrize("gate", ["in", "out", "none"])
def test_it_is_the_formula(normaliser: str, gate: str) -> None:
    mixer = build(normaliser=normaliser, gate=gate)
    if normaliser == "rms":
        mixer.norm.eps = 0.0
    x = 4 * torch.randn(2, 9, 8, dtype=torch.float64)
    n, weights = numerator(mixer, x, 5.0 if normaliser in ("count", "none") else torch.inf)
    o = {
        "l2": n / n.norm(dim=-1, keepdim=True),
        "rms": n / n.square().mean(-1, keepdim=True).sqrt(),
        "row_sum": n / weights.sum(-1, keepdim=True),
        "count": n / torch.arange(1, 10)[:, None],
        "none": n,
    }[normaliser]
    if gate == "out":
        o = o * mixer.gate(x).sigmoid().transpose(1, 2)[..., None]
    torch.testing.assert_close(mixer(x)[0], mixer.out(o.transpose(1, 2).flatten(2)))


def test_l2_answers_have_length_1_and_ignore_the_size_of_the_values() -> None:
    """Invariant 5."""
    mixer = build()
    torch.nn.init.eye_(mixer.out.weight)
    x = torch.randn(2, 9, 8, dtype=torch.float64)
    y, _ = mixer(x)
    torch.testing.assert_close(y.unflatten(-1, (2, 4)).norm(dim=-1), torch.ones(2, 9, 2, dtype=torch.float64))
    with torch.no_grad():
        mixer.project.weight[16:] *= 7.0
    torch.testing.assert_close(mixer(x)[0], y)


def test_great_scores_do_not_overflow() -> None:
    for normaliser in ("l2", "rms", "count", "none"):
        y, _ = build(normaliser=normaliser).float()(1e3 * torch.randn(1, 5, 8))
        assert y.isfinite().all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"normaliser": "max"}, "normaliser is 'max'"),
        ({"gate": "side"}, "gate is 'side'"),
        ({"normaliser": "count", "only": "same"}, "does not look at ids"),
    ],
)
def test_a_config_checks_itself(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**fields)
