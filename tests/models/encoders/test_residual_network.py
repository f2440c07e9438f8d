from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from models import checkpoint
from models.encoders.image import load_image_encoder
from models.encoders.residual_network import ResidualNetwork, ResidualNetworkConfig
from models.encoders.text import EncoderUnavailable

SMALL = ResidualNetworkConfig(widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), picture_size=64, grid=3, d_text=12)


@pytest.fixture
def network() -> ResidualNetwork:
    torch.manual_seed(0)
    return ResidualNetwork(SMALL).eval()


def pictures(*sizes: tuple[int, int]) -> list[Image.Image]:
    return [Image.effect_noise(size, 80).convert("RGB") for size in sizes]


def test_regions_have_the_shapes_the_interface_says(network: ResidualNetwork) -> None:
    regions = network.encode(pictures((50, 70), (300, 20)))
    assert regions.vectors.shape == (2, network.n_regions, network.d_model)
    assert regions.mask.all()
    assert regions.mask.shape == (2, 9)
    assert regions.pooled is not None
    torch.testing.assert_close(regions.pooled.norm(dim=-1), torch.ones(2))


def test_the_boxes_tile_the_picture_row_by_row(network: ResidualNetwork) -> None:
    boxes = network.encode(pictures((64, 64))).boxes[0]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert area.sum() == pytest.approx(1)
    torch.testing.assert_close(boxes[1], torch.tensor([1 / 3, 0, 2 / 3, 1 / 3]))


def test_one_picture_is_encoded_alike_alone_and_in_a_batch(network: ResidualNetwork) -> None:
    some = pictures((64, 64), (80, 40), (32, 99))
    together = network.encode(some)
    alone = network.encode(some[1:2])
    torch.testing.assert_close(together.vectors[1:2], alone.vectors, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.pooled[1:2], alone.pooled, rtol=1e-4, atol=1e-5)


def test_a_region_is_where_its_box_says(network: ResidualNetwork) -> None:
    grey, spot = Image.new("RGB", (64, 64), "grey"), Image.new("RGB", (64, 64), "grey")
    spot.paste((255, 0, 0), (48, 48, 64, 64))
    low: Tensor = network.encode([grey]).vectors - network.encode([spot]).vectors
    changed = low[0, :, -SMALL.widths[0] :].abs().sum(-1)  # the first stage sees little around a cell
    assert changed.argmax() == 8
    assert changed[0] == 0


def test_a_network_is_the_same_after_a_trip_to_disk(network: ResidualNetwork, tmp_path: Path) -> None:
    network.region_mean.normal_()
    checkpoint.save(tmp_path, network, SMALL)
    again = load_image_encoder(tmp_path)
    assert (again.d_model, again.n_regions, again.d_text) == (network.d_model, 9, 12)
    some = pictures((64, 64))
    torch.testing.assert_close(again.encode(some).vectors, network.encode(some).vectors)


def test_a_folder_without_a_network_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailable, match="built-in"):
        load_image_encoder(tmp_path / "nothing")


@pytest.mark.parametrize("fault", [{"widths": (8, 8)}, {"picture_size": 100}])
def test_a_shape_that_cannot_be_built_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"four stages|multiple of 32"):
        ResidualNetworkConfig(**fault)  # type: ignore[arg-type]


def test_gradients_reach_every_parameter(network: ResidualNetwork) -> None:
    network.train()
    pixels = torch.randn(4, 3, 64, 64)
    regions = network(pixels)
    (regions.vectors.square().mean() + regions.pooled.sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
