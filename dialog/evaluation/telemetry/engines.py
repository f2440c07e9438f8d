"""C-MAPSS FD001: how many cycles each test engine has left when it is last seen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dialog.evaluation.telemetry.lives import BoostedTrees, WeibullOnAge
from dialog.evaluation.telemetry.scores import interval_coverage, phm08, rmse, spread
from dialog.telemetry.cmapss import Engines, read_cmapss
from dialog.telemetry.series import Fleet, Floats
from dialog.telemetry.watcher import Samples, Trace, Watcher
from models.maintenance.survival import mean_life

CAP = 125.0


def cmapss_folder(path: Path) -> Path | None:
    """The folder with FD001 in or under a path, or None."""
    for folder in (path, path / "cmapss", path / "telemetry" / "cmapss"):
        if folder.is_dir() and any(folder.glob("test_FD001.txt*")):
            return folder
    return None


def evaluate_engines(watcher: Watcher, folder: Path, seeds: Mapping[str, Watcher] | None = None) -> dict[str, Any]:
    """{"metrics", "baselines", "n"} of FD001's test engines, the prediction at each one's last cycle.

    `cmapss_fd001_rmse` has the truth capped at 125 cycles as the target is, `..._uncapped` the truth as published.
    The prediction is the mean of the capped life. `seeds` are models trained alike with other seeds: each one's figures
    stand under "seeds", and `..._seeds_mean` and `..._seeds_sd` are of their RMSE.
    """
    engines = read_cmapss(folder)
    each = {
        name: _figures(mean_left(other, last_traces(other, engines.test)), engines.remaining)
        for name, other in (seeds or {}).items()
    }
    told = spread([row["cmapss_fd001_rmse"] for row in each.values()]) if each else {}
    traces = last_traces(watcher, engines.test)
    said = mean_left(watcher, traces)
    low, high = np.array([t.left[-1, 1:] for t in traces]).T
    capped = np.minimum(engines.remaining, CAP)
    metrics = _figures(said, engines.remaining) | {
        "cmapss_fd001_coverage": 100 * interval_coverage(low, high, capped),
        "cmapss_fd001_parameters": watcher.model.n_parameters,
    }
    metrics |= {f"cmapss_fd001_rmse_seeds_{name}": value for name, value in told.items()}
    found = {"metrics": metrics, "baselines": _baselines(watcher, engines), "n": len(traces)}
    return found | ({"seeds": each} if each else {})


def last_traces(watcher: Watcher, fleet: Fleet) -> list[Trace]:
    """What is said at the last sample of every unit, of the channels that the model reads."""
    at = [fleet.channels.index(name) for name in watcher.channels]
    return watcher.trace([Samples(s.unit, s.times, s.values[:, at]) for s in fleet], every=False)


def mean_left(watcher: Watcher, traces: list[Trace]) -> Floats:
    """(units,) the mean of the capped life at each unit's last sample."""
    curves = torch.from_numpy(np.stack([t.curves[-1] for t in traces]))
    return mean_life(curves, watcher.model.life.edges.double().cpu()).numpy()


def _figures(said: Floats, remaining: Floats) -> dict[str, float]:
    capped = np.minimum(remaining, CAP)
    return {
        "cmapss_fd001_rmse": rmse(said, capped),
        "cmapss_fd001_rmse_uncapped": rmse(said, remaining),
        "cmapss_fd001_mae": float(np.abs(said - capped).mean()),
        "cmapss_fd001_phm08": phm08(said, capped),
        "cmapss_fd001_phm08_uncapped": phm08(said, remaining),
    }


def _baselines(watcher: Watcher, engines: Engines) -> dict[str, dict[str, float]]:
    channels = [engines.train.channels.index(name) for name in watcher.channels]
    trees = BoostedTrees(engines.train.series, channels, CAP, near=150.0)
    age = WeibullOnAge(engines.train.series, CAP)
    boosted = np.array([trees.left(s, [len(s) - 1])[0] for s in engines.test])
    aged = age.left(np.array([s.times[-1] - s.times[0] for s in engines.test]))
    return {
        "gradient boosting": _figures(boosted, engines.remaining),
        "weibull on age": _figures(aged, engines.remaining),
    }
