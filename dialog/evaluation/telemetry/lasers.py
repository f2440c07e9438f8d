"""The simulated lasers: every stage beside the simple ways and beside an oracle that knows the generator."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest

from dialog.evaluation.telemetry.lives import window_statistics
from dialog.evaluation.telemetry.scores import alarm_level, best_threshold, pr_area, unit_f1
from dialog.evaluation.telemetry.tellers import EVERY, OWN, Judged, Tellers
from dialog.evaluation.telemetry.traces import traced, without_trees
from dialog.telemetry.baselines import chart, cusum_scores, ewma_scores
from dialog.telemetry.series import Floats, Series
from dialog.telemetry.simulator import Simulated, frozen, simulate
from dialog.telemetry.watcher import Trace, Watcher

MONTH = 730.0  # hours
COST_FAILURE, COST_REPLACEMENT, COST_VISIT = 10.0, 1.0, 0.1
"""Of the decision: a failure that nobody saw coming, a unit replaced before it failed, and going there."""


@dataclass(frozen=True, slots=True, eq=False)
class Told(Judged):
    """One unit, and what everybody says of it."""

    onset: float | None
    levels: Mapping[str, Floats]  # by detector, (n,): the threshold an alarm would need to be above at each sample

    @property
    def failed(self) -> bool:
        return self.series.failure is not None


class Judges:
    """Everybody who is asked, each taught on the training set; thresholds are those that did best on validation."""

    def __init__(self, watcher: Watcher) -> None:
        sets = frozen()
        self.watcher = watcher
        self.burn_in = watcher.config.features.burn_in
        train, self._validation = (simulate(sets[k]["settings"], sets[k]["seeds"][0]) for k in ("train", "validation"))
        lived = [s for s in train.fleet if s.failure is None]
        self.tellers = Tellers(watcher, train.fleet, sets["train"]["settings"].hours)
        traces = traced(watcher.model, train.fleet.of(lived), detector="ewma")
        rows = [self._statistics(t)[self.burn_in // EVERY :] for t in traces]
        self._forest = IsolationForest(n_estimators=50, random_state=0).fit(np.concatenate(rows)[::4])
        told = self.of(self._validation)
        failed = np.array([one.failed for one in told])
        self.thresholds = {
            name: best_threshold(np.array([highest(one, name) for one in told]), failed)[0] for name in told[0].levels
        }
        self.thresholds[OWN] = watcher.config.alarm.threshold
        ages = np.linspace(0.1, 1.0, 10) * max(float(one.series.times[-1]) for one in told)
        self.age = min((float(a) for a in ages), key=lambda a: fixed_age(told, a))

    def of(self, simulated: Simulated) -> list[Told]:
        """What everybody says of a fleet."""
        fleet, model, alarm = simulated.fleet, self.watcher.model, self.watcher.config.alarm
        traces = traced(model, fleet, detector="autoencoder")
        networks: list[Floats | None] = [None] * len(fleet)
        if model.trees is not None:
            networks = [trace.curves for trace in traced(without_trees(model), fleet)]
        told = []
        for series, truth, trace, network in zip(fleet, simulated.truth, traces, networks, strict=True):
            z, n = trace.read.values, len(series)
            held = np.minimum(np.arange(n) // EVERY, (n - 1) // EVERY)
            scores = {
                "autoencoder": trace.scores,
                "ewma": ewma_scores(z, chart(z.shape[1]))[0],
                "cusum": cusum_scores(z, chart(z.shape[1]))[0],
                "isolation forest": -self._forest.score_samples(self._statistics(trace))[held],
                "oracle": truth.degradation,
            }
            levels = {
                name: alarm_level(score, 1 if name == "oracle" else 3, 1 if name == "oracle" else 5)
                for name, score in scores.items()
            }
            levels[OWN] = alarm_level(scores[alarm.detector], alarm.m, alarm.n)
            for level in levels.values():
                level[: self.burn_in] = -np.inf
            lives = self.tellers.of(series, trace, truth.left, network)
            told.append(Told(series=series, trace=trace, lives=lives, onset=truth.onset, levels=levels))
        return told

    def _statistics(self, trace: Trace) -> Floats:
        seen = Series(trace.unit, trace.times, trace.read.values)
        return window_statistics(seen, range(trace.read.values.shape[1]), range(0, len(trace.times), EVERY))[:, :-1]


def evaluate_lasers(
    watcher: Watcher, sets: Sequence[str] | None = None, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """By frozen test set, all unless named: {"metrics", "baselines", "deviations", "n"}, means over its seeds.

    Forecast: RMSE of the current's median relative to the last value's, and coverage of 10 to 90 %. Alarms a unit, the
    model's own as it is shipped, others three of five scores above the threshold that was best on validation; delay
    since the onset and lead before the failure in hours, medians; false alarms a unit-month. Lives in hours up to the
    cap, every sample after the burn-in of every unit that failed; PHM08 is such a sample's mean with the cap as 125
    cycles; concordance at half of the test. `life_rmse` is of the mean of what may be, and a unit may well live;
    `..._given_failure` is of the mean given a failure before the test's end, which is all that is asked there, and
    whoever presumes it answers; `life_brier` is of the whole curve and of all units. Cost a hundred units.
    """
    judges, known = Judges(watcher), frozen()["test"]
    names = list(known) if sets is None else list(sets)
    done, result = 0, {}
    for name in names:
        rows = []
        for seed in known[name]["seeds"]:
            told = judges.of(simulate(known[name]["settings"], seed))
            rows.append(_figures(judges, told))
            done += 1
            if progress:
                progress(done, sum(len(known[one]["seeds"]) for one in names))
        result[name] = _means(rows) | {"n": len(rows) * len(told)}
    return result


def _figures(judges: Judges, told: Sequence[Told]) -> dict[str, dict[str, float]]:
    """Everybody's figures of one fleet; the model's own under ""."""
    watcher = judges.watcher
    by: dict[str, dict[str, float]] = {"": _forecasts(watcher, told), "run to failure": {}, "fixed age": {}}
    for name in told[0].levels:
        by.setdefault(name, {}).update(_alarms(told, name, judges.thresholds[name]))
    by[""] |= by.pop(OWN)
    for name in told[0].lives:
        by.setdefault(name, {}).update(judges.tellers.figures(told, name))
    by[""] |= by.pop(OWN) | {"life_coverage": judges.tellers.coverage(told)}
    by["run to failure"] = {"decision_cost": fixed_age(told, float("inf"))}
    by["fixed age"] = {"decision_cost": fixed_age(told, judges.age)}
    return by


def _forecasts(watcher: Watcher, told: Sequence[Told]) -> dict[str, float]:
    """Of the first channel: errors as shares of the unit's own level."""
    figures: dict[str, float] = {}
    for i, h in enumerate(watcher.horizons):
        ours, lasts, inside = [], [], []
        for one in told:
            times, y = one.series.times, one.series.values[:, 0]
            there = np.isfinite(y)
            asked = times + h * watcher.interval
            good = there & (asked <= times[there][-1]) & (np.arange(len(times)) >= watcher.config.features.burn_in)
            truth, level = np.interp(asked[good], times[there], y[there]), one.trace.read.mean[good, 0]
            low, median, high = one.trace.forecasts[good, i, 0].T
            ours.append((median - truth) / level)
            lasts.append((y[good] - truth) / level)
            inside.append((low <= truth) & (truth <= high))
        error, last = (float(np.sqrt(np.mean(np.concatenate(e) ** 2))) for e in (ours, lasts))
        figures |= {
            f"forecast_rmse_{h}": error,
            f"forecast_mae_{h}": float(np.abs(np.concatenate(ours)).mean()),
            f"forecast_rmse_relative_{h}": error / last,
            f"forecast_coverage_{h}": float(np.concatenate(inside).mean()),
        }
    return figures


def highest(one: Told, name: str) -> float:
    """The highest level that a unit's alarm ever reached."""
    return float(one.levels[name].max(initial=-np.inf))


def _alarms(told: Sequence[Told], name: str, threshold: float) -> dict[str, float]:
    levels, failed = np.array([highest(one, name) for one in told]), np.array([one.failed for one in told])
    alarmed = levels > threshold
    delays, leads, false, months = [], [], 0, 0.0
    for one in told:
        on = one.levels[name] > threshold
        if one.series.failure is None:
            false += int((np.diff(on.astype(int), prepend=0) == 1).sum())
            months += float(one.series.times[-1] - one.series.times[0]) / MONTH
        elif on.any():
            first = float(one.series.times[on.argmax()])
            leads.append(one.series.failure - first)
            if one.onset:
                delays.append(first - one.onset)
    cost = (
        (COST_FAILURE * (failed & ~alarmed).sum() + (COST_REPLACEMENT + COST_VISIT) * alarmed.sum()) * 100.0 / len(told)
    )
    return {f"alarm_{k}": v for k, v in unit_f1(alarmed, failed).items()} | {
        "alarm_pr_area": pr_area(levels, failed),
        "alarm_delay_hours": float(np.median(delays)) if delays else float("nan"),
        "alarm_lead_hours": float(np.median(leads)) if leads else float("nan"),
        "false_alarms_unit_month": false / max(months, 1e-9),
        "decision_cost": float(cost),
    }


def fixed_age(told: Sequence[Told], age: float) -> float:
    """Cost a hundred units of replacing every unit at an age, having gone there; never, where that is infinite."""
    late = sum(one.failed and (one.series.failure or 0.0) - float(one.series.times[0]) <= age for one in told)
    reached = sum(float(one.series.times[-1] - one.series.times[0]) >= age for one in told)
    return (COST_FAILURE * late + (COST_REPLACEMENT + COST_VISIT) * reached) * 100.0 / len(told)


def _means(rows: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Over seeds, of what is a number in any of them; deviations of the model's own."""
    means: dict[str, dict[str, float]] = {}
    for who in rows[0]:
        means[who] = {}
        for metric in rows[0][who]:
            values = np.array([row[who][metric] for row in rows])
            values = values[np.isfinite(values)]
            means[who][metric] = float(values.mean()) if len(values) else float("nan")
    spread = {}
    for metric in rows[0][""]:
        values = np.array([row[""][metric] for row in rows])
        if np.isfinite(values).sum() > 1:
            spread[metric] = float(values[np.isfinite(values)].std(ddof=1))
    return {"metrics": means.pop(""), "baselines": means, "deviations": spread}
