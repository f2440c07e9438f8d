"""Raw samples become features the same way whether they come at once or one by one, whatever their scale and gaps."""

import numpy as np
import pytest

from models.maintenance.features import Features, FeaturesConfig, UnitSoFar


def config(**fields: object) -> FeaturesConfig:
    given: dict[str, object] = {
        "levels": ("relative", "offset", "fleet"),
        "centre": (0.0, 0.0, 5.0),
        "scale": (0.01, 2.0, 3.0),
        "burn_in": 6,
        "smooth": (4.0, 9.0),
        "age": True,
        "squash": True,
    }
    return FeaturesConfig(**(given | fields))  # type: ignore[arg-type]


def samples(n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.5, 3.0, n))
    values = np.array([100.0, 0.0, 5.0]) + rng.normal(size=(n, 3)) * [1.0, 2.0, 3.0]
    values[rng.random((n, 3)) < 0.2] = np.nan
    return times, values


def read(features: Features, times: np.ndarray, values: np.ndarray, cuts: tuple[int, ...]) -> np.ndarray:
    state: UnitSoFar = features.initial_state()
    parts, before = [], 0
    for cut in (*cuts, len(times)):
        got, state = features.read(times[before:cut], values[before:cut], state)
        parts.append(got.features)
        before = cut
    return np.concatenate(parts)


@pytest.mark.parametrize("cuts", [(1,), (0, 5, 5, 17), tuple(range(1, 40))])
def test_samples_may_come_in_any_portions(cuts: tuple[int, ...]) -> None:
    features = Features(config())
    times, values = samples()
    np.testing.assert_allclose(read(features, times, values, cuts), read(features, times, values, ()), atol=1e-5)


def test_the_past_ignores_the_future() -> None:
    features = Features(config())
    times, values = samples()
    other = values.copy()
    other[25:] *= 7.0
    np.testing.assert_array_equal(read(features, times, values, ())[:25], read(features, times, other, ())[:25])


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e6])
def test_a_factor_on_all_values_of_a_unit_changes_nothing_where_levels_are_its_own(factor: float) -> None:
    features = Features(config(levels=("relative",) * 3, centre=(0.0,) * 3))
    times, values = samples()
    values = np.abs(values) + 1.0
    np.testing.assert_allclose(
        read(features, times, factor * values, ()), read(features, times, values, ()), rtol=1e-4, atol=1e-5
    )


def test_a_missing_value_is_told_and_the_last_known_stands_in() -> None:
    features = Features(config())
    times, values = samples()
    values[10, 1] = np.nan
    got, _ = features.read(times, values, features.initial_state())
    assert got.features[10, 3 + 1] == 1.0
    assert got.values[10, 1] == got.values[9, 1]


def test_what_is_normalised_can_be_told_in_the_channels_own_unit() -> None:
    features = Features(config())
    times, values = samples()
    got, _ = features.read(times, values, features.initial_state())
    raw = features.raw(got.values, got.level, got.unit)
    known = np.isfinite(values) & (np.arange(len(times)) >= 15)[:, None]
    np.testing.assert_allclose(raw[known], values[known])


def test_absurd_values_stay_finite() -> None:
    features = Features(config())
    times, values = samples()
    values[5], values[6], values[7] = np.inf, 1e308, -1e308
    got, _ = features.read(times, values, features.initial_state())
    assert np.isfinite(got.features).all()
    assert np.isfinite(got.values).all()


@pytest.mark.parametrize(
    "fields", [{"scale": (0.0, 1.0, 1.0)}, {"levels": ("relative",)}, {"levels": ("up",) * 3}, {"burn_in": 0}]
)
def test_a_config_that_cannot_be_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected|must"):
        config(**fields)
