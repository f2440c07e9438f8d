"""Softmax as a sum of recurrences, against its sheet's invariants that concern the mixer."""

from typing import Any

import pytest
import torch

from kernels.taylor import polynomial
from models.mixers.softmax_rnn import SoftmaxRNN, SoftmaxRNNConfig


def build(d_model: int = 8, n_heads: int = 2, d_key: int = 4, **fields: Any) -> SoftmaxRNN:
    return SoftmaxRNN(SoftmaxRNNConfig(d_model=d_model, n_heads=n_heads, d_key=d_key, **fields)).double()


@pytest.mark.parametrize("normaliser", ["row_sum", "l2", "count", "none"])
@pytest.mark.parametrize("gate", ["in", "out", "none"])
@pytest.mark.parametrize("cosine", [None, 2.0])
def test_it_is_the_formula(normaliser: str, gate: str, cosine: float | None) -> None:
    mixer = build(normaliser=normaliser, gate=gate, cosine=cosine, rotary=False)
    x = torch.randn(2, 9, 8, dtype=torch.float64)
    q, k, v = (z.unflatten(-1, (2, -1)).transpose(1, 2) for z in mixer.project(x).split(mixer.widths, -1))
    z = q @ k.transpose(-1, -2) / 2
    if cosine is not None:
        z = cosine * torch.nn.functional.cosine_similarity(q[:, :, :, None], k[:, :, None], dim=-1)
    opened = mixer.gate(x).sigmoid().transpose(1, 2)[..., None] if gate != "none" else torch.ones_like(v[..., :1])
    weights = polynomial(z, 2).tril()
    n = weights @ (v * opened if gate == "in" else v)
    o = {
        "row_sum": n / weights.sum(-1, keepdim=True),
        "l2": n / n.norm(dim=-1, keepdim=True),
        "count": n / torch.arange(1, 10)[:, None],
        "none": n,
    }[normaliser]
    o = o * opened if gate == "out" else o
    torch.testing.assert_close(mixer(x)[0], mixer.out(o.transpose(1, 2).flatten(2)))


def test_l2_answers_have_length_1_and_ignore_the_size_of_the_values() -> None:
    """Invariant 5."""
    mixer = build(normaliser="l2")
    torch.nn.init.eye_(mixer.out.weight)
    x = torch.randn(2, 9, 8, dtype=torch.float64)
    y, _ = mixer(x)
    torch.testing.assert_close(y.unflatten(-1, (2, 4)).norm(dim=-1), torch.ones(2, 9, 2, dtype=torch.float64))
    with torch.no_grad():
        mixer.project.weight[16:] *= 7.0
    torch.testing.assert_close(mixer(x)[0], y)


def test_the_state_has_the_sheets_size() -> None:
    for normaliser, extra in (("row_sum", 1), ("l2", 0)):
        mixer = build(d_model=128, n_heads=2, d_key=16, normaliser=normaliser)
        assert mixer.state_floats(10**6) == 2 * 153 * (64 + extra) + 1


def test_packed_rows_start_afresh_from_a_fresh_state() -> None:
    mixer = build()
    x = torch.randn(1, 4, 8, dtype=torch.float64)
    _, used = mixer(x)
    assert not torch.allclose(mixer(x, state=used)[0], mixer(x)[0])
    torch.testing.assert_close(mixer(x, state=mixer.initial_state(1))[0], mixer(x)[0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"order": 5}, "order is 5"),
        ({"order": 3}, "row_sum needs an even order"),
        ({"constant_term": False}, "row_sum needs an even order"),
        ({"normaliser": "max"}, "normaliser is 'max'"),
        ({"gate": "side"}, "gate is 'side'"),
        ({"cosine": 0.0}, "cosine is 0.0"),
        ({"d_key": 3}, "d_key is 3"),
        ({"n_heads": 3}, "n_heads 3"),
    ],
)
def test_a_config_checks_itself(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**fields)
