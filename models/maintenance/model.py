"""The three stages as one model: one config, one file of weights, one folder."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from models import checkpoint
from models.device import Where
from models.maintenance.autoencoder import AlarmConfig, AutoencoderConfig, ConvAutoencoder
from models.maintenance.features import FeaturesConfig
from models.maintenance.forecaster import Forecaster, ForecasterConfig
from models.maintenance.life import LifeConfig, LifeNetwork


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
    life_by: Literal["network", "linear", "power"] = "network"
    """Who says how long is left: the network, or an extrapolation to the limit where that was better on validation."""
    life_band: tuple[float, float] = (0.5, 2.0)
    """Of an extrapolation: the interval's ends as shares of what it says."""

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
        if self.limit is None and self.life_by != "network":
            raise ValueError(f"life_by {self.life_by!r} needs a limit")


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
    )


class MaintenanceModel(nn.Module):
    """Forecaster, autoencoder and life network side by side; each reads by itself."""

    def __init__(self, config: MaintenanceConfig) -> None:
        super().__init__()
        self.config = config
        self.forecaster = Forecaster(config.forecaster)
        self.autoencoder = ConvAutoencoder(config.autoencoder)
        self.life = LifeNetwork(config.life)

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
