"""How unlike the pictures of training a picture is: beyond some distance a model should not trust itself."""

from typing import NamedTuple, Self

import torch
from torch import Tensor


class Familiarity(NamedTuple):
    """The squared Mahalanobis distance to the nearest of S kinds of training pictures (Lee et al. 2018), the kinds
    sharing one covariance; as a share of the largest that counts as familiar."""

    means: Tensor  # (S, F)
    whiten: Tensor  # (F, F'): maps a difference to one whose squared length is the distance
    limit: Tensor  # (): the distance at which strangeness is 1

    @classmethod
    def fit(cls, kinds: list[Tensor], held_out: Tensor, *, share: float = 0.98, shrink: float = 0.1) -> Self:
        """From features (N_s, F) of each kind; `share` of the held-out pictures (N, F) count as familiar."""
        means = torch.stack([k.double().mean(0) for k in kinds])
        centred = torch.cat([k.double() - m for k, m in zip(kinds, means, strict=True)])
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
        # Shrunk towards a multiple of the identity: the smallest eigenvalues of a sample are too small.
        values = (1 - shrink) * values.clamp(min=0) + shrink * values.clamp(min=0).mean()
        one = cls(means.float(), (vectors / values.sqrt()).float(), torch.ones(()))
        limit = torch.quantile(one.strangeness(held_out), share)
        return one._replace(limit=limit)

    def strangeness(self, features: Tensor) -> Tensor:
        """(N, F) to (N,): at most 1 is familiar."""
        difference = (features[:, None] - self.means) @ self.whiten  # (N, S, F')
        return difference.square().sum(-1).amin(1) / self.limit


def picture_features(vectors: Tensor) -> Tensor:
    """What a picture is compared by, (2 D,): the mean and the spread of its regions (R, D)."""
    return torch.cat([vectors.mean(0), vectors.std(0, correction=0)])
