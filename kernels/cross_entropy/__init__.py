"""The loss of a classifier with many classes, without all of its scores in memory at once."""

from torch import Tensor

from kernels.backend import Backend, choose
from kernels.cross_entropy import chunked, reference

__all__ = ["linear_cross_entropy"]


def linear_cross_entropy(x: Tensor, weight: Tensor, labels: Tensor, *, backend: Backend | None = None) -> Tensor:
    """The mean of -log softmax(W x)[label], a scalar in float32 or wider; NaN where there are no rows.

    x (N, D); weight (V, D); labels (N,) long, 0 to V - 1. Differentiable in x and weight, once. Under autocast it
    multiplies in autocast's dtype. Raises ValueError where shapes disagree.
    """
    if x.dim() != 2 or weight.shape[1:] != x.shape[1:] or labels.shape != x.shape[:1]:
        raise ValueError(
            f"x {tuple(x.shape)}, weight {tuple(weight.shape)} and labels {tuple(labels.shape)} are not "
            "(N, D), (V, D) and (N,)"
        )
    run = reference if choose(x, backend) == "reference" else chunked
    loss: Tensor = run.linear_cross_entropy(x, weight, labels)
    return loss
