"""The simulator keeps what it says of itself; the frozen sets share nothing."""

from dataclasses import replace

import numpy as np
import pytest

from dialog.telemetry.simulator import FAMILIES, LaserSettings, acceleration, frozen, simulate

SMALL = LaserSettings(lots=4, units=10, hours=1500.0)


def only(family: str) -> LaserSettings:
    return replace(SMALL, families={family: 1.0})


def test_the_same_seed_gives_the_same_fleet_and_another_another() -> None:
    one, again, other = simulate(SMALL, 3), simulate(SMALL, 3), simulate(SMALL, 4)
    for a, b in zip(one.fleet, again.fleet, strict=True):
        np.testing.assert_array_equal(a.times, b.times)
        np.testing.assert_array_equal(a.values, b.values)
        assert (a.unit, a.lot, a.failure) == (b.unit, b.lot, b.failure)
    assert any(len(a) != len(b) for a, b in zip(one.fleet, other.fleet, strict=True))


def test_time_runs_as_in_use_where_stress_is_use() -> None:
    settings = replace(SMALL, stress_current=1.0)
    assert acceleration(settings, settings.use_temperature, 0.7, 1.5) == pytest.approx(1.0)
    assert acceleration(settings, 85.0, 0.7, 1.5) == pytest.approx(
        np.exp(0.7 / 8.617333e-5 * (1 / 313.15 - 1 / 358.15))
    )


def test_stable_units_are_all_censored_and_sudden_ones_all_fail() -> None:
    assert simulate(only("stable"), 1).fleet.n_failed == 0
    assert simulate(only("sudden"), 1).fleet.n_failed >= 38
    for series, truth in zip(*(lambda s: (s.fleet, s.truth))(simulate(only("rapid"), 1)), strict=True):
        assert truth.family == "rapid"
        if series.failure is not None:
            np.testing.assert_allclose(truth.left, series.failure - series.times)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_unit_is_measured_until_its_degradation_passes_the_limit(family: str) -> None:
    simulated = simulate(only(family), 2)
    for series, truth in zip(simulated.fleet, simulated.truth, strict=True):
        assert (truth.degradation < SMALL.limit + 1e-6).all()
        assert series.times[-1] <= (SMALL.hours if series.failure is None else series.failure)


def test_the_shares_are_about_what_was_asked_for() -> None:
    simulated = simulate(LaserSettings(lots=20, units=20, missing=0.05), 9)
    kinds = [t.family for t in simulated.truth]
    assert kinds.count("stable") / len(kinds) == pytest.approx(0.84, abs=0.06)
    assert 0.02 <= simulated.fleet.n_failed / len(kinds) <= 0.12
    missing = np.mean([np.isnan(s.values).mean() for s in simulated.fleet])
    assert missing == pytest.approx(0.05, abs=0.005)


def test_no_frozen_set_shares_a_unit_with_another() -> None:
    sets = frozen()
    rows = [("train", sets["train"]), ("validation", sets["validation"]), *sets["test"].items()]
    seeds = [seed for _, row in rows for seed in row["seeds"]]
    assert len(seeds) == len(set(seeds))
    units = [s.unit for _, row in rows for s in simulate(replace(row["settings"], lots=2), row["seeds"][0]).fleet]
    assert len(units) == len(set(units))
    assert sets["train"]["settings"].families["rapid"] == 0  # the family that is held out
    assert 100.0 not in sets["train"]["settings"].temperatures  # and the stress


@pytest.mark.parametrize("fields", [{"families": {"odd": 1.0}}, {"families": {"stable": 0.5}}, {"lots": 0}])
def test_settings_that_cannot_be_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        replace(SMALL, **fields)  # type: ignore[arg-type]
