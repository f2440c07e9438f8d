"""Where a model runs: a card where there is one, unless it is said otherwise."""

import torch
from torch import nn

Where = torch.device | str | None
"""A device, its name (`cpu`, `cuda`, `cuda:1`), or `auto` or None: the first card, else the CPU."""


class NoSuchDevice(ValueError):
    """A device that is none, or that this machine lacks."""


def choose_device(where: Where = None) -> torch.device:
    """The device asked for; by default the first card PyTorch can use, else the CPU. Raises NoSuchDevice."""
    n_cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if where is None or where == "auto":
        return torch.device("cuda", 0) if n_cards else torch.device("cpu")
    try:
        device = torch.device(where)
    except RuntimeError:
        raise NoSuchDevice(f"device {where!r}: expected auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda":
        if not n_cards:
            raise NoSuchDevice(
                f"device {str(device)!r}: this machine has no card that PyTorch can use; take cpu or auto"
            )
        if device.index is not None and device.index >= n_cards:
            raise NoSuchDevice(f"device {str(device)!r}: the cards here are cuda:0 to cuda:{n_cards - 1}")
        return torch.device("cuda", device.index or 0)
    if device.type != "cpu":
        raise NoSuchDevice(f"device {where!r}: expected auto, cpu, cuda or cuda:N")
    return device


def device_of(module: nn.Module) -> torch.device:
    """Where a module's weights are."""
    return next(module.parameters()).device


def mixed_precision(device: torch.device, *, enabled: bool = True) -> torch.autocast:
    """Inside it a forward pass multiplies in bfloat16, on a CPU and on a card: what training and its banks use."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
