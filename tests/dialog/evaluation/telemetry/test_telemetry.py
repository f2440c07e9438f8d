"""The figures of telemetry, against what can be worked out by hand; the task on a small copy of the engines."""

import json
from pathlib import Path

import numpy as np
import pytest

from dialog.evaluation.tasks import TASKS
from dialog.evaluation.telemetry import lasers as telemetry_lasers
from dialog.evaluation.telemetry.lives import BoostedTrees, StillSeen, WeibullOnAge, brier, mean_within
from dialog.evaluation.telemetry.scores import (
    alarm_level,
    best_threshold,
    concordance,
    interval_coverage,
    phm08,
    pr_area,
    rmse,
    unit_f1,
)
from dialog.evaluation.telemetry.telemetry import evaluate_telemetry
from dialog.telemetry.series import Series
from dialog.telemetry.simulator import LaserSettings


def test_late_is_worse_than_early() -> None:
    truth = np.array([50.0, 50.0])
    assert phm08(truth, truth) == 0.0
    assert phm08(np.array([60.0, 37.0]), truth) == pytest.approx(2 * (np.e - 1))
    assert phm08(np.array([1e9]), np.array([0.0])) < float("inf")
    assert rmse(np.array([3.0, 5.0]), np.array([0.0, 1.0])) == pytest.approx(12.5**0.5)


def test_concordance_counts_the_pairs_that_can_be_compared() -> None:
    left, failed = np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, True, False])
    assert concordance(left, left, failed) == 1.0
    assert concordance(-left, left, failed) == 0.0
    assert concordance(np.ones(4), left, failed) == 0.5
    assert np.isnan(concordance(left, left, np.zeros(4, bool)))


def test_an_alarm_of_m_in_n_stands_below_its_level() -> None:
    scores = np.random.default_rng(0).normal(size=50)
    level = alarm_level(scores, 3, 5)
    for threshold in (-0.5, 0.0, 0.7):
        by_hand = [sum(scores[max(0, t - 4) : t + 1] > threshold) >= 3 for t in range(50)]
        assert (level > threshold).tolist() == by_hand


def test_the_best_threshold_lies_between_the_units_it_parts() -> None:
    levels, failed = np.array([1.0, 2.0, 8.0, 9.0, 2.5]), np.array([False, False, True, True, False])
    threshold, f1 = best_threshold(levels, failed)
    assert (2.5 < threshold < 8.0, f1) == (True, 1.0)
    assert pr_area(levels, failed) == 1.0
    assert unit_f1(levels > 8.5, failed) == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}
    assert interval_coverage(np.zeros(2), np.ones(2), np.array([0.5, 2.0])) == 0.5


def test_age_alone_knows_a_weibull_fleet() -> None:
    rng = np.random.default_rng(0)
    lives = 200.0 * rng.weibull(3.0, 400)
    units = [
        Series(str(i), np.array([0.0, min(life, 250.0)]), np.zeros((2, 1)), life if life <= 250.0 else None)
        for i, life in enumerate(lives)
    ]
    left = WeibullOnAge(units, cap=500.0).left(np.array([0.0, 150.0]))
    assert left[0] == pytest.approx(lives.mean(), rel=0.05)
    assert left[1] == pytest.approx((lives[lives > 150] - 150).mean(), rel=0.15)


def test_boosted_trees_read_a_ramp() -> None:
    units = [Series(str(i), np.arange(80.0), (np.arange(80.0) + 0.1 * i)[:, None], 79.0) for i in range(10)]
    trees = BoostedTrees(units, [0], cap=60.0, near=80.0)
    said = trees.left(units[3], [20, 40, 70])
    np.testing.assert_allclose(said, [59.0, 39.0, 9.0], atol=6.0)


def write(folder: Path, n: int) -> None:
    """n engines in the manner of FD001, whose sensors wear on."""
    rng = np.random.default_rng(1)
    lines: dict[str, list[str]] = {"train": [], "test": [], "RUL": []}
    for part in ("train", "test"):
        for unit in range(1, n + 1):
            life = int(rng.integers(130, 180))
            seen = life if part == "train" else int(rng.integers(60, life))
            for cycle in range(1, seen + 1):
                worn = (cycle / life) ** 3 + 0.05 * rng.normal(size=24)
                lines[part].append(" ".join([str(unit), str(cycle), *(f"{v:.4f}" for v in worn)]))
            if part == "test":
                lines["RUL"].append(str(life - seen))
    for part, rows in lines.items():
        (folder / f"{part}_FD001.txt").write_text("\n".join(rows) + "\n")


def test_the_task_says_every_figure_of_the_engines(tmp_path: Path) -> None:
    (tmp_path / "cmapss").mkdir()
    write(tmp_path / "cmapss", 6)
    result = TASKS["telemetry"]([tmp_path], model="telemetry/fd001")
    assert (result["task"], result["model"], result["n"]) == ("telemetry", "telemetry/fd001", 6)
    assert result["metrics"]["cmapss_fd001_rmse"] > 0
    assert set(result["baselines"]) == {"gradient boosting", "weibull on age"}
    for row in result["baselines"].values():
        assert set(row) <= set(result["metrics"])


def test_a_folder_without_engines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a folder with test_FD001\.txt"):
        TASKS["telemetry"]([tmp_path])


def test_the_lasers_are_told_by_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"stable": 0.5, "gradual": 0.3, "rapid": 0.1, "sudden": 0.1}
    settings = LaserSettings(lots=4, units=8, hours=1500.0, families=kinds, intervals=(12.0,))
    small = {
        "train": {"settings": settings, "seeds": [1]},
        "validation": {"settings": settings, "seeds": [2]},
        "test": {name: {"settings": settings, "seeds": [3, 4]} for name in ("in family", "other")},
    }
    monkeypatch.setattr(telemetry_lasers, "frozen", lambda: small)
    steps: list[tuple[int, int]] = []
    result = evaluate_telemetry(progress=lambda done, n: steps.append((done, n)))
    assert steps[:4] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert steps[4:] == [(1, 2), (2, 2)], "the services stand after the lasers"
    assert result["model"].startswith("telemetry/lasers and ")
    assert result["service"]["n"] > 0
    assert "simulated" in result["simulated"]
    assert result["n"] == 64
    metrics, baselines = result["metrics"], result["baselines"]
    for h in (1, 8, 64):
        assert 0 < metrics[f"forecast_rmse_relative_{h}"] < 2
        assert 0 <= metrics[f"forecast_coverage_{h}"] <= 1
    assert {"autoencoder", "ewma", "cusum", "isolation forest", "oracle"} <= set(baselines)
    assert {"linear", "power", "weibull on age", "gradient boosting", "oracle"} <= set(baselines)
    assert {"run to failure", "fixed age"} <= set(baselines)
    assert all(0 <= row["alarm_f1"] <= 1 for row in baselines.values() if "alarm_f1" in row)
    assert baselines["oracle"]["life_rmse"] < metrics["life_rmse"]
    assert set(result["sets"]) == {"in family", "other"}
    json.dumps(result, allow_nan=False)


def test_who_is_still_watched_is_what_is_left_after_the_censored() -> None:
    def unit(name: str, age: float, failed: bool) -> Series:
        return Series(name, np.array([0.0, age]), np.zeros((2, 1)), age if failed else None)

    seen = StillSeen([unit("a", 1.0, False), unit("b", 2.0, True), unit("c", 3.0, False), unit("d", 4.0, True)])
    ages = np.array([0.5, 1.0, 1.5, 2.5, 3.5, 9.0])
    np.testing.assert_allclose(seen(ages), [1.0, 1.0, 0.75, 0.75, 0.375, 0.375])


def test_the_true_curve_has_the_least_error_though_most_are_censored() -> None:
    rng = np.random.default_rng(0)
    ends, units = np.array([0.0, 10.0, 20.0, 30.0]), []
    for i in range(3000):
        life, until = float(rng.exponential(20.0)), float(rng.uniform(5.0, 60.0))
        units.append(
            Series(str(i), np.array([0.0, min(life, until)]), np.zeros((2, 1)), life if life < until else None)
        )
    seen = StillSeen(units)

    def error(mean: float) -> float:
        curve = np.exp(-ends / mean)[None]
        return brier([(unit, np.array([0]), curve) for unit in units], ends, seen)

    right = error(20.0)
    s = np.exp(-ends[1:] / 20.0)
    assert right == pytest.approx(float((s * (1 - s)).mean()), abs=0.01)  # as if nobody had been censored
    assert right < min(error(mean) for mean in (10.0, 15.0, 27.0, 60.0))


def test_a_mean_within_a_span_is_that_of_what_ends_there() -> None:
    ends = np.array([0.0, 10.0, 40.0, 100.0])
    curves = np.array([[1.0, 0.7, 0.4, 0.3], [1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    rng = np.random.default_rng(0)
    lives = np.interp(rng.random(200_000), 1 - curves[0], ends, right=np.inf)  # drawn from the curve
    for rest in (5.0, 25.0, 70.0, 500.0):
        by_hand = lives[lives <= rest].mean()
        said = mean_within(curves, ends, np.full(3, rest))
        assert said[0] == pytest.approx(by_hand, rel=0.02)
        assert said[1] == rest / 2  # nothing ends: nothing is known
    assert mean_within(curves, ends, np.zeros(3)).tolist() == [0.0, 0.0, 0.0]
