"""A fleet becomes a folder that watches; what validation saw is told, and what is too little is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dialog.telemetry.series import Fleet, Series
from dialog.telemetry.watcher import Samples, Watcher
from dialog.training import RECIPES
from dialog.training.telemetry.fleet import CHAINS, FleetRecipe, FleetTooSmall, compared, fd001, lasers, train_fleet
from dialog.training.telemetry.stages import Learning, normal_windows, prepare, targets
from models.catalogue import shipped
from models.maintenance.features import Features, FeaturesConfig
from models.maintenance.model import Limit, MaintenanceModel

QUICK = FleetRecipe(
    d_model=8,
    window=4,
    ae_window=16,
    life=Learning(steps=3, units=4, places=6),
    forecast=Learning(steps=3, units=4, places=6),
    normal=Learning(steps=3),
)


def fleet(n: int = 16, length: int = 60) -> Fleet:
    """Ramps, half of which reach 120."""
    rng = np.random.default_rng(0)
    units = []
    for i in range(n):
        times = np.cumsum(rng.uniform(0.8, 1.2, length))
        ramp = (0.4 if i % 2 else 0.0) * times
        values = np.stack([100 + ramp + rng.normal(size=length), 60 + rng.normal(size=length), np.full(length, 5.0)], 1)
        values[rng.random((length, 3)) < 0.05] = np.nan
        failure = float(times[-1]) + 1.0 if i % 2 else None
        units.append(Series(f"u{i}", times, values, failure, f"lot {i // 4}"))
    return Fleet(("current", "temperature", "firmware"), tuple(units))


def test_a_fleet_becomes_a_folder_that_watches(tmp_path: Path) -> None:
    limit = Limit(channel="current", value=1.2, relative=True)
    scores = train_fleet(fleet(), tmp_path, recipe=QUICK, limit=limit, name="mine")
    assert scores["dropped"] == ["firmware"]
    assert scores["units"]["train"] + scores["units"]["held_out"] == 16
    assert {p.name for p in tmp_path.iterdir()} == {"config.json", "model.safetensors", "card.md", "scores.json"}
    assert json.loads((tmp_path / "scores.json").read_text())["validation"]["detector"] == scores["detector"]
    assert "# mine" in (tmp_path / "card.md").read_text()
    watcher = Watcher.load(tmp_path, device="cpu")
    assert watcher.channels == ("current", "temperature")
    assert watcher.interval == pytest.approx(1.0, abs=0.1)
    one = fleet().series[1]
    (told,) = watcher.feed([Samples(one.unit, one.times, one.values[:, :2])])
    assert told.outlook is not None
    assert 0 <= told.outlook.left_low <= told.outlook.left <= told.outlook.left_high <= watcher.cap


def test_a_fleet_without_failures_or_without_lots_can_be_learned(tmp_path: Path) -> None:
    lived = fleet().of([Series(s.unit, s.times, s.values) for s in fleet()])
    scores = train_fleet(lived, tmp_path, recipe=replace(QUICK, mixer="min_rnn"))
    assert (scores["life"], scores["life_by"]) == ({}, "network")
    assert scores["detector"] == "autoencoder"


def test_the_papers_own_chain_is_a_recipe(tmp_path: Path) -> None:
    assert compared(lasers(), "paper").as_in_the_paper
    scores = train_fleet(fleet(), tmp_path, recipe=replace(QUICK, as_in_the_paper=True))
    assert (scores["detector"], scores["life_by"]) == ("autoencoder", "network")
    assert Watcher.load(tmp_path, device="cpu").config.life.head == "regression"


@pytest.mark.parametrize("chain", sorted(CHAINS.keys() - {"paper"}))
def test_a_mixer_takes_the_grus_place_by_one_field(chain: str, tmp_path: Path) -> None:
    train_fleet(fleet(), tmp_path, recipe=compared(QUICK, chain))
    watcher = Watcher.load(tmp_path, device="cpu")
    one = fleet().series[0]
    at_once, steps, state = watcher.feed([Samples("u", one.times, one.values[:, :2])])[0], None, None
    for i in range(len(one.times)):
        (steps,) = watcher.feed([Samples("u", one.times[i : i + 1], one.values[i : i + 1, :2], state)])
        state = steps.state
    assert steps is not None
    assert at_once.outlook is not None
    assert steps.outlook is not None
    np.testing.assert_allclose(steps.outlook.forecast, at_once.outlook.forecast, rtol=1e-3, atol=1e-3)
    assert steps.outlook.left == pytest.approx(at_once.outlook.left, rel=1e-2)


def test_too_little_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(FleetTooSmall, match="expected at least 3 and 1"):
        train_fleet(fleet(4, 10), tmp_path, recipe=QUICK)
    constant = fleet().of([Series(s.unit, s.times, np.full_like(s.values, 2.0)) for s in fleet()])
    with pytest.raises(FleetTooSmall, match="no channel of current, temperature, firmware ever changes"):
        train_fleet(constant, tmp_path, recipe=QUICK)
    with pytest.raises(ValueError, match="none of current, temperature, firmware"):
        train_fleet(fleet(), tmp_path, recipe=QUICK, limit=Limit(channel="power", value=1.0))


def test_what_comes_is_asked_about_by_time_not_by_count() -> None:
    times = np.array([0.0, 1.0, 2.0, 6.0, 10.0])
    series = Series("u", times, 3.0 + 2.0 * times[:, None])
    features = FeaturesConfig(levels=("fleet",), centre=(0.0,), scale=(1.0,))
    (unit,) = prepare(Fleet(("a",), (series,)), Features(features))
    truth, known = targets(unit, (1, 8), 1.0)
    assert known[:, 0, 0].tolist() == [True, True, True, True, False]
    assert known[:, 1, 0].tolist() == [True, True, True, False, False]
    assert float(truth[2, 0, 0]) == pytest.approx(3.0 + 2.0 * 3.0, rel=1e-6)  # between the samples at 2 and 6


def test_the_shipped_recipes_are_small_and_named() -> None:
    assert {"telemetry/fd001", "telemetry/lasers"} <= set(RECIPES)
    assert not RECIPES["telemetry/lasers"].reads_data
    assert {f"telemetry/{fleet}-{chain}" for fleet in ("fd001", "lasers") for chain in CHAINS} <= set(RECIPES)
    assert len(fd001().channels) == 14
    assert fd001().edges[-1] == 125.0
    assert lasers().limit is not None


def test_every_shipped_fleet_model_is_under_its_size() -> None:
    cards = [card for card in shipped() if card.task == "telemetry"]
    assert cards
    for card in cards:
        assert MaintenanceModel.load(card.path, device="cpu").n_parameters < 200_000


def test_normal_windows_are_of_what_was_well(tmp_path: Path) -> None:
    train_fleet(fleet(), tmp_path, recipe=QUICK)
    model = MaintenanceModel.load(tmp_path, device="cpu")
    whole = fleet()
    two = Fleet(whole.channels[:2], tuple(Series(s.unit, s.times, s.values[:, :2], s.failure) for s in whole))
    units = prepare(two, Features(model.config.features))
    windows, whose = normal_windows(model.forecaster, model.autoencoder, units, burn_in=16)
    assert windows.shape[1:] == (4, 16)
    failed = [i for i, u in enumerate(units) if u.series.failure is not None]
    assert all((whose == i).sum() <= 30 for i in failed)  # the first half of sixty samples
