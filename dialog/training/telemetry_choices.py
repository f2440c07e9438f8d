"""What held-out units decide: which detector and threshold raise an alarm, and who says how long is left."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from dialog.evaluation.telemetry_scores import alarm_level, best_threshold, pr_area, rmse
from dialog.evaluation.telemetry_traces import DETECTORS, M_OF_N, extrapolated, traced
from dialog.telemetry.series import Fleet, Floats
from dialog.telemetry.watcher import Trace
from models.maintenance.autoencoder import AlarmConfig
from models.maintenance.model import MaintenanceModel
from models.maintenance.survival import mean_life

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
    model: MaintenanceModel, held_out: Fleet, *, in_training: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of the config that say who tells the remaining life, and the figures: RMSE of the capped life, every
    sample of every unit that failed. Without a limit, or with too few failures, the network does."""
    edges = model.life.edges.cpu().double()
    cap = float(edges[-1])
    units = [s for s in held_out if s.failure is not None and len(s) > 1]
    if not units:
        return {}, {"network": None}
    traces = traced(model, held_out.of(units))
    truth = np.concatenate([np.minimum(s.remaining(), cap) for s in units])
    figures: dict[str, Any] = {
        "network": rmse(np.concatenate([mean_life(torch.from_numpy(t.curves), edges).numpy() for t in traces]), truth),
        "units_were_in_training": in_training,
    }
    chosen: dict[str, Any] = {}
    limit = model.config.limit
    if limit is not None and len(units) >= ENOUGH:
        watched = model.config.channels.index(limit.channel)
        best = figures["network"]
        for way in ("linear", "power"):
            said = np.concatenate(
                [extrapolated(way, t, s.values, watched, limit) for t, s in zip(traces, units, strict=True)]
            )
            figures[way] = rmse(np.minimum(said, cap), truth)
            if figures[way] < best:
                best = figures[way]
                known = (said > 0) & (said < cap) & (truth < cap)
                low, high = np.quantile(truth[known] / said[known], (0.1, 0.9)) if known.sum() >= 10 else (0.5, 2.0)
                chosen = {"life_by": way, "life_band": (min(1.0, float(low)), max(1.0, float(high)))}
    return chosen, figures


def _burnt_in(model: MaintenanceModel, trace: Trace, levels: Floats) -> Floats:
    return levels[model.config.features.burn_in :]
