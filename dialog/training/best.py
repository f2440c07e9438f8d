"""The best weights of a run by validation: where the last step happens to end may be past them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dialog.training.averaging import Average


class Best(nn.Module):
    """The weights that scored best so far and their score, in buffers, so that a checkpoint has them."""

    score: Tensor

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.register_buffer("score", torch.tensor(-torch.inf))
        self._kept = Average(weights, decay=0.0)  # a mean of the last alone

    def consider(self, score: float, weights: Mapping[str, Tensor]) -> None:
        """Keeps the weights if they score better than any before them."""
        if score > float(self.score):
            self.score.fill_(score)
            self._kept.update(weights, step=0)

    def copy_to(self, weights: Mapping[str, Tensor]) -> None:
        """Gives the weights the best values; leaves them as they are where nothing was ever scored."""
        if bool(self.score.isfinite()):
            self._kept.copy_to(weights)
