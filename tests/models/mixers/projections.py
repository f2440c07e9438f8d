"""What the tests of the mixers with projections called query, key, value and out share."""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

TOKENS = 11

M = TypeVar("M", bound=nn.Module)


def randomised(mixer: M) -> M:
    """In float64, every parameter drawn from N(0, 1), so that nothing hides behind a start of its own."""
    mixer = mixer.double()
    for parameter in mixer.parameters():
        torch.nn.init.normal_(parameter)
    return mixer


def projected(mixer: Any, x: Tensor) -> list[Tensor]:
    """q, k, v (B, H, T, d)."""
    parts = (mixer.query(x), mixer.key(x), mixer.value(x))
    return [p.unflatten(-1, (-1, mixer.config.d_head)).transpose(1, 2) for p in parts]


def finished(mixer: Any, o: Tensor) -> Tensor:
    """y (B, T, D) of the heads' answers o (B, H, T, d)."""
    return mixer.out(o.transpose(1, 2).flatten(2))


def tokens() -> Tensor:
    return torch.randn(2, TOKENS, 8, dtype=torch.float64)
