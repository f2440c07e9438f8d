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
