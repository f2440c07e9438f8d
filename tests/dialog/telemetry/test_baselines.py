"""The simple ways, against what can be worked out by hand."""

import numpy as np
import pytest

from dialog.telemetry.baselines import chart, cusum_scores, ewma_scores, linear_left, linear_left_at, power_left_at


def test_a_straight_line_is_followed_to_the_limit_exactly() -> None:
    times = np.arange(100.0)
    values = 1.0 + 0.01 * times
    left = linear_left_at(times, values, np.full(100, 2.5))
    np.testing.assert_allclose(left[1:], 150.0 - times[1:])
    assert left[0] == np.inf
    assert linear_left(times, values, 2.5) == pytest.approx(51.0)
    assert linear_left(times, -values, -2.5, above=False) == pytest.approx(51.0)
    assert linear_left(times, values, 1.5) == 0.0
    assert linear_left(times, -values, 2.5) == np.inf
    assert linear_left(np.zeros(0), np.zeros(0), 1.0) == np.inf


def test_a_power_law_without_noise_is_followed_to_the_limit_exactly() -> None:
    times = np.arange(1.0, 200.0)
    values = 100.0 * (1 + 0.002 * (times - 1.0) ** 0.7)
    fails = 1.0 + (0.2 / 0.002) ** (1 / 0.7)
    left = power_left_at(times, values, np.full(199, 100.0), np.full(199, 120.0), 1.0)
    np.testing.assert_allclose(left[5:], fails - times[5:], rtol=1e-6)


def test_missing_values_and_uneven_times_change_no_line() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.1, 5.0, 80))
    values = 3.0 + 0.5 * times
    values[rng.random(80) < 0.3] = np.nan
    left = linear_left_at(times, values, np.full(80, 500.0))
    np.testing.assert_allclose(left[10:], 994.0 - times[10:])


def test_charts_are_as_by_hand_and_may_be_fed_in_portions() -> None:
    z = np.random.default_rng(1).normal(size=(60, 2))
    mean, up, down = np.zeros(2), np.zeros(2), np.zeros(2)
    ewma, cusum = [], []
    for row in z:
        mean = 0.1 * row + 0.9 * mean
        up, down = np.maximum(0, up + row - 0.5), np.maximum(0, down - row - 0.5)
        ewma.append(np.abs(mean).max() / np.sqrt(0.1 / 1.9))
        cusum.append(max(up.max(), down.max()))
    for scores, by_hand in ((ewma_scores, ewma), (cusum_scores, cusum)):
        whole, _ = scores(z, chart(2))
        np.testing.assert_allclose(whole, by_hand, atol=1e-12)
        first, state = scores(z[:17], chart(2))
        second, _ = scores(z[17:], state)
        np.testing.assert_allclose(np.concatenate([first, second]), by_hand, atol=1e-12)
        assert len(scores(z[:0], state)[0]) == 0
