"""Normalised attention against linear attention, and its divisor."""

import pytest
import torch
from torch import Tensor

from models.mixers import build_mixer
from models.mixers.normalised import Normalised
from tests.models.mixers.projections import randomised


def normalised(**fields: object) -> Normalised:
    mixer = randomised(build_mixer("normalised", **({"d_model": 8, "n_heads": 2, "d_key": 3} | fields)))
    assert isinstance(mixer, Normalised)
    return mixer


def by_hand(mixer: Normalised, x: Tensor, divisor: Tensor | float) -> Tensor:
    q, k, v = (z(x).unflatten(-1, (2, -1)).transpose(1, 2) for z in (mixer.query, mixer.key, mixer.value))
    o = (q @ k.mT).tril() @ v / divisor
    return mixer.out(o.transpose(1, 2).flatten(2))


@pytest.mark.parametrize(
    ("kind", "divisor"),
    [
        ("exp", lambda z: z.clamp(-10, 10).exp()),
        ("softplus", lambda z: torch.nn.functional.softplus(z) + 1e-3),
        ("sigmoid", lambda z: z.sigmoid() + 1e-3),
    ],
)
def test_it_is_linear_attention_over_what_the_asking_token_says(kind: str, divisor: object) -> None:
    mixer, x = normalised(normaliser=kind), torch.randn(2, 9, 8, dtype=torch.float64)
    eta = divisor(mixer.normaliser(x)).transpose(1, 2)[..., None]  # type: ignore[operator]
    torch.testing.assert_close(mixer(x)[0], by_hand(mixer, x, eta))


def test_a_divisor_of_one_leaves_linear_attention() -> None:
    mixer, x = normalised(), torch.randn(2, 9, 8, dtype=torch.float64)
    mixer.normaliser.weight.data.zero_()
    mixer.normaliser.bias.data.zero_()
    torch.testing.assert_close(mixer(x)[0], by_hand(mixer, x, 1.0))


def test_a_divisor_neither_vanishes_nor_runs_away() -> None:
    x = 1e6 * torch.randn(2, 9, 8, dtype=torch.float64)
    for kind in ("exp", "softplus", "sigmoid"):
        eta = normalised(normaliser=kind).divisor(x)
        assert (eta > 4e-5).all()
        assert eta.isfinite().all()


def test_a_normaliser_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="normaliser 'sum'"):
        normalised(normaliser="sum")
