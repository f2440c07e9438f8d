"""Feed-forward layers do what their equations say, token by token."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.feedforward import FEEDFORWARDS, Activator, FeedForwardConfig, Kind, build_feedforward


@pytest.mark.parametrize("kind", FEEDFORWARDS)
def test_a_token_is_changed_by_itself_alone(kind: Kind) -> None:
    layer = build_feedforward(FeedForwardConfig(d_model=6, kind=kind)).double()
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    order = torch.randperm(5)
    torch.testing.assert_close(layer(x)[:, order], layer(x[:, order]))
    torch.testing.assert_close(layer(x)[:, 3], layer(x[:, 3]))


@pytest.mark.parametrize("kind", FEEDFORWARDS)
def test_gradients_reach_every_parameter(kind: Kind) -> None:
    layer = build_feedforward(FeedForwardConfig(d_model=6, kind=kind))
    layer(torch.randn(3, 6)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())


def test_gated_kinds_are_as_large_as_an_mlp() -> None:
    n = {
        kind: sum(p.numel() for p in build_feedforward(FeedForwardConfig(d_model=48, kind=kind)).parameters())
        for kind in ("mlp", "swiglu")
    }
    assert n["swiglu"] == 3 * 48 * 128
    assert abs(n["swiglu"] - n["mlp"]) < 0.02 * n["mlp"]


def test_the_activator_has_the_papers_parameters_and_one_norm_for_both_branches() -> None:
    layer = Activator(FeedForwardConfig(d_model=256, kind="activator", d_hidden=512))
    block_norm = nn.LayerNorm(256)
    assert sum(p.numel() for m in (layer, block_norm) for p in m.parameters()) == 396_032
    x = torch.randn(3, 256)
    w1, w2 = layer.expand.weight.chunk(2)
    b1, b2 = layer.expand.bias.chunk(2)
    expected = layer.contract(layer.norm(F.gelu(x @ w1.T + b1)) * layer.norm(x @ w2.T + b2))
    torch.testing.assert_close(layer(x), expected)


def test_an_activator_whose_second_branch_is_constant_is_an_mlp_without_gate() -> None:
    layer = Activator(FeedForwardConfig(d_model=4, kind="activator", d_hidden=8))
    with torch.no_grad():
        layer.expand.weight[8:] = 0
        layer.expand.bias[8:] = 2.5  # the layer norm of equal values is its bias
        layer.norm.bias.fill_(0.5)
    x = torch.randn(3, 4)
    u = layer.norm(F.gelu(layer.expand(x)[:, :8]))
    torch.testing.assert_close(layer(x), layer.contract(0.5 * u))


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="dropout"):
        FeedForwardConfig(d_model=4, dropout=1.0)
    with pytest.raises(ValueError, match="widths"):
        FeedForwardConfig(d_model=4, d_hidden=0)
    with pytest.raises(ValueError, match="no feed-forward is called 'maxout'"):
        build_feedforward(FeedForwardConfig(d_model=4, kind="maxout"))  # type: ignore[arg-type]
