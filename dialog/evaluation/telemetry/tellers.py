"""How long a simulated laser has left, told by everybody, and what that is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dialog.evaluation.telemetry.lives import BoostedTrees, StillSeen, WeibullOnAge, brier, mean_within
from dialog.evaluation.telemetry.scores import concordance, interval_coverage, phm08, rmse
from dialog.evaluation.telemetry.traces import by_trees, curve_of, extrapolated
from dialog.telemetry.series import Fleet, Floats, Series
from dialog.telemetry.watcher import Trace, Watcher
from models.maintenance.survival import mean_life

OWN = "as shipped"
EVERY = 8
"""Boosted trees that learned regression are asked, and survival curves compared, at every eighth sample."""
TEST_END = "half of what is left of the test"
"""Who knows nothing but when the test ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """What somebody says of a unit's remaining life at its n samples."""

    mean: Floats  # (n,) the cap at most
    given: Floats  # (n,) the mean given that it fails before the test's end
    curves: Floats  # (m, K + 1) survival at every EVERY-th sample


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One unit, and what everybody says of its life."""

    series: Series
    trace: Trace
    lives: Mapping[str, Life]


class Tellers:
    """Everybody who tells it, each taught on the training set; `end` is when the test ends."""

    def __init__(self, watcher: Watcher, train: Fleet, end: float) -> None:
        self.watcher, self.cap, self.end = watcher, watcher.cap, end
        self._ends = np.array([0.0, *watcher.config.life.edges])
        self._trees = BoostedTrees(train.series, [0, 1], self.cap, near=self.cap, every=EVERY)
        self._age = WeibullOnAge(train.series, self.cap)

    def of(self, series: Series, trace: Trace, left: Floats, network: Floats | None) -> dict[str, Life]:
        """left (n,) is what the oracle knows; network (n, K + 1) is that of the shipped one's curve which is not of
        its trees, None where it has none."""
        limit, model = self.watcher.limit, self.watcher.model
        assert limit is not None
        n, age = len(series), series.times - series.times[0]
        at = np.arange(0, n, EVERY)
        held = np.minimum(np.arange(n) // EVERY, len(at) - 1)
        rest = self.end - age
        curves = {"weibull on age": self._age.curves(age, self._ends)}
        points = {
            "linear": extrapolated("linear", trace, series.values, 0, limit),
            "power": extrapolated("power", trace, series.values, 0, limit),
            "gradient boosting": self._trees.left(series, at.tolist())[held],
            TEST_END: rest / 2,
            "oracle": left,
        }
        if network is not None and model.trees is not None:
            curves |= {"network": network, "boosted hazards": by_trees(model.trees, model.config.features, trace)}
        if self.watcher.life_by in ("linear", "power"):
            points[OWN] = trace.left[:, 0]
        else:
            curves[OWN] = trace.curves
        lives = {name: self._of_curves(told, rest) for name, told in curves.items()}
        for name, told in points.items():
            mean = np.minimum(told, self.cap)
            lives[name] = Life(mean, np.minimum(mean, rest), curve_of(told[::EVERY], self._ends))
        return lives

    def _of_curves(self, curves: Floats, rest: Floats) -> Life:
        mean = mean_life(torch.from_numpy(curves), torch.from_numpy(self._ends[1:])).numpy()
        return Life(mean, mean_within(curves, self._ends, rest), curves[::EVERY])

    def figures(self, judged: Sequence[Judged], name: str) -> dict[str, float]:
        """Of one of them: errors at every sample after the burn-in of every unit that failed, and of all units the
        order and the curves."""
        burn_in = self.watcher.config.features.burn_in
        said, given, truth, halves = [], [], [], []
        for one in judged:
            life, remaining = one.lives[name], one.series.remaining()
            if one.series.failure is not None and len(one.series) > burn_in:
                truth.append(np.minimum(remaining, self.cap)[burn_in:])
                said.append(life.mean[burn_in:])
                given.append(life.given[burn_in:])
                middle = int(np.abs(one.series.times - (one.series.times[0] + one.series.times[-1]) / 2).argmin())
                halves.append(abs(life.mean[middle] - remaining[middle]) <= 0.2 * remaining[middle])
        s, g, t = (np.concatenate([*part, np.zeros(0)]) for part in (said, given, truth))
        some = len(s) > 0  # of a small fleet no unit may have failed late enough
        nothing = float("nan")
        middle_of_test = max(float(one.series.times[-1]) for one in judged) / 2
        alive = [one for one in judged if one.series.times[-1] > middle_of_test]
        places = [int((one.series.times <= middle_of_test).sum()) - 1 for one in alive]
        told = [
            (one.series, at[keep], one.lives[name].curves[keep])
            for one in judged
            for at in [np.arange(0, len(one.series), EVERY)]
            for keep in [at >= burn_in]
        ]
        return {
            "life_rmse": rmse(s, t) if some else nothing,
            "life_rmse_given_failure": rmse(g, t) if some else nothing,
            "life_mae": float(np.abs(s - t).mean()) if some else nothing,
            "life_phm08": phm08(s * 125.0 / self.cap, t * 125.0 / self.cap) / len(s) if some else nothing,
            "life_alpha_lambda": float(np.mean(halves)) if some else nothing,
            "life_brier": brier(told, self._ends, StillSeen([one.series for one in judged])),
            "life_concordance": concordance(
                np.array([one.lives[name].mean[p] for one, p in zip(alive, places, strict=True)]),
                np.array([one.series.remaining()[p] for one, p in zip(alive, places, strict=True)]),
                np.array([one.series.failure is not None for one in alive]),
            ),
        }

    def coverage(self, judged: Sequence[Judged]) -> float:
        """Of the shipped interval at half of the life of each unit that failed."""
        rows = []
        for one in judged:
            if one.series.failure is not None:
                i = len(one.series) // 2
                rows.append((*one.trace.left[i, 1:], min(float(one.series.remaining()[i]), self.cap)))
        low, high, truth = np.array(rows).reshape(-1, 3).T
        return interval_coverage(low, high, truth)
