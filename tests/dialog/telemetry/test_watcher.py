"""The port: any portions, any company, any gaps, and a state that is bytes; bad samples harm nobody."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dialog.telemetry.series import Fleet, Series
from dialog.telemetry.state import StaleState
from dialog.telemetry.watcher import LATE, NO_TIME, Samples, Watched, Watcher
from models.maintenance.autoencoder import AlarmConfig, AutoencoderConfig
from models.maintenance.features import FeaturesConfig
from models.maintenance.forecaster import ForecasterConfig
from models.maintenance.life import LifeConfig
from models.maintenance.model import Limit, MaintenanceConfig, MaintenanceModel

SHAPES: dict[str, dict[str, Any]] = {
    "network": {},
    "grown state": {"mixer": "softmax"},
    "chart and line": {"detector": "ewma", "life_by": "linear"},
    "sum and power": {"detector": "cusum", "life_by": "power"},
    "the paper's chain": {"reads": "predicted", "head": "regression"},
}


def build(mixer: str = "gru", detector: Any = "autoencoder", life_by: Any = "network", **more: Any) -> MaintenanceModel:
    torch.manual_seed(0)
    features = FeaturesConfig(
        levels=("relative", "offset"), centre=(0.0, 0.0), scale=(0.01, 1.0), burn_in=8, smooth=(5.0,), squash=True
    )
    n = features.n_features
    return MaintenanceModel(
        MaintenanceConfig(
            channels=("current", "temperature"),
            time_unit="h",
            features=features,
            forecaster=ForecasterConfig(n_features=n, n_channels=2, d_model=16, mixer=mixer, window=5),
            autoencoder=AutoencoderConfig(n_channels=2, window=16, reads=more.get("reads", "both")),
            life=LifeConfig(
                n_features=n,
                edges=(5.0, 20.0, 80.0, 300.0),
                d_model=16,
                mixer=mixer,
                window=5,
                head=more.get("head", "survival"),
            ),
            alarm=AlarmConfig(detector=detector, threshold=1.0, m=2, n=4),
            limit=Limit(channel="current", value=1.2, relative=True),
            life_by=life_by,
        )
    )


@pytest.fixture(params=list(SHAPES))
def watcher(request: Any) -> Watcher:
    return Watcher("test", "v1", build(**SHAPES[request.param]))


@pytest.fixture
def plain() -> Watcher:
    return Watcher("test", "v1", build())


def unit(seed: int, n: int = 40) -> Samples:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.5, 2.0, n))
    values = np.stack([100 + 0.3 * times + rng.normal(size=n), 60 + rng.normal(size=n)], 1)
    values[rng.random((n, 2)) < 0.1] = np.nan
    return Samples(f"unit {seed}", times, values)


def portions(samples: Samples, cuts: list[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for a, b in zip([0, *cuts], [*cuts, len(samples.times)], strict=True):
        yield samples.times[a:b], samples.values[a:b]


def same(a: Watched, b: Watched) -> None:
    assert a.outlook is not None
    assert b.outlook is not None
    one, other = a.outlook, b.outlook
    assert (one.time, one.alarm, one.alarm_since, one.ready) == (
        other.time,
        other.alarm,
        other.alarm_since,
        other.ready,
    )
    for name in ("score", "left", "left_low", "left_high", "risk"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-4, abs=1e-4), name
    np.testing.assert_allclose(one.forecast, other.forecast, rtol=1e-4)


@pytest.mark.parametrize("cuts", [list(range(1, 40)), [0, 3, 3, 30]])
def test_a_stream_says_what_the_whole_says_through_bytes_too(watcher: Watcher, cuts: list[int]) -> None:
    samples = unit(1)
    (whole,) = watcher.feed([samples], history=True)
    state, told, lefts = None, None, []
    for times, values in portions(samples, cuts):
        (told,) = watcher.feed([Samples("x", times, values, state)], history=True)
        state = watcher.restore(told.state.to_bytes())
        assert told.history is not None
        lefts.append(told.history.left)
    assert told is not None
    same(replace(told, unit="unit 1"), whole)
    assert whole.history is not None
    np.testing.assert_allclose(np.concatenate(lefts), whole.history.left, rtol=1e-4, atol=1e-4)


def test_company_and_order_change_nothing(watcher: Watcher) -> None:
    units = [unit(seed, n) for seed, n in ((1, 40), (2, 3), (3, 25), (4, 1))]
    together = watcher.feed(units)
    for samples, told in zip(units, together, strict=True):
        (alone,) = watcher.feed([samples])
        assert told.unit == samples.unit
        same(told, alone)
    for told, other in zip(together, reversed(watcher.feed(units[::-1])), strict=True):
        same(told, other)


def test_the_past_ignores_the_future(plain: Watcher) -> None:
    samples = unit(1)
    later = samples.values.copy()
    later[30:] *= 3.0
    (a,), (b,) = plain.feed([samples], history=True), plain.feed([replace(samples, values=later)], history=True)
    assert a.history is not None
    assert b.history is not None
    np.testing.assert_array_equal(a.history.left[:30], b.history.left[:30])
    np.testing.assert_array_equal(a.history.score[:30], b.history.score[:30])


def test_an_old_state_stays_good(plain: Watcher) -> None:
    samples = unit(1)
    (first,) = plain.feed([replace(samples, times=samples.times[:20], values=samples.values[:20])])
    rest = Samples("x", samples.times[20:], samples.values[20:], first.state)
    same(*(plain.feed([rest])[0] for _ in range(2)))


def test_a_state_weighs_the_same_however_long_a_unit_was_watched(plain: Watcher) -> None:
    (early,), (late,) = plain.feed([unit(1, 20)]), plain.feed([unit(1, 300)])
    assert abs(len(early.state.to_bytes()) - len(late.state.to_bytes())) < 64  # the digits of a date


@pytest.mark.parametrize("detector", ["ewma", "cusum"])
def test_a_constant_series_raises_no_alarm_and_a_line_sees_no_end(detector: str) -> None:
    watcher = Watcher("test", "v1", build(detector=detector, life_by="linear"))
    (told,) = watcher.feed([Samples("c", np.arange(200.0), np.full((200, 2), 7.0))], history=True)
    assert told.history is not None
    assert not told.history.alarm.any()
    assert told.outlook is not None
    assert told.outlook.beyond
    assert told.outlook.left == watcher.cap


def test_a_line_says_less_by_the_time_that_passed() -> None:
    watcher = Watcher("test", "v1", build(life_by="linear"))
    times = np.arange(200.0)
    values = np.stack([100 + 0.08 * times, np.full(200, 60.0)], 1)
    (told,) = watcher.feed([Samples("ramp", times, values)], history=True)
    assert told.history is not None
    np.testing.assert_allclose(np.diff(told.history.left[40:]), -1.0, atol=1e-6)


def test_samples_that_cannot_be_read_are_counted_and_harm_nobody(plain: Watcher) -> None:
    good = unit(2)
    times = np.array([1.0, 2.0, np.nan, 1.5, 2.0, 3.0, np.inf])
    bad = Samples("bad", times, np.full((7, 2), np.inf))
    told, other = plain.feed([bad, good])
    assert told.left_out == {NO_TIME: 2, LATE: 2}
    assert (told.n_read, told.state.n, told.state.last_time) == (3, 3, 3.0)
    assert told.outlook is not None
    assert np.isfinite(told.outlook.forecast).all()
    same(other, plain.feed([good])[0])
    (again,) = plain.feed([Samples("bad", np.array([2.5]), np.zeros((1, 2)), told.state)])
    assert again.left_out == {LATE: 1}
    assert again.outlook is None
    assert again.state.n == 3


def test_nothing_and_one_sample_are_fine(plain: Watcher) -> None:
    nothing, one = plain.feed([Samples("none", np.zeros(0), np.zeros((0, 2))), unit(1, 1)], history=True)
    assert nothing.outlook is None
    assert nothing.state.n == 0
    assert one.outlook is not None
    assert not one.outlook.ready
    assert not one.outlook.alarm
    assert plain.feed([]) == []


def test_what_is_of_another_model_is_refused_in_words(plain: Watcher) -> None:
    (told,) = plain.feed([unit(1)])
    other = Watcher("other", "v2", build())
    with pytest.raises(StaleState, match="model v1, expected schema 1 and model v2"):
        other.restore(told.state.to_bytes())
    with pytest.raises(StaleState, match="no state of a unit"):
        plain.restore(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"expected \(n,\) and \(n, 2\): current, temperature"):
        plain.feed([Samples("x", np.zeros(3), np.zeros((3, 5)))])
    with pytest.raises(ValueError, match="begin it anew"):
        other.feed([Samples("x", np.zeros(0), np.zeros((0, 2)), told.state)])


def test_an_outlook_is_json(plain: Watcher) -> None:
    (told,) = plain.feed([unit(1)], history=True)
    assert told.outlook is not None
    assert told.history is not None
    said = told.outlook.as_json()
    assert np.array(said["forecast"]).shape == (3, 2, 3)
    assert len(told.history.as_json()["left"]) == 40


def test_a_folder_is_loaded_by_name(tmp_path: Path) -> None:
    build().float().save(tmp_path)
    watcher = Watcher.load(tmp_path, device="cpu")
    assert watcher.channels == ("current", "temperature")
    assert (watcher.time_unit, watcher.horizons, watcher.cap) == ("h", (1, 8, 64), 300.0)
    (told,) = watcher.feed([unit(1)])
    assert told.state.version == watcher.version
    assert Fleet(watcher.channels, (Series("a", np.arange(2.0), np.zeros((2, 2))),)).n_failed == 0
