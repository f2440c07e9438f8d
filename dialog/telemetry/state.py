"""What is remembered of a unit between its samples: a value, of the same size however long it was watched."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dialog.telemetry.baselines import Chart
from dialog.telemetry.series import Floats
from models.maintenance.features import UnitSoFar
from models.maintenance.forecaster import ForecastState
from models.maintenance.life import LifeState
from models.mixers.base import leaves, rebuilt
from models.tensors import DamagedTensors, pack, unpack

SCHEMA = 1
"""Of the bytes. One more whenever a state's parts change."""


class StaleState(ValueError):
    """Bytes that are no state of this model: of another model, another version of it, or damaged."""


@dataclass(frozen=True, slots=True, eq=False)
class UnitState:
    """One unit so far."""

    version: str
    """The content hash of the model that made it."""
    features: UnitSoFar
    forecast: ForecastState
    life: LifeState
    rows: Tensor | None  # (W - 1, R) the autoencoder's last rows; None before the first sample
    chart: Chart
    above: Tensor  # (n - 1,) whether the last scores were above the threshold
    tail: Floats  # (64, 2) the last times and values of the limit's channel, NaN where there is none
    alarm_since: float | None

    @property
    def n(self) -> int:
        """Samples read."""
        return int(self.features.n[0])

    @property
    def last_time(self) -> float:
        """-inf before the first sample."""
        return float(self.features.last_time[0])

    def to_bytes(self) -> bytes:
        """Safetensors, for `Watcher.restore`."""
        tensors = {f"features.{i}": torch.from_numpy(np.asarray(part)) for i, part in enumerate(self.features)}
        tensors |= {f"chart.{i}": torch.from_numpy(part) for i, part in enumerate(self.chart)}
        tensors |= {f"forecast.{i}": leaf for i, leaf in enumerate(leaves(self.forecast))}
        tensors |= {f"life.{i}": leaf for i, leaf in enumerate(leaves(self.life))}
        tensors |= {"above": self.above, "tail": torch.from_numpy(self.tail)}
        if self.rows is not None:
            tensors["rows"] = self.rows
        return pack(tensors, {"schema": SCHEMA, "version": self.version, "alarm_since": self.alarm_since})


def restored(data: bytes, like: UnitState) -> UnitState:
    """The state in the bytes, of the model whose new state is `like`. Raises StaleState."""
    try:
        tensors, note = unpack(data)
    except DamagedTensors as error:
        raise StaleState(f"no state of a unit: {error}") from error
    told = note if isinstance(note, dict) else {}
    if told.get("schema") != SCHEMA or told.get("version") != like.version:
        raise StaleState(
            f"the state is of schema {told.get('schema')} and model {told.get('version')}, expected schema {SCHEMA} "
            f"and model {like.version}; begin the unit anew"
        )

    def arrays(prefix: str, n: int) -> Iterator[Floats]:
        return (tensors[f"{prefix}.{i}"].numpy() for i in range(n))

    def tree(prefix: str, one: Any) -> Any:
        return rebuilt(one, (tensors[f"{prefix}.{i}"] for i in range(len(leaves(one)))))

    try:
        return UnitState(
            version=like.version,
            features=UnitSoFar(*arrays("features", len(like.features))),
            forecast=tree("forecast", like.forecast),
            life=tree("life", like.life),
            rows=tensors.get("rows"),
            chart=Chart(*arrays("chart", 2)),
            above=tensors["above"],
            tail=tensors["tail"].numpy(),
            alarm_since=told.get("alarm_since"),
        )
    except (KeyError, StopIteration) as error:
        raise StaleState(f"the state lacks {error}; begin the unit anew") from error
