"""A stack of blocks, each with the sequence mixer its config names."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from models import checkpoint
from models.block import Block, NormKind, NormPlace, build_norm
from models.device import Where
from models.feedforward import FeedForwardConfig, Kind, build_feedforward
from models.mixers import MIXERS
from models.mixers.base import SequenceMixer
from models.residual import ResidualKind


@dataclass(frozen=True, kw_only=True, slots=True)
class BackboneConfig:
    """Complete once d_model and the mixers are given."""

    d_model: int
    mixers: tuple[Any, ...]
    """One a block, from the first: a mixer's name, which means its default config, or its config."""
    feedforward: FeedForwardConfig | Kind | None = "swiglu"
    """Alike in every block; None leaves the mixers alone with their residuals."""
    norm: NormPlace = "pre"
    norm_kind: NormKind = "rms"
    residual: ResidualKind = "add"
    dropout: float = 0.0
    """Of what each branch adds to the residual, and inside a feed-forward that is given by its name."""

    def __post_init__(self) -> None:
        if not self.mixers or isinstance(self.mixers, str):
            raise ValueError(f"mixers must be a sequence of names or configs, one a block, got {self.mixers!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        mixers = tuple(_default(m, self.d_model) if isinstance(m, str) else m for m in self.mixers)
        object.__setattr__(self, "mixers", mixers)
        if isinstance(self.feedforward, str):
            whole = FeedForwardConfig(d_model=self.d_model, kind=self.feedforward, dropout=self.dropout)
            object.__setattr__(self, "feedforward", whole)
        parts = [*mixers] if self.feedforward is None else [*mixers, self.feedforward]
        for part in parts:
            if part.d_model != self.d_model:
                raise ValueError(f"d_model is {self.d_model}, but {part.d_model} in {part}")


def _default(name: str, d_model: int) -> Any:
    if name not in MIXERS:
        raise ValueError(f"there is no mixer {name!r}; there are {', '.join(sorted(MIXERS))}")
    return MIXERS[name][0](d_model=d_model)


def build_configured(config: Any) -> SequenceMixer[Any]:
    """The mixer that a config of the table is of. ValueError for any other."""
    for config_class, mixer_class in MIXERS.values():
        if type(config) is config_class:
            return mixer_class(config)
    raise ValueError(f"no mixer in the table is configured by a {type(config).__name__}")


class BackboneState(NamedTuple):
    blocks: tuple[Any, ...]  # each block's mixer's own state


class Backbone(SequenceMixer[BackboneState]):
    """x (B, T, D) through every block to y (B, T, D), with the promises of one mixer: a padded y is zero.

    With norm "pre" a last norm follows the blocks; "post" blocks end in one of their own. It streams when all its
    mixers do, and takes ids when any does.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(self._block(config, mixer) for mixer in config.mixers)
        self.norm = build_norm(config.norm_kind, config.d_model) if config.norm == "pre" else nn.Identity()
        self.streams = all(block.streams for block in self._blocks())
        self.takes_ids = any(block.takes_ids for block in self._blocks())

    def initial_state(self, batch: int) -> BackboneState:
        return BackboneState(tuple(block.initial_state(batch) for block in self._blocks()))

    def state_floats(self, n_tokens: int) -> int:
        return sum(block.state_floats(n_tokens) for block in self._blocks())

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: BackboneState | None = None
    ) -> tuple[Tensor, BackboneState]:
        if not self.takes_ids:
            self.refuse_ids(ids)
        after = []
        for i, block in enumerate(self._blocks()):
            x, one = block(x, mask=mask, ids=ids, state=None if state is None else state.blocks[i])
            after.append(one)
        y = self.norm(x)
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        return y, BackboneState(tuple(after))

    def step(self, x_t: Tensor, state: BackboneState, *, ids_t: Tensor | None = None) -> tuple[Tensor, BackboneState]:
        after = []
        for block, one in zip(self._blocks(), state.blocks, strict=True):
            x_t, one = block.step(x_t, one, ids_t=ids_t)
            after.append(one)
        return self.norm(x_t), BackboneState(tuple(after))

    def save(self, folder: Path | str, *, dtype: torch.dtype | None = None) -> Path:
        """config.json and model.safetensors; `dtype` is what the weights are stored in."""
        return checkpoint.save(folder, self, self.config, dtype=dtype)

    @classmethod
    def load(cls, folder: Path | str, *, device: Where = None) -> "Backbone":
        """The backbone of a folder, in evaluation mode. Raises CheckpointError."""
        return checkpoint.load(folder, cls, BackboneConfig, device=device)

    @staticmethod
    def _block(config: BackboneConfig, mixer: Any) -> Block:
        feedforward = config.feedforward
        assert not isinstance(feedforward, str)  # the config has put a FeedForwardConfig in the name's place
        return Block(
            config.d_model,
            build_configured(mixer),
            None if feedforward is None else build_feedforward(feedforward),
            norm=config.norm,
            norm_kind=config.norm_kind,
            residual=config.residual,
            dropout=config.dropout,
        )

    def _blocks(self) -> list[Block]:
        return cast(list[Block], self.blocks)  # what the ModuleList holds
