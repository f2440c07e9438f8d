"""Weights at eight bits: a byte a number and a scale a channel, half of what half precision takes.

A large tensor of two dimensions or more becomes round(w / s), s = max |w| / 127 over all that leads to one output
channel (its first dimension), so that no weight moves by more than half of its channel's s. Small ones stay in half
precision: they take next to nothing, and stand where an error goes furthest (in the first layers of a detector, say).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

LARGE = 100_000
"""Numbers a tensor has at least that is kept at eight bits."""
SCALES = ".scales"
"""What the name of a tensor's scales ends with, after the tensor's own."""


def lowered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The large tensors as int8 with their scales (C,) beside them in float32, other numbers in float16.

    ValueError for numbers that are not finite.
    """
    found = dict[str, Tensor]()
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            found[name] = tensor
        elif tensor.dim() < 2 or tensor.numel() < LARGE:
            found[name] = tensor.half()
        else:
            rows = tensor.detach().float().flatten(1)
            if not bool(rows.isfinite().all()):
                raise ValueError(f"{name} has numbers that are not finite: they have no scale")
            # A row of zeros has any scale.
            scales = rows.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny * 127) / 127
            found[name] = (rows / scales[:, None]).round().to(torch.int8).view(tensor.shape)
            found[name + SCALES] = scales
    return found


def raised(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `lowered` made, as float32; other tensors as they are."""
    found = dict[str, Tensor]()
    for name, tensor in tensors.items():
        scales = tensors.get(name + SCALES)
        if tensor.dtype == torch.int8 and scales is not None:
            found[name] = tensor.float() * scales.view(-1, *[1] * (tensor.dim() - 1))
        elif not (name.endswith(SCALES) and _is_eight(tensors.get(name.removesuffix(SCALES)))):
            found[name] = tensor
    return found


def _is_eight(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.dtype == torch.int8
