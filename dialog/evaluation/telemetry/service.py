"""`rapport evaluate telemetry --part service`: what watches a service, on the simulated beds.

Whatever a way to watch may choose it chooses on the validation bed, with as many false alarms as all the others; the
test bed is then asked once.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialog.evaluation.telemetry.scores import alarm_level
from dialog.telemetry.series import Fleet, Floats, Series
from dialog.telemetry.service.bed import FAULTS, SHOWS, STRENGTHS, Run, frozen, simulate
from dialog.telemetry.service.noticing import Judge, M, N, Thresholds
from dialog.telemetry.service.points import CHANNELS, FILLING, FLOOR, Minute
from dialog.telemetry.watcher import Samples, Watcher

BUDGET = 0.5
"""False alarms a service and week on the validation bed: half of what is put up with."""
APART = 60
"""Minutes without an alarm after which another one is a new one."""
IN_TIME, SOON = 10, 30
"""Minutes: before the limit is reached, and after a slow dependency began."""
WEEK = 10_080.0
WAYS = ("line", "chart", "line and chart")
OWN = "line and chart"
"""Who watches as it is shipped: on the validation bed it noticed most in time."""
Levels = list[Floats]
"""A run, (n, C): the threshold that an alarm at each minute would have to be above."""


def judged(runs: Sequence[Run], window: int | None = None) -> dict[str, Levels]:
    """By "line" and "chart", each run's levels: minus the minutes left, and deviations. All runs go side by side."""
    longest = max(len(run.work) for run in runs)
    judge = Judge(len(runs), **({} if window is None else {"window": window}))
    line, chart = (np.empty((longest, len(runs), len(CHANNELS))) for _ in range(2))
    work, channels = np.zeros((longest, len(runs), 2)), np.full((longest, len(runs), len(CHANNELS)), np.nan)
    for i, run in enumerate(runs):
        work[: len(run.work), i], channels[: len(run.work), i] = run.work, run.channels
    for t in range(longest):
        said = judge.step(Minute(float(t), work[t, :, 0], work[t, :, 1], channels[t]))
        line[t], chart[t] = -said.left, said.chart
    return {
        name: [_levels(scores[: len(run.work), i]) for i, run in enumerate(runs)]
        for name, scores in (("line", line), ("chart", chart))
    }


def by_network(watcher: Watcher, runs: Sequence[Run]) -> Levels:
    """The same of a model of `rapport train telemetry/service`: minus its median of the life left, in every channel."""
    found = []
    for run in runs:
        (trace,) = watcher.trace([Samples("service", *series_of(run))])
        left = np.where(np.arange(len(trace.times)) < watcher.config.features.burn_in, np.inf, trace.left[:, 0])
        found.append(np.repeat(_levels(-left[:, None]), len(CHANNELS), 1))
    return found


def series_of(run: Run) -> tuple[Floats, Floats]:
    """times (n,) in minutes and values (n, 7) as a fleet's model reads them: logarithms, but of what fills."""
    logs = np.log(np.maximum(run.channels, FLOOR))
    values = np.concatenate([np.where(FILLING, run.channels, logs), np.log1p(run.work)], 1)
    return np.arange(len(values), dtype=np.float64), values


def service_fleet(runs: Sequence[Run]) -> Fleet:
    """The runs as a fleet to learn from; what came before a slow dependency is all that is kept of it."""
    series = []
    for i, run in enumerate(runs):
        times, values = series_of(run)
        n = int(min(run.onset, len(times))) if run.fault == "slow dependency" else len(times)
        failure = float(run.failure) if math.isfinite(run.failure) and run.fault != "slow dependency" else None
        series.append(Series(f"{run.fault} {run.strength} {i}", times[:n], values[:n], failure))
    return Fleet((*CHANNELS, "load", "size"), tuple(series), "min")


def episodes(on: NDArray[np.bool_]) -> int:
    """How often an alarm began in (n,), those within an hour being one."""
    at = np.flatnonzero(on)
    return int(len(at) > 0) + int((np.diff(at) > APART).sum())


def false_alarms(runs: Sequence[Run], levels: Levels, thresholds: Floats) -> float:
    """A service and week, while nothing was wrong; thresholds (C,)."""
    n, weeks = 0, 0.0
    for run, own in zip(runs, levels, strict=True):
        calm = own[: int(min(run.onset, len(own)))]
        weeks += len(calm) / WEEK
        n += sum(episodes(calm[:, c] > thresholds[c]) for c in range(calm.shape[1]))
    return n / max(weeks, 1e-9)


def figures(runs: Sequence[Run], said: Sequence[tuple[Levels, Floats]]) -> dict[str, Any]:
    """What a way to watch is worth: an alarm stands where any of its (levels, thresholds) is passed.

    `noticed`: after the onset, in a channel that shows the fault. `in_time`: ten minutes before the limit or more, of
    a slow dependency half an hour after its onset or less. Lead and delay in minutes, medians of what was noticed.
    """
    on = [np.any([lv[i] > t for lv, t in said], 0) for i in range(len(runs))]
    whole = [o.astype(float) for o in on]
    result: dict[str, Any] = {"false_alarms_week": false_alarms(runs, whole, np.full(len(CHANNELS), 0.5))}
    timely, ramps, leads = [], [], []
    for fault in FAULTS:
        shows = [CHANNELS.index(name) for name in SHOWS[fault]]
        for strength in STRENGTHS:
            rows = []
            for run, o in zip(runs, on, strict=True):
                if (run.fault, run.strength) == (fault, strength):
                    after = np.flatnonzero(o[int(run.onset) :, shows].any(1))
                    rows.append((float(after[0]) if len(after) else math.nan, len(o) - run.onset))
            delays, lasted = np.array(rows).T
            lead = lasted - delays
            good = delays <= SOON if fault == "slow dependency" else lead >= IN_TIME
            timely.append(good.mean())
            known = np.isfinite(delays)
            result[f"{fault}, {strength}"] = {
                "noticed": float(known.mean()),
                "in_time": float(good.mean()),
                "delay": float(np.median(delays[known])) if known.any() else None,
                "lead": float(np.median(lead[known])) if known.any() and fault != "slow dependency" else None,
            }
            if fault != "slow dependency":
                ramps.append(good.mean())
                leads += lead[known].tolist()
    result |= {
        "in_time": float(np.mean(timely)),
        "ramps_in_time": float(np.mean(ramps)),
        "lead_minutes": float(np.median(leads)) if leads else None,
    }
    return result


def chosen(runs: Sequence[Run], levels: Mapping[str, Levels], budget: float = BUDGET) -> dict[str, dict[str, Floats]]:
    """By way, the thresholds (C,) of what it listens to, with at most so many false alarms a week on these runs.

    A line has one threshold for all channels. A chart has one a channel, and each may spend the same.
    """

    def line(name: str, part: float) -> Floats:
        good = [t for t in _GRIDS[name] if false_alarms(runs, levels[name], np.full(len(CHANNELS), -t)) <= part]
        return np.full(len(CHANNELS), -max(good, default=0.0))

    def chart(part: float) -> Floats:
        found = np.full(len(CHANNELS), np.inf)
        for c in range(len(CHANNELS)):
            alone = [own[:, c : c + 1] for own in levels["chart"]]
            good = [t for t in _CHART if false_alarms(runs, alone, np.array([t])) <= part / len(CHANNELS)]
            found[c] = min(good, default=np.inf)
        return found

    ways = {
        "line": {"line": line("line", budget)},
        "chart": {"chart": chart(budget)},
        OWN: {"line": line("line", budget / 2), "chart": chart(budget / 2)},
    }
    if "network" in levels:
        ways["network"] = {"network": line("network", budget)}
    return ways


_GRIDS: dict[str, tuple[float, ...]] = {
    "line": (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 60.0, 75.0, 90.0, 120.0),
    "network": tuple(float(t) for t in np.geomspace(1.0, 2000.0, 60)),
}
_CHART = (*(float(t) for t in range(4, 41)), *(float(t) for t in range(45, 101, 5)))


def evaluate_service(model: str | None = None, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """{"metrics", "baselines", "validation", "thresholds", "n"} of the test bed; metrics are those of what is shipped,
    with the thresholds it is shipped with. `model`, a folder of `rapport train telemetry/service`, is one way more."""
    beds = {name: simulate(bed) for name, bed in frozen().items() if name != "train"}
    levels: dict[str, dict[str, Levels]] = {}
    for i, (name, runs) in enumerate(beds.items()):
        levels[name] = judged(runs)
        if model is not None:
            levels[name]["network"] = by_network(Watcher.load(model), runs)
        if progress:
            progress(i + 1, len(beds))
    ways = chosen(beds["validation"], levels["validation"])
    told = {
        bed: {
            way: figures(beds[bed], [(levels[bed][name], t) for name, t in thresholds.items()])
            for way, thresholds in ways.items()
        }
        for bed in beds
    }
    own = Thresholds()
    shipped = [("line", np.full(len(CHANNELS), -own.line)), ("chart", np.array(own.chart))]
    test = told["test"]
    return {
        "metrics": figures(beds["test"], [(levels["test"][name], t) for name, t in shipped]),
        "baselines": test,
        "validation": told["validation"],
        "thresholds": {
            way: {k: [None if math.isinf(x) else abs(x) for x in t.tolist()] for k, t in parts.items()}
            for way, parts in ways.items()
        },
        "n": len(beds["test"]),
    }


def _levels(scores: Floats) -> Floats:
    """(n, C) scores to the levels of m of n minutes."""
    known = np.where(np.isneginf(scores), -1e12, scores)
    return np.stack([alarm_level(known[:, c], M, N) for c in range(scores.shape[1])], 1)
