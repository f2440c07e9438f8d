"""What a model says of a whole fleet, whichever detector its alarms listen to, and what extrapolation says of it."""

from dataclasses import replace
from typing import Any

import numpy as np

from dialog.telemetry.baselines import linear_left_at, power_left_at
from dialog.telemetry.series import Fleet, Floats
from dialog.telemetry.watcher import Samples, Trace, Watcher
from models.maintenance.model import Limit, MaintenanceModel

M_OF_N = ((1, 1), (3, 5), (6, 8))
DETECTORS = ("autoencoder", "ewma", "cusum")


def traced(model: MaintenanceModel, fleet: Fleet, **alarm: Any) -> list[Trace]:
    """Everything the model says of a fleet, with some fields of its alarm changed."""
    before = model.config
    model.config = replace(before, alarm=replace(before.alarm, **alarm))
    try:
        watcher = Watcher("not saved", "not saved", model)
        return watcher.trace([Samples(s.unit, s.times, s.values) for s in fleet])
    finally:
        model.config = before


def extrapolated(way: str, trace: Trace, values: Floats, watched: int, limit: Limit) -> Floats:
    """(n,) what a straight line or a power law of channel `watched` to the limit says at every sample."""
    means, times, y = trace.read.mean[:, watched], trace.times, values[:, watched]
    limits = limit.value * (means if limit.relative else np.ones_like(means))
    if way == "linear":
        return linear_left_at(times, y, limits, above=limit.above)
    return power_left_at(times, y, means, limits, float(times[0]), above=limit.above)
