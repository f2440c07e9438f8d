"""Darknet's file of YOLOv3-tiny weights to a folder of ours: numbers alone, read by their places."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models import checkpoint
from models.detector.model import DetectorConfig, YoloTiny

SHA256 = "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c"
"""Of the published `yolov3-tiny.weights`."""
HEADER = 20
"""Bytes before the numbers: version and how many pictures were seen."""
BATCH_NORM_EPS = 1e-5


def convert(data: bytes, labels: tuple[str, ...], folder: Path | str, *, sha256: str | None = SHA256) -> Path:
    """The folder, written from the content of a Darknet file, at eight bits. ValueError where it does not fit."""
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise ValueError(f"the weights have the SHA-256 {found}, expected {sha256}")
    network = YoloTiny(DetectorConfig(labels=labels, source=f"yolov3-tiny.weights, SHA-256 {found}"))
    read_into(network, np.frombuffer(data, dtype="<f4", offset=HEADER))
    return checkpoint.save(folder, network, network.config, dtype=torch.int8)


def read_into(network: YoloTiny, numbers: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> None:
    """Fills the network from Darknet's numbers, in its order: of each convolution its batch normalisation's shift,
    scale, mean and variance (of one without, its bias), then its weights."""
    order, plain = network.convolutions(), (network.coarse_out, network.fine_out)
    expected = sum(c.weight.numel() + c.out_channels * (1 if c in plain else 4) for c in order)
    if len(numbers) != expected:
        raise ValueError(f"expected {expected:,} numbers, got {len(numbers):,}")
    place = 0

    def take(n: int) -> Tensor:
        nonlocal place
        place += n
        return torch.from_numpy(numbers[place - n : place].copy())

    with torch.no_grad():
        for convolution in order:
            n = convolution.out_channels
            shift, scale = take(n), torch.ones(n)
            if convolution not in plain:
                gain, mean, variance = take(n), take(n), take(n)
                scale = gain / (variance + BATCH_NORM_EPS).sqrt()
                shift = shift - mean * scale
            weight = take(convolution.weight.numel()).view_as(convolution.weight)
            convolution.weight.copy_(weight * scale[:, None, None, None])
            assert convolution.bias is not None  # all of ours have one
            convolution.bias.copy_(shift)
