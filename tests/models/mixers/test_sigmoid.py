"""Sigmoid attention against its sheet's invariants."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from kernels.attention import Pattern, Structure, attention
from models.mixers.sigmoid import SigmoidAttention, SigmoidAttentionConfig


def build(d_model: int = 16, **fields: Any) -> SigmoidAttention:
    return SigmoidAttention(SigmoidAttentionConfig(d_model=d_model, **fields)).double().eval()


def heads(n_tokens: int, n_heads: int = 2, width: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = torch.randn(3, 2, n_heads, n_tokens, width, dtype=torch.float64)
    return q, k, v


def weighed(q: Tensor, k: Tensor, v: Tensor, bias: float) -> Tensor:
    offset = torch.full((1, 1, 1), bias, dtype=q.dtype)
    return attention(q, k, v, Pattern(kind="sigmoid"), Structure(offset=offset))


def dense(q: Tensor, k: Tensor, bias: float) -> Tensor:
    """The weights, (B, H, T, T)."""
    z = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + bias
    return torch.sigmoid(z) * torch.ones(z.shape[-2:], dtype=z.dtype).tril()


def test_it_is_the_formula() -> None:
    q, k, v = heads(9)
    torch.testing.assert_close(weighed(q, k, v, -2.0), dense(q, k, -2.0) @ v)


def test_rows_divided_by_their_sum_approach_softmax_as_the_bias_falls() -> None:
    """Invariant 3."""
    q, k, v = heads(9)
    errors = []
    for bias in (-2.0, -7.6, -20.0):
        w = dense(q, k, bias)
        errors.append(((w / w.sum(-1, keepdim=True)) @ v - attention(q, k, v)).abs().max())
    assert errors[0] > 1e-2 > errors[1] > 1e-5
    assert errors[2] < 1e-7


def test_a_great_bias_gives_the_prefix_sum() -> None:
    """Invariant 4."""
    q, k, v = heads(9)
    torch.testing.assert_close(weighed(q, k, v, 40.0), v.cumsum(2))


def test_the_key_range_may_be_split_and_added() -> None:
    """Invariant 5: one more key adds its own term and changes nothing else."""
    q, k, v = heads(9)
    q = q[:, :, -1:]
    parts = [weighed(q, k[:, :, a:b], v[:, :, a:b], -2.0) for a, b in ((0, 4), (4, 9))]
    torch.testing.assert_close(sum(parts), weighed(q, k, v, -2.0))


def test_queries_of_zero_weigh_all_keys_alike() -> None:
    """Invariant 7."""
    _, k, v = heads(9)
    torch.testing.assert_close(weighed(torch.zeros_like(k), k, v, -1.5), torch.tensor(-1.5).sigmoid() * v.cumsum(2))


@pytest.mark.parametrize("n_tokens", [1, 6])
def test_gradients_are_those_of_the_dense_form(n_tokens: int) -> None:
    """Invariant 6, rows with a single key included."""
    leaves = [z.requires_grad_() for z in heads(n_tokens)]
    q, k, v = leaves
    weight = torch.randn_like(v)
    ours = torch.autograd.grad((weighed(q, k, v, -2.0) * weight).sum(), leaves)
    theirs = torch.autograd.grad(((dense(q, k, -2.0) @ v) * weight).sum(), leaves)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def row_mass(bias: float, n: int) -> float:
    """The mean sum of a full row's weights for scores of unit variance."""
    return float(torch.sigmoid(torch.randn(64, n) + bias).sum(-1).mean())


def test_a_bias_of_minus_log_n_keeps_the_row_mass_at_order_one() -> None:
    for n in (64, 512, 4096):
        assert 1.4 < row_mass(-math.log(n), n) < 1.8
        assert row_mass(0.0, n) == pytest.approx(n / 2, rel=0.05)


def test_the_output_grows_with_length_unless_the_bias_counts_the_keys() -> None:
    """Slope of the log norm of the sum of positive values over log T: about 1 without a bias, about 0 with it."""
    sizes = [64, 1024]
    for rule, low, high in (("static", 0.9, 1.1), ("visible", -0.1, 0.1)):
        mixer = build(score_bias=rule, n_keys=1, positions="none")
        norms = []
        for n in sizes:
            x = torch.randn(1, n, 16, dtype=torch.float64) + 1.0
            norms.append(mixer(x)[0][0, -8:].norm(dim=-1).mean().item())
        assert low < math.log(norms[1] / norms[0]) / math.log(sizes[1] / sizes[0]) < high


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"window": 2}, [1, 2, 3, 3, 3, 3]),
        ({"causal": False}, [6] * 6),
        ({"causal": False, "window": 2}, [3, 4, 5, 5, 4, 3]),
    ],
)
def test_the_visible_bias_counts_the_keys_that_are_seen(fields: dict[str, Any], counts: list[int]) -> None:
    mixer = build(positions="none", **fields)
    offset = mixer.offset(torch.arange(6)[None], None)
    torch.testing.assert_close((-offset).exp()[0, 0], torch.tensor(counts, dtype=torch.float64))


def test_padding_is_not_counted() -> None:
    mixer = build(positions="none", causal=False)
    offset = mixer.offset(torch.arange(6).expand(2, 6), torch.tensor([6, 4]))
    torch.testing.assert_close((-offset).exp()[:, 0, 0], torch.tensor([6.0, 4.0], dtype=torch.float64))


def test_a_static_bias_does_not_change_with_the_length() -> None:
    mixer = build(score_bias="static", n_keys=50)
    x = torch.randn(1, 12, 16, dtype=torch.float64)
    torch.testing.assert_close(mixer(x)[0][:, :5], mixer(x[:, :5])[0])
    assert mixer.offset(torch.arange(12)[None], None).item() == pytest.approx(-math.log(50))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"score_bias": "none"}, "score_bias is 'none'"),
        ({"out_norm": "batch"}, "out_norm is 'batch'"),
        ({"n_keys": 0}, "n_keys is 0"),
        ({"only": "same"}, "does not look at ids"),
    ],
)
def test_a_config_checks_itself(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**fields)
