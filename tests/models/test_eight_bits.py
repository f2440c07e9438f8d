"""Weights at eight bits: how far they move, what is left alone, and that a folder of them is read like any other."""

from pathlib import Path

import pytest
import torch

from models import checkpoint
from models.eight_bits import LARGE, SCALES, lowered, raised
from models.feedforward import MLP, FeedForwardConfig


def large(*shape: int) -> torch.Tensor:
    spread = torch.logspace(-6, 3, shape[0]).view(-1, *[1] * (len(shape) - 1))  # channels of very different sizes
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * spread


@pytest.mark.parametrize("shape", [(64, 1600), (40, 300, 3, 3)])
def test_no_weight_moves_by_more_than_half_a_step_of_its_own_channel(shape: tuple[int, ...]) -> None:
    weight = large(*shape)
    kept = lowered({"w": weight})
    assert kept["w"].dtype == torch.int8
    assert kept["w" + SCALES].shape == shape[:1]
    moved = (raised(kept)["w"] - weight).flatten(1).abs().amax(1)
    step = weight.flatten(1).abs().amax(1) / 127
    assert bool((moved <= 0.5 * step * (1 + 1e-5)).all())


def test_small_tensors_vectors_and_whole_numbers_are_left_alone() -> None:
    own = {"small": torch.randn(3, 4), "bias": torch.randn(2 * LARGE), "count": torch.tensor(7)}
    again = raised(lowered(own))
    assert set(again) == set(own)
    assert again["count"].item() == 7
    for name in ("small", "bias"):
        assert torch.equal(again[name], own[name].half())


def test_a_channel_of_zeros_stays_one() -> None:
    weight = torch.cat([torch.zeros(1, LARGE), torch.ones(1, LARGE)])
    assert torch.equal(raised(lowered({"w": weight}))["w"], weight)


def test_numbers_that_are_not_finite_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"layer\.weight has numbers that are not finite"):
        lowered({"layer.weight": torch.full((2, LARGE), float("nan"))})


def test_somebody_elses_scales_are_no_scales_of_ours() -> None:
    theirs = {"w": torch.ones(2, 2), "w" + SCALES: torch.ones(2), "q": torch.ones(2, 2, dtype=torch.int8)}
    assert {k: v.dtype for k, v in raised(theirs).items()} == {k: v.dtype for k, v in theirs.items()}


def test_a_folder_at_eight_bits_is_half_as_large_and_loads_like_any_other(tmp_path: Path) -> None:
    config = FeedForwardConfig(d_model=400, kind="mlp", d_hidden=600)
    model = MLP(config).eval()
    half = checkpoint.save(tmp_path / "half", model, config, dtype=torch.float16)
    eight = checkpoint.save(tmp_path / "eight", model, config, dtype=torch.int8)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (half, eight)]
    assert sizes[1] < 0.53 * sizes[0]
    again = checkpoint.load(eight, MLP, FeedForwardConfig)
    x = torch.randn(5, 400)
    torch.testing.assert_close(again(x), model(x), atol=0.02, rtol=0)
