"""Boosted trees as tensors: what scikit-learn says, in other words; and who is chosen to tell the remaining life."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from dialog.telemetry.series import Fleet, Series
from dialog.telemetry.watcher import Samples, Watcher
from dialog.training.telemetry.choices import choose_life
from dialog.training.telemetry.fleet import FleetRecipe, train_fleet
from dialog.training.telemetry.stages import Learning, prepare
from dialog.training.telemetry.trees import as_tensors, learn_trees
from models.maintenance.features import Features, FeaturesConfig
from models.maintenance.model import MaintenanceModel
from models.maintenance.trees import TreesConfig, drifts
from tests.dialog.telemetry.test_watcher import build

FEATURES = FeaturesConfig(levels=("fleet",), centre=(0.0,), scale=(1.0,), smooth=(4.0,), age=True)
EDGES = (5.0, 20.0, 80.0, 300.0)


def ramps(n: int = 24, lived: int = 8) -> Fleet:
    """Units that fail at a value of 1, each at its own pace, and some that do not move."""
    rng = np.random.default_rng(0)
    units = []
    for i in range(n):
        life = 0.0 if i < lived else float(rng.uniform(60, 140))
        times = np.arange(life or 100.0)
        level = times / life if life else 0.0 * times
        units.append(Series(f"u{i}", times, (level + 0.02 * rng.normal(size=len(times)))[:, None], life or None))
    return Fleet(("wear",), tuple(units))


def test_trees_as_tensors_say_what_they_said_where_they_were_learned() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(800, 3)), rng.integers(0, 4, (800, 1))], 1).astype(np.float32)
    y = rng.random(800) < 1 / (1 + np.exp(-x[:, 0] * x[:, 1] + 0.4 * x[:, 3]))
    with threadpool_limits(1):
        model = HistGradientBoostingClassifier(max_iter=12, max_leaf_nodes=6, min_samples_leaf=5, early_stopping=False)
        model.fit(x, y)
        asked = np.concatenate([np.repeat(x[:50, :3], 4, 0), np.tile(np.arange(4.0), 50)[:, None]], 1)
        told = model.predict_proba(asked)[:, 1].reshape(50, 4)
    trees = as_tensors(model, TreesConfig(n_inputs=3, n_bins=4, n_trees=12, n_leaves=8))  # two leaves to spare
    hazards = torch.sigmoid(trees.logits(torch.from_numpy(x[:50, :3])))
    np.testing.assert_allclose(hazards.numpy(), told, atol=1e-5)
    np.testing.assert_allclose(trees(torch.from_numpy(x[:50, :3]))[:, 1:].numpy(), np.cumprod(1 - told, 1), atol=1e-4)


def test_trees_learn_who_fails_and_when_and_units_that_lived_count() -> None:
    units = prepare(ramps(), Features(FEATURES))
    trees = learn_trees(units, FEATURES, EDGES)
    told = [trees(drifts(FEATURES, unit.features)).numpy() for unit in units]
    assert np.median([curve[-5, 1] for curve in told[8:]]) < 0.6  # five from the end: an end is near
    assert np.median([curve[50, 2] for curve in told[:8]]) > 0.9  # nothing moves
    with pytest.raises(ValueError, match="nothing to tell apart"):
        learn_trees(units[:8], FEATURES, EDGES)


def test_who_tells_the_life_best_is_chosen_kept_and_loaded(tmp_path: Path) -> None:
    quick = Learning(steps=1, units=4, places=6)
    recipe = FleetRecipe(d_model=8, window=4, ae_window=16, life=quick, forecast=quick, normal=quick)
    fleet = ramps(32)
    scores = train_fleet(fleet, tmp_path, recipe=recipe)
    assert scores["life_by"] in ("trees", "network and trees")  # a step of learning teaches a network nothing
    figures = scores["life"]
    assert {"network", "regression", "trees", "network and trees"} <= set(figures)
    assert figures[scores["life_by"]]["brier"] == min(row["brier"] for row in figures.values())
    watcher = Watcher.load(tmp_path, device="cpu")
    assert watcher.life_by == scores["life_by"]
    one = fleet.series[-1]
    (whole,) = watcher.feed([Samples("x", one.times, one.values)], history=True)
    state, lefts = None, []
    for i in range(len(one)):
        (told,) = watcher.feed([Samples("x", one.times[i : i + 1], one.values[i : i + 1], state)])
        state = watcher.restore(told.state.to_bytes())
        assert told.outlook is not None
        lefts.append((told.outlook.left_low, told.outlook.left, told.outlook.left_high))
    assert whole.history is not None
    np.testing.assert_allclose([row[1] for row in lefts], whole.history.left, rtol=1e-3, atol=1e-3)
    assert all(low <= left <= high for low, left, high in lefts)


def test_with_too_few_failures_the_network_tells_it() -> None:
    model = build("gru", "ewma").float()
    lived = Fleet(
        ("current", "temperature"), tuple(Series(f"u{i}", np.arange(40.0), np.ones((40, 2))) for i in range(4))
    )
    chosen, who, figures = choose_life(model, lived)
    assert (who, figures, chosen.config.life_by) == ("network", {}, "network")
    assert isinstance(chosen, MaintenanceModel)
