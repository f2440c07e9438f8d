"""The detector: where its boxes lie, what of them is kept, and how Darknet's numbers become ours."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from models.detector.darknet import BATCH_NORM_EPS, convert, read_into
from models.detector.model import COARSE, Boxes, DetectorConfig, YoloTiny, decoded

TWO = DetectorConfig(labels=("cat", "dog"), area=64 * 64)


def test_a_guess_lies_in_its_cell_and_is_as_large_as_its_anchor() -> None:
    out = torch.full((1, 3 * 7, 2, 4), -9.0)
    out[0, 0:4, 1, 2] = torch.tensor([0.0, 0.0, 0.0, 0.0])  # the first anchor of the cell in row 1, column 2
    out[0, 4:7, 1, 2] = torch.tensor([9.0, -9.0, 9.0])
    corners, p = decoded(out, COARSE, 810, 820)
    place = int(p[0].amax(-1).argmax())
    assert place == 1 * 4 + 2
    torch.testing.assert_close(p[0, place], torch.tensor([0.0, 1.0]), atol=1e-3, rtol=0)
    middle, sides = torch.tensor([2.5 / 4, 1.5 / 2]), torch.tensor([81 / 810, 82 / 820])
    torch.testing.assert_close(corners[0, place], torch.cat([middle - sides / 2, middle + sides / 2]))


def test_of_boxes_of_a_kind_that_overlap_one_is_kept_and_others_stay() -> None:
    corners = torch.tensor([[0.1, 0.1, 0.5, 0.5], [0.12, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9], [0.1, 0.1, 0.5, 0.5]])
    p = torch.tensor([[0.9, 0.0], [0.8, 0.0], [0.5, 0.0], [0.0, 0.7]])
    found = YoloTiny(TWO).things(Boxes(corners, p), 0.3)
    assert [(f.label, round(f.p, 2)) for f in found] == [("cat", 0.9), ("dog", 0.7), ("cat", 0.5)]
    assert YoloTiny(TWO).things(Boxes(corners, p), 0.95) == []


@pytest.mark.parametrize("size", [(500, 375), (100, 2000), (7, 7)])
def test_a_picture_keeps_its_shape_as_far_as_multiples_of_32_allow(size: tuple[int, int]) -> None:
    pixels = YoloTiny(DetectorConfig(labels=("cat",))).prepare(Image.new("RGB", size, "red"))
    height, width = pixels.shape[1:]
    assert height % 32 == width % 32 == 0
    assert height * width < 2.5 * 320 * 320
    assert (width > height) == (size[0] > size[1])
    assert pixels[0].min() > 0.99


def numbers(network: YoloTiny, generator: np.random.Generator) -> np.ndarray:
    last = (network.coarse_out, network.fine_out)
    parts = []
    for c in network.convolutions():
        n = c.out_channels
        parts += [generator.normal(size=n)] if c in last else [generator.normal(size=n) for _ in range(3)]
        parts += [] if c in last else [generator.uniform(0.5, 2, n)]
        parts.append(generator.normal(size=c.weight.numel()))
    return np.concatenate(parts).astype(np.float32)


def test_darknets_batch_normalisations_are_folded_in() -> None:
    network, told = YoloTiny(TWO), numbers(YoloTiny(TWO), np.random.default_rng(0))
    read_into(network, told)
    shift, gain, mean, variance = (torch.from_numpy(told[16 * i : 16 * (i + 1)]) for i in range(4))
    weight = torch.from_numpy(told[64 : 64 + 16 * 27]).view(16, 3, 3, 3)
    x = torch.randn(1, 3, 8, 8)
    expected = F.batch_norm(F.conv2d(x, weight, padding=1), mean, variance, gain, shift, eps=BATCH_NORM_EPS)
    torch.testing.assert_close(network.body[0](x), expected, rtol=1e-3, atol=1e-4)


def test_a_converted_file_is_a_folder_of_ours(tmp_path: Path) -> None:
    data = bytes(20) + numbers(YoloTiny(TWO), np.random.default_rng(0)).tobytes()
    with pytest.raises(ValueError, match="SHA-256"):
        convert(data, TWO.labels, tmp_path)
    convert(data, TWO.labels, tmp_path, sha256=None)
    assert YoloTiny.load(tmp_path).config.labels == ("cat", "dog")
    with pytest.raises(ValueError, match=r"expected .* numbers, got"):
        convert(data[:-4], TWO.labels, tmp_path, sha256=None)


def test_the_shipped_detector_knows_cocos_classes() -> None:
    network = YoloTiny.load()
    assert len(network.config.labels) == 80
    guesses = network.guesses(Image.new("RGB", (320, 320), "grey"))
    assert guesses.corners.shape == (3 * (100 + 400), 4)
    assert network.things(guesses) == []
