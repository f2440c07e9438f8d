"""How unlike the pictures of training a picture is: beyond some distance a model should not trust itself."""

from typing import TYPE_CHECKING, NamedTuple, Self

import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image

DIRECTIONS = 96


class Familiarity(NamedTuple):
    """The squared Mahalanobis distance to the nearest of S kinds of training pictures (Lee et al. 2018), as a share of
    the largest that counts as familiar.

    The kinds share one covariance, of which the K widest directions are kept and the others have one variance, as in
    probabilistic principal components (Tipping and Bishop 1999): that needs F K numbers in place of F squared.
    """

    means: Tensor  # (S, F)
    directions: Tensor  # (F, K), of length 1
    variances: Tensor  # (K,)
    rest: Tensor  # (): of every other direction
    limit: Tensor  # (): the distance at which strangeness is 1

    @classmethod
    def fit(cls, kinds: list[Tensor], held_out: Tensor, *, share: float = 0.98) -> Self:
        """From features (N_s, F) of each kind; `share` of the held-out pictures (N, F) count as familiar."""
        means = torch.stack([k.double().mean(0) for k in kinds])
        centred = torch.cat([k.double() - m for k, m in zip(kinds, means, strict=True)])
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))  # from the narrowest
        k = min(DIRECTIONS, len(values) - 1, len(centred) // 2)
        others = values[:-k].clamp(min=0).mean().clamp(min=1e-9)
        kept = values[-k:].clamp(min=float(others))
        one = cls(means.float(), vectors[:, -k:].float(), kept.float(), others.float(), torch.ones(()))
        return one._replace(limit=torch.quantile(one.strangeness(held_out), share))

    def strangeness(self, features: Tensor) -> Tensor:
        """(N, F) to (N,): at most 1 is familiar."""
        return self.distances(features).amin(1) / self.limit

    def distances(self, features: Tensor) -> Tensor:
        """(N, F) to (N, S): the squared distance to each kind."""
        difference = features[:, None] - self.means  # (N, S, F)
        along = difference @ self.directions
        across = (difference.square().sum(-1) - along.square().sum(-1)).clamp(min=0)
        return (along.square() / self.variances).sum(-1) + across / self.rest


LEAST_EDGE = 12.0
"""Of 256. The strongest edge of a flat colour is 0, of a gradient 2, of each of 900 of easy-VQA's drawings over 98."""


def is_blank(picture: "Image") -> bool:
    """Whether there is nothing in a picture to be seen: one colour, or one that turns slowly into another. By its
    strongest edge at 64 by 64, the largest absolute Laplacian of any colour."""
    small = picture.convert("RGB").resize((64, 64), resample=4, reducing_gap=3.0)  # 4: box
    x = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(64, 64, 3).float()
    around = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]
    return bool((4 * x[1:-1, 1:-1] - around).abs().max() < LEAST_EDGE)


LEAST_SIDE = 8
"""Pixels: what is smaller shows nothing."""
LEAST_ALIKE = 0.4
"""How alike neighbouring pixels are, as a correlation: noise of any kind is below 0.1, however it looks once it is made
small."""
WINDOW = 256
"""Sides of the middle of a picture that are looked through for noise, as they are."""


def is_noise(picture: "Image") -> bool:
    """Whether a picture is too small to show anything, or no pixel is like the one beside it."""
    width, height = picture.size
    if min(width, height) < LEAST_SIDE:
        return True
    left, top = max(0, (width - WINDOW) // 2), max(0, (height - WINDOW) // 2)
    box = (left, top, min(width, left + WINDOW), min(height, top + WINDOW))
    middle = picture.convert("RGB").crop(box)
    x = torch.frombuffer(bytearray(middle.tobytes()), dtype=torch.uint8).view(middle.height, middle.width, 3).float()
    x = x - x.mean((0, 1))
    power = x.square().mean()
    if power < 1:  # of one colour: see is_blank
        return False
    across, down = (x[:, 1:] * x[:, :-1]).mean(), (x[1:] * x[:-1]).mean()
    return bool(torch.maximum(across, down) / power < LEAST_ALIKE)


def picture_features(vectors: Tensor) -> Tensor:
    """What a picture is compared by, (2 D,): the mean and the spread of its regions (R, D)."""
    return torch.cat([vectors.mean(0), vectors.std(0, correction=0)])
