"""The Activator as a mixer against its sheet; what every mixer promises is in test_contract.py."""

import pytest
import torch

from models import feedforward
from models.feedforward import FeedForwardConfig
from models.mixers.activator import Activator, ActivatorConfig


def test_it_mixes_nothing_and_is_the_feed_forward() -> None:
    mixer = Activator(ActivatorConfig(d_model=6)).double()
    x = torch.randn(2, 7, 6, dtype=torch.float64)
    order = torch.randperm(7)
    torch.testing.assert_close(mixer(x[:, order])[0], mixer(x)[0][:, order])
    layer = feedforward.Activator(FeedForwardConfig(d_model=6, kind="activator")).double()
    layer.load_state_dict(mixer.state_dict())
    torch.testing.assert_close(mixer(x)[0], layer(x))
    assert mixer.state_floats(1000) == 0


@pytest.mark.parametrize("activation", ["gelu", "silu", "relu"])
def test_a_branch_that_says_the_same_of_every_channel_leaves_a_plain_network(activation: str) -> None:
    """W2 = 0 and b2 constant: the norm of a constant vector is its bias, whatever the constant (eps, not 0 / 0)."""
    mixer = Activator(ActivatorConfig(d_model=6, activation=activation)).double()  # type: ignore[arg-type]
    x = torch.randn(2, 7, 6, dtype=torch.float64)
    torch.nn.init.normal_(mixer.norm.bias)
    u = mixer.norm(getattr(torch.nn.functional, activation)(mixer.expand(x).chunk(2, -1)[0]))
    for constant in (0.0, 3.0):
        with torch.no_grad():
            mixer.expand.weight[12:] = 0.0
            mixer.expand.bias[12:] = constant
        y = mixer(x)[0]
        assert y.isfinite().all()
        torch.testing.assert_close(y, mixer.contract(u * mixer.norm.bias))
    y.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mixer.parameters())


def test_a_reduced_block_has_as_many_parameters_as_the_authors() -> None:
    """D = 256, h = 512: 396,032 with the block's own norm of 2 D."""
    mixer = Activator(ActivatorConfig(d_model=256))
    assert sum(p.numel() for p in mixer.parameters()) + 2 * 256 == 396_032


def test_the_causal_extension_starts_pointwise_and_sees_its_width() -> None:
    mixer = Activator(ActivatorConfig(d_model=6, mode="causal_token_glu", width=3)).double()
    x = torch.randn(1, 9, 6, dtype=torch.float64)
    u = torch.nn.functional.gelu(mixer.expand(x).chunk(2, -1)[0])
    torch.testing.assert_close(mixer(x)[0], mixer.contract(u))
    torch.nn.init.normal_(mixer.conv.weight)
    other = x.clone()
    other[:, 4] += 1.0
    changed = [not torch.equal(mixer(x)[0][:, t], mixer(other)[0][:, t]) for t in range(9)]
    assert [t for t in range(9) if changed[t]] == [4, 5, 6]
    assert mixer.state_floats(1000) == 2 * 12


def test_a_mode_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="mode is 'spatial'"):
        ActivatorConfig(d_model=6, mode="spatial")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="activation is 'tanh', expected one of gelu, silu, relu"):
        ActivatorConfig(d_model=6, activation="tanh")  # type: ignore[arg-type]
