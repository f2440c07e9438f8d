"""The shipped model of lasers behaves on series that anybody can judge."""

import numpy as np
import pytest

from dialog.telemetry.watcher import Samples, Watched, Watcher

TIMES = 8.0 * np.arange(300.0)


@pytest.fixture(scope="module")
def watcher() -> Watcher:
    return Watcher.load("telemetry/lasers", device="cpu")


def fed(watcher: Watcher, current: np.ndarray) -> Watched:
    (told,) = watcher.feed([Samples("laser", TIMES, np.stack([current, np.full(300, 75.0)], 1))], history=True)
    return told


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_steady_laser_raises_no_alarm_and_has_long_to_live(watcher: Watcher, noise: float) -> None:
    told = fed(watcher, 100.0 + noise * np.random.default_rng(0).normal(size=300))
    assert told.history is not None
    assert told.outlook is not None
    assert not told.history.alarm.any()
    assert told.outlook.left > 0.8 * watcher.cap
    low, median, high = told.outlook.forecast[0, 0]
    assert low <= median <= high
    assert median == pytest.approx(100.0, abs=0.5)


def test_a_laser_on_its_way_to_the_limit_is_noticed_before_it_and_has_ever_less_to_live(watcher: Watcher) -> None:
    told = fed(watcher, 100.0 + 0.06 * np.arange(300.0))  # 18 % more in the end
    assert told.outlook is not None
    assert told.history is not None
    assert told.outlook.alarm
    assert told.outlook.alarm_since is not None
    assert told.outlook.alarm_since < TIMES[-1] - 100.0
    left = told.history.left[[80, 160, 240, 299]]
    assert (np.diff(left) < 0).all()
    assert told.outlook.risk > 0.05


def test_a_factor_on_the_current_changes_no_answer(watcher: Watcher) -> None:
    one, other = (fed(watcher, factor * (100.0 + 0.06 * np.arange(300.0))).outlook for factor in (1.0, 1000.0))
    assert one is not None
    assert other is not None
    assert (one.alarm, one.alarm_since) == (other.alarm, other.alarm_since)
    assert other.left == pytest.approx(one.left, rel=1e-3)
    np.testing.assert_allclose(other.forecast[:, 0], 1000.0 * one.forecast[:, 0], rtol=1e-4)
