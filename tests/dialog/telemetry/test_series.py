"""A fleet checks itself, and is split by lot."""

import numpy as np
import pytest

from dialog.telemetry.series import Fleet, Series, split


def unit(name: str, lot: str = "", n: int = 3, failure: float | None = None) -> Series:
    return Series(name, np.arange(float(n)), np.zeros((n, 1)), failure, lot)


def test_no_unit_and_no_lot_stands_on_both_sides_of_a_split() -> None:
    fleet = Fleet(("a",), tuple(unit(f"{lot}-{i}", f"lot {lot}") for lot in range(8) for i in range(5)))
    parts = split(fleet, (0.7, 0.3), seed=3)
    lots = [{s.lot for s in part} for part in parts]
    assert not lots[0] & lots[1]
    assert sorted(s.unit for part in parts for s in part) == sorted(s.unit for s in fleet)
    assert abs(len(parts[0]) - 28) <= 5
    assert [s.unit for s in split(fleet, (0.7, 0.3), seed=3)[0]] == [s.unit for s in parts[0]]


@pytest.mark.parametrize(
    ("times", "n", "failure", "match"),
    [
        ([0.0, 0.0], 2, None, "each later"),
        ([1.0, 0.0], 2, None, "each later"),
        ([0.0, np.nan], 2, None, "must be numbers"),
        ([0.0, 1.0], 3, None, r"expected \(n,\) and \(n, C\)"),
        ([0.0, 5.0], 2, 4.0, "failed at 4.0 but was measured until 5.0"),
    ],
)
def test_a_series_that_cannot_be_is_refused(times: list[float], n: int, failure: float | None, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Series("u", np.array(times), np.zeros((n, 1)), failure)


def test_units_of_a_fleet_are_told_apart() -> None:
    with pytest.raises(ValueError, match="twice"):
        Fleet(("a",), (unit("x"), unit("x")))
    with pytest.raises(ValueError, match="has 1 channels, expected 2"):
        Fleet(("a", "b"), (unit("x"),))
