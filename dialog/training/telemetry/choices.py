"""What held-out units decide: which detector and threshold raise an alarm, and who says how long is left."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch

from dialog.evaluation.telemetry.lives import StillSeen, brier, mean_within
from dialog.evaluation.telemetry.scores import alarm_level, best_threshold, pr_area, rmse
from dialog.evaluation.telemetry.traces import DETECTORS, M_OF_N, by_trees, curve_of, extrapolated, traced
from dialog.telemetry.series import Fleet, Floats, Series
from dialog.telemetry.watcher import Trace
from dialog.training.telemetry.trees import first
from models.maintenance.autoencoder import AlarmConfig
from models.maintenance.life import LifeNetwork
from models.maintenance.model import BY_TREES, LifeBy, MaintenanceModel
from models.maintenance.survival import mean_life
from models.maintenance.trees import HazardTrees

Teller = LifeBy | Literal["regression"]
"""Who may tell the remaining life; "regression" is the network with the paper's own head."""
ENOUGH = 3
"""Failures, and units that lived, from which on a choice is made of them."""


def choose_alarm(
    model: MaintenanceModel, held_out: Fleet, detectors: Sequence[str] = DETECTORS
) -> tuple[AlarmConfig, dict[str, Any]]:
    """The detector, threshold and m of n with the best F1 a unit, and of equals the network and the fewest samples.

    Where too few failed or too few lived to tell, the threshold is that which 99.5 % of the scores of what was well
    stay below, and the detector is the network.
    """
    failed = np.array([s.failure is not None for s in held_out])
    told = failed.sum() >= ENOUGH and (~failed).sum() >= ENOUGH
    best, figures = None, {}
    for detector in detectors:
        traces = traced(model, held_out, detector=detector, threshold=float("inf"))
        for m, n in M_OF_N:
            levels = [_burnt_in(model, trace, alarm_level(trace.scores, m, n)) for trace in traces]
            if not told:
                well = [v if s.failure is None else v[: len(v) // 2] for v, s in zip(levels, held_out, strict=True)]
                every = np.concatenate(well)
                every = every[np.isfinite(every)]
                threshold, f1 = (float(np.quantile(every, 0.995)) if len(every) else 1.0), 0.0
            else:
                highest = np.array([v.max(initial=-np.inf) for v in levels])
                threshold, f1 = best_threshold(highest, failed)
                figures[f"{detector}, {m} of {n}"] = {"f1": f1, "pr_area": pr_area(highest, failed)}
            if best is None or f1 > best[0]:
                best = f1, AlarmConfig(detector=detector, threshold=threshold, m=m, n=n)  # type: ignore[arg-type]
            if not told and (m, n) == (3, 5):
                return AlarmConfig(detector="autoencoder", threshold=threshold, m=m, n=n), {"f1": None}
    assert best is not None
    return best[1], figures


def choose_life(
    model: MaintenanceModel,
    held_out: Fleet,
    *,
    regression: LifeNetwork | None = None,
    trees: HazardTrees | None = None,
    told_by: LifeBy | None = None,
) -> tuple[MaintenanceModel, Teller, dict[Teller, dict[str, float]]]:
    """The model with whoever tells the remaining life best, who that is, and everybody's figures on the units held out.

    Asked are the network, a `regression` as the paper has it, boosted trees, the mean of both curves, and where there
    is a limit a straight line and a power law to it. Best is the least `brier`, since it counts units that lived as
    well: who presumes that every unit fails has the least error on those that do. `told_by` is who tells it whatever
    the figures, for units that were learned from; with fewer than ENOUGH failures it is the network.
    """
    ends = np.array([0.0, *model.config.life.edges])
    units = [s for s in held_out if len(s) > 1]
    n_failed = sum(s.failure is not None for s in units)
    curves: dict[Teller, list[Floats]] = {}
    bands: dict[Teller, tuple[float, float]] = {}
    if n_failed:
        trees = trees if trees is None or told_by is not None else _cut(model, held_out.of(units), ends, trees)
        curves, bands = _curves(model, held_out.of(units), ends, regression, trees)
    burn_in = model.config.features.burn_in
    figures: dict[Teller, dict[str, float]] = {
        who: _life_figures(units, told, ends, burn_in) for who, told in curves.items()
    }
    best: Teller = told_by or "network"
    if told_by is None and n_failed >= ENOUGH:
        best = min(figures, key=lambda who: np.nan_to_num(figures[who]["brier"], nan=np.inf))
    return _telling(model, best, regression, trees, bands.get(best)), best, figures


def _cut(model: MaintenanceModel, held_out: Fleet, ends: Floats, trees: HazardTrees) -> HazardTrees:
    """As many of the trees as do best: with more they know the units that they learned from."""
    traces = traced(model, held_out)
    fewer = [first(trees, n) for n in (25, 50, 100) if n < trees.config.n_trees]

    def off(some: HazardTrees) -> float:
        curves = [by_trees(some, model.config.features, t) for t in traces]
        return _life_figures(held_out.series, curves, ends, model.config.features.burn_in)["brier"]

    return min([*fewer, trees], key=lambda some: np.nan_to_num(off(some), nan=np.inf))


def _curves(
    model: MaintenanceModel,
    held_out: Fleet,
    ends: Floats,
    regression: LifeNetwork | None,
    trees: HazardTrees | None,
) -> tuple[dict[Teller, list[Floats]], dict[Teller, tuple[float, float]]]:
    """By who tells it the survival curves (n, K + 1) of each unit, and the bands of the extrapolations."""
    traces = traced(model, held_out)
    curves: dict[Teller, list[Floats]] = {"network": [t.curves for t in traces]}
    bands: dict[Teller, tuple[float, float]] = {}
    if regression is not None:
        curves["regression"] = [t.curves for t in traced(_telling(model, "regression", regression, None), held_out)]
    if trees is not None:
        curves["trees"] = [by_trees(trees, model.config.features, t) for t in traces]
        both = zip(curves["network"], curves["trees"], strict=True)
        curves["network and trees"] = [(one + other) / 2 for one, other in both]
    limit = model.config.limit
    if limit is not None:
        watched = model.config.channels.index(limit.channel)
        ways: tuple[LifeBy, ...] = ("linear", "power")
        for way in ways:
            said = [extrapolated(way, t, s.values, watched, limit) for t, s in zip(traces, held_out, strict=True)]
            bands[way] = _band(said, held_out, float(ends[-1]))
            curves[way] = [curve_of(points, ends, bands[way]) for points in said]
    return curves, bands


def _band(said: Sequence[Floats], held_out: Fleet, cap: float) -> tuple[float, float]:
    """Where 8 of 10 of the lives lie that ended, as shares of what an extrapolation said."""
    failed = [i for i, s in enumerate(held_out) if s.failure is not None]
    points = np.concatenate([said[i] for i in failed])
    truth = np.concatenate([held_out.series[i].remaining() for i in failed])
    known = (points > 0) & (points < cap) & (truth < cap)
    low, high = np.quantile(truth[known] / points[known], (0.1, 0.9)) if known.sum() >= 10 else (0.5, 2.0)
    return min(1.0, float(low)), max(1.0, float(high))


def _life_figures(units: Sequence[Series], curves: Sequence[Floats], ends: Floats, burn_in: int) -> dict[str, float]:
    """After the burn-in: `brier` of all units; `rmse` of the mean life, capped, at every sample of those that failed;
    the same given that it ends before the longest time that a unit was watched."""
    longest = max(float(s.times[-1] - s.times[0]) for s in units)
    asked, said, given, truth = [], [], [], []
    for s, told in zip(units, curves, strict=True):
        if len(s) <= burn_in:
            continue
        at = np.unique(np.linspace(burn_in, len(s) - 1, min(len(s) - burn_in, 60)).astype(int))
        asked.append((s, at, told[at]))
        if s.failure is not None:
            said.append(mean_life(torch.from_numpy(told), torch.from_numpy(ends[1:])).numpy()[burn_in:])
            given.append(mean_within(told, ends, longest - (s.times - s.times[0]))[burn_in:])
            truth.append(np.minimum(s.remaining(), ends[-1])[burn_in:])
    some = [np.concatenate([*part, np.zeros(0)]) for part in (said, given, truth)]
    known = len(some[0]) > 0
    return {
        "brier": brier(asked, ends, StillSeen(units)),
        "rmse": rmse(some[0], some[2]) if known else float("nan"),
        "rmse_given_failure": rmse(some[1], some[2]) if known else float("nan"),
    }


def _telling(
    model: MaintenanceModel,
    who: Teller,
    regression: LifeNetwork | None,
    trees: HazardTrees | None,
    band: tuple[float, float] | None = None,
) -> MaintenanceModel:
    """The same stages with the life told by somebody."""
    if who == "regression":
        return (
            model if regression is None else model.under(replace(model.config, life=regression.config), life=regression)
        )
    if who in BY_TREES and trees is not None:
        return model.under(replace(model.config, life_by=who, trees=trees.config), trees=trees)
    return model if band is None else model.under(replace(model.config, life_by=who, life_band=band))


def _burnt_in(model: MaintenanceModel, trace: Trace, levels: Floats) -> Floats:
    return levels[model.config.features.burn_in :]
