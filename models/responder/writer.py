"""A decoder-only language model that writes replies: token model, pieces, and what it was taught to feel."""

from dataclasses import dataclass
from typing import Any, Literal

from models.backbone import BackboneConfig
from models.feedforward import FeedForwardConfig
from models.mixers.gla import GLAConfig
from models.mixers.softmax import SoftmaxAttentionConfig
from models.token_model import TokenModelConfig

Mixture = Literal["softmax", "gla", "hybrid"]
MIXTURES: tuple[Mixture, ...] = ("softmax", "gla", "hybrid")


@dataclass(frozen=True, kw_only=True, slots=True)
class WriterConfig:
    """The network, and how far back it was taught to look."""

    network: TokenModelConfig
    emotions: tuple[str, ...]
    """What a message may be marked with, beside "not known"."""
    corpora: tuple[str, ...] = ()
    """What it read, by name: a rival that is measured beside it reads the same."""
    context: int = 256
    """Tokens of a training row; of a longer conversation the first messages are left out."""

    def __post_init__(self) -> None:
        if self.context < 2:
            raise ValueError(f"context is {self.context}, expected at least 2 tokens")


def writer_network(
    mixture: Mixture,
    n_tokens: int,
    *,
    d_model: int = 256,
    n_layers: int = 5,
    n_heads: int = 4,
    d_hidden: int = 640,
    window: int = 64,
    dropout: float = 0.0,
) -> TokenModelConfig:
    """Networks of as many parameters, to one in a hundred: softmax attention, GLA, or GLA with a window every other
    layer, whose memory is constant as GLA's is."""
    softmax = SoftmaxAttentionConfig(d_model=d_model, n_heads=n_heads)
    near = SoftmaxAttentionConfig(d_model=d_model, n_heads=n_heads, window=window)
    gla = GLAConfig(d_model=d_model, n_heads=n_heads)
    turns: dict[str, tuple[Any, ...]] = {"softmax": (softmax,), "gla": (gla,), "hybrid": (gla, near)}
    if mixture not in turns:
        raise ValueError(f"there is no mixture {mixture!r}; there are {', '.join(turns)}")
    mixers = tuple(turns[mixture][i % len(turns[mixture])] for i in range(n_layers))
    feedforward = FeedForwardConfig(d_model=d_model, d_hidden=d_hidden, dropout=dropout)
    backbone = BackboneConfig(d_model=d_model, mixers=mixers, feedforward=feedforward, dropout=dropout)
    return TokenModelConfig(n_tokens=n_tokens, backbone=backbone, dropout=dropout)
