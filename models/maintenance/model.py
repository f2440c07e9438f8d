"""The three stages as one model: one config, one file of weights, one folder."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from models import checkpoint
from models.device import Where
from models.maintenance.autoencoder import AlarmConfig, AutoencoderConfig, ConvAutoencoder
from models.maintenance.features import FeaturesConfig
from models.maintenance.forecaster import Forecaster, ForecasterConfig
from models.maintenance.life import LifeConfig, LifeNetwork, LifeState
from models.maintenance.trees import HazardTrees, TreesConfig, drifts, n_inputs

LifeBy = Literal["network", "trees", "network and trees", "linear", "power"]
BY_TREES: tuple[LifeBy, ...] = ("trees", "network and trees")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """What a unit's owner calls a failure: a channel past a value."""

    channel: str
    value: float
    relative: bool = False
    """The value is a factor on the unit's own level at first: 1.2 is 20 % more."""
    above: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class MaintenanceConfig:
    """A fleet's model. Times are in `time_unit`."""

    channels: tuple[str, ...]
    time_unit: str
    features: FeaturesConfig
    forecaster: ForecasterConfig
    autoencoder: AutoencoderConfig
    life: LifeConfig
    alarm: AlarmConfig = field(default_factory=AlarmConfig)
    limit: Limit | None = None
    life_by: LifeBy = "network"
    """Who says how long is left, as validation chose: the network, boosted trees, the mean of both curves, or an
    extrapolation to the limit."""
    life_band: tuple[float, float] = (0.5, 2.0)
    """Of an extrapolation: the interval's ends as shares of what it says."""
    trees: TreesConfig | None = None

    def __post_init__(self) -> None:
        n, f = len(self.channels), self.features.n_features
        told = (self.features.n_channels, self.forecaster.n_channels, self.autoencoder.n_channels)
        if set(told) != {n}:
            raise ValueError(f"{n} channels, but features, forecaster and autoencoder are of {told}")
        if (self.forecaster.n_features, self.life.n_features) != (f, f):
            raise ValueError(
                f"{f} features, but forecaster and life are of {self.forecaster.n_features} and {self.life.n_features}"
            )
        if self.limit is not None and self.limit.channel not in self.channels:
            raise ValueError(f"the limit is of {self.limit.channel!r}, which is none of {', '.join(self.channels)}")
        if self.limit is None and self.life_by in ("linear", "power"):
            raise ValueError(f"life_by {self.life_by!r} needs a limit")
        if (self.trees is not None) != (self.life_by in BY_TREES):
            raise ValueError(f"life_by {self.life_by!r} and trees {self.trees}: expected trees where they are asked")
        fitting = n_inputs(self.features), len(self.life.edges)
        if self.trees is not None and (self.trees.n_inputs, self.trees.n_bins) != fitting:
            raise ValueError(
                f"trees of {self.trees.n_inputs} inputs and {self.trees.n_bins} bins: expected {fitting[0]} and "
                f"{fitting[1]}"
            )


def paper_chain(config: MaintenanceConfig) -> MaintenanceConfig:
    """The same fleet by the paper's own chain, as far as it is known, to compare with.

    Attention-based GRUs, alarms by an autoencoder that reads forecasts alone, the remaining life as one number.
    """
    return replace(
        config,
        forecaster=replace(config.forecaster, mixer="gru"),
        autoencoder=replace(config.autoencoder, reads="predicted"),
        life=replace(config.life, mixer="gru", head="regression", n_members=1),
        alarm=replace(config.alarm, detector="autoencoder"),
        life_by="network",
        trees=None,
    )


class MaintenanceModel(nn.Module):
    """Forecaster, autoencoder and life network side by side, and trees where those are asked; each reads by itself."""

    def __init__(self, config: MaintenanceConfig) -> None:
        super().__init__()
        self.config = config
        self.forecaster = Forecaster(config.forecaster)
        self.autoencoder = ConvAutoencoder(config.autoencoder)
        self.life = LifeNetwork(config.life)
        self.trees = None if config.trees is None else HazardTrees(config.trees)

    def under(
        self, config: MaintenanceConfig, *, life: LifeNetwork | None = None, trees: HazardTrees | None = None
    ) -> "MaintenanceModel":
        """The same networks under another config, for evaluation; another life network, or trees, where given."""
        found = MaintenanceModel(config).eval()
        found.forecaster, found.autoencoder = self.forecaster, self.autoencoder
        found.life, found.trees = life or self.life, trees
        return found

    def lives(
        self, x: Tensor, *, state: LifeState | None = None, mask: Tensor | None = None, at: Tensor | None = None
    ) -> tuple[Tensor, LifeState]:
        """features (B, T, F) to the survival curve S (B, P, K + 1) of whoever tells it, at the steps `at` (B, P) or at
        all; an extrapolation has none, and the network's stands for it."""
        here = x if at is None else x.take_along_dim(at[..., None], 1)
        if self.trees is not None and self.config.life_by == "trees":  # the network would be asked for nothing
            return self.with_trees(None, here), self.life.initial_state(len(x)) if state is None else state
        curves, state = self.life(x, state=state, mask=mask, at=at)
        return self.with_trees(curves, here), state

    def with_trees(self, curves: Tensor | None, x: Tensor) -> Tensor:
        """The network's curves (..., K + 1) at features (..., F) and what the trees say there, as `life_by` has it; no
        curves where the trees tell it alone."""
        if self.trees is None:
            assert curves is not None
            return curves
        told: Tensor = self.trees(drifts(self.config.features, x))
        return told if curves is None or self.config.life_by == "trees" else (curves + told) / 2

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def save(self, folder: Path | str, *, dtype: torch.dtype | None = None) -> Path:
        """config.json and model.safetensors."""
        return checkpoint.save(folder, self, self.config, dtype=dtype)

    @classmethod
    def load(cls, folder: Path | str, *, device: Where = None) -> "MaintenanceModel":
        """The model of a folder, in evaluation mode. Raises CheckpointError."""
        return checkpoint.load(folder, cls, MaintenanceConfig, device=device)
