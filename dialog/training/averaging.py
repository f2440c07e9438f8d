"""The running mean of weights while they learn: steadier than where the last step happened to end."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average(nn.Module):
    """The exponential mean of named tensors (Polyak and Juditsky 1992), held in buffers so that a checkpoint has it."""

    def __init__(self, tensors: Mapping[str, Tensor], decay: float) -> None:
        super().__init__()
        self.decay = decay
        for name, tensor in _floating(tensors).items():
            self.register_buffer(_key(name), tensor.detach().clone())

    @torch.no_grad()
    def update(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Moves the mean towards the tensors; at first quickly, so that the start is forgotten."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, tensor in _floating(tensors).items():
            self.get_buffer(_key(name)).lerp_(tensor, weight)

    @torch.no_grad()
    def copy_to(self, tensors: Mapping[str, Tensor]) -> None:
        """Gives the tensors the mean."""
        for name, tensor in _floating(tensors).items():
            tensor.copy_(self.get_buffer(_key(name)))


def _key(name: str) -> str:
    return name.replace(".", "__")  # A buffer's name may hold no dot.


def _floating(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
