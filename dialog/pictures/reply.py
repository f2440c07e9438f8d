"""What an answer found in a picture's evidence is made of."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from models.detector.model import Found


@dataclass(frozen=True, slots=True)
class Reply:
    """Answers with how likely each is, the likeliest first, and the things in the picture they rest on."""

    answers: tuple[tuple[str, float], ...]
    things: tuple[Found, ...] = ()
    retrieved: bool = False
    """Whether the answer is a caption that people wrote about another picture."""


Reasoned = Mapping[str, float]
"""What the reasoner gives its answers: probabilities by answer."""


def yes_or_no(p: float, things: tuple[Found, ...] = ()) -> Reply:
    pair = (("yes", p), ("no", 1 - p))
    return Reply(pair if p >= 0.5 else pair[::-1], things)


def ranked(scores: Mapping[str, float], *, cap: bool = False) -> Reply:
    """The five likeliest."""
    best = sorted(scores.items(), key=lambda item: -item[1])[:5]
    return Reply(tuple((text, min(p, 1.0) if cap else p) for text, p in best))


def softmax(log: Mapping[str, float]) -> dict[str, float]:
    p = torch.tensor(list(log.values())).softmax(0).tolist()
    return dict(zip(log, p, strict=True))
