"""What a model says of a whole fleet, whichever detector its alarms listen to, and what extrapolation says of it."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from dialog.telemetry.baselines import linear_left_at, power_left_at
from dialog.telemetry.series import Fleet, Floats
from dialog.telemetry.watcher import Samples, Trace, Watcher
from models.maintenance.features import FeaturesConfig
from models.maintenance.model import Limit, MaintenanceModel
from models.maintenance.trees import HazardTrees, drifts

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


def without_trees(model: MaintenanceModel) -> MaintenanceModel:
    """The same networks, which tell the remaining life alone."""
    return model.under(replace(model.config, life_by="network", trees=None))


@torch.inference_mode()
def by_trees(trees: HazardTrees, features: FeaturesConfig, trace: Trace) -> Floats:
    """(n, K + 1) the curves of the trees alone."""
    curves: Floats = trees(drifts(features, torch.from_numpy(trace.read.features))).double().numpy()
    return curves


def curve_of(points: Floats, ends: Floats, band: tuple[float, float] | None = None) -> Floats:
    """(n, K + 1) the survival at ends (K + 1,) of lives (n,), told for certain, or with 8 of 10 within `band` times
    that life."""
    if band is None:
        return (points[:, None] > ends).astype(np.float64)
    low, high = (share * np.minimum(points, 1e12)[:, None] for share in band)
    middle = np.minimum(points, 1e12)[:, None]
    x = np.concatenate([np.zeros_like(low), low, middle, high, high + (high - middle)], 1)
    shares = np.array([1.0, 0.9, 0.5, 0.1, 0.0])
    rows = [np.interp(ends, row, shares) for row in np.maximum.accumulate(x + np.arange(5) * 1e-9, 1)]
    return np.stack(rows) if rows else np.zeros((0, len(ends)))


def extrapolated(way: str, trace: Trace, values: Floats, watched: int, limit: Limit) -> Floats:
    """(n,) what a straight line or a power law of channel `watched` to the limit says at every sample."""
    means, times, y = trace.read.mean[:, watched], trace.times, values[:, watched]
    limits = limit.value * (means if limit.relative else np.ones_like(means))
    if way == "linear":
        return linear_left_at(times, y, limits, above=limit.above)
    return power_left_at(times, y, means, limits, float(times[0]), above=limit.above)
