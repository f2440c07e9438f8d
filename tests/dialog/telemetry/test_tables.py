"""Anybody's table becomes a fleet, or a clear word; one bad unit harms no other."""

import io
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dialog.telemetry.cells import as_instant, as_number
from dialog.telemetry.fleet_watch import factor
from dialog.telemetry.layout import UnreadableTable
from dialog.telemetry.tables import AFTER_FAILURE, NO_TIME, NO_UNIT, NOT_AFTER, TEXT, UNEVEN, Reading, read_fleet


def read(text: str, **told: object) -> Reading:
    return read_fleet(io.BytesIO(text.encode()), **told)  # type: ignore[arg-type]


LONG = "unit,time_h,current\na,0,1.0\na,2,1.1\nb,0,5\nb,2,\nb,4,6\n"


def test_a_row_a_sample_is_read_with_its_unit_of_time() -> None:
    fleet = read(LONG).fleet
    assert (fleet.channels, fleet.time_unit) == (("current",), "h")
    a, b = fleet
    np.testing.assert_array_equal(a.values[:, 0], [1.0, 1.1])
    np.testing.assert_array_equal(b.values[:, 0], [5, math.nan, 6])
    assert a.failure is None


@pytest.mark.parametrize(
    "text",
    [
        "time_h,unit,channel,value\n0,a,current,1.0\n0,b,current,5\n2,b,current,\n2,a,current,1.1\n4,b,current,6\n",
        "hours,laser 1,laser 2\n0,1.0,5\n2,1.1,\n4,,6\n",
        "unit;0;2;4\na;1,0;1,1;\nb;5;;6\n",
    ],
    ids=["tidy", "a column a unit", "a column an instant, decimal commas"],
)
def test_every_shape_holds_the_same_measurements(text: str) -> None:
    a, b = read(text).fleet
    np.testing.assert_array_equal(a.times, [0, 2])
    np.testing.assert_array_equal(a.values[:, 0], [1.0, 1.1])
    known = ~np.isnan(b.values[:, 0])
    np.testing.assert_array_equal(b.times[known], [0, 4])
    np.testing.assert_array_equal(b.values[known, 0], [5, 6])


def test_dates_count_from_the_first_sample_of_each_unit() -> None:
    reading = read("device,timestamp,x\na,2025-01-01T00:00:00Z,1\na,2025-01-02 01:00,2\nb,03.02.2025 00:00,1\n")
    a, b = reading.fleet
    np.testing.assert_allclose(a.times, [0, 25])
    assert b.times.tolist() == [0.0]
    assert reading.began["b"].isoformat() == "2025-02-03T00:00:00+00:00"
    days = read("device,timestamp,x\na,2025-01-01,1\na,2025-01-03,2\n", time_unit="d").fleet
    np.testing.assert_allclose(days.series[0].times, [0, 2])


def test_a_date_with_slashes_is_asked_about_and_not_guessed() -> None:
    with pytest.raises(UnreadableTable, match="day or the month first"):
        read("unit,time,x\na,01/02/2025,1\n")


@pytest.mark.parametrize(
    ("text", "failure", "n"),
    [
        ("unit,cycle,x,failed\na,1,1,0\na,2,1,0\na,3,1,1\na,4,1,1\n", 3, 3),
        ("unit,cycle,x,event\na,1,1,1\na,2,1,1\n", 2, 2),
        ("unit,cycle,x,status\na,1,1,ok\na,2,1,FAILED\n", 2, 2),
        ("unit,cycle,x,failure_time\na,1,1,9\na,2,1,9\n", 9, 2),
        ("unit,cycle,x,rul\na,1,1,5\na,2,1,4\n", 6, 2),
        ("unit,cycle,x,failed\na,1,1,0\na,2,1,no\n", None, 2),
    ],
)
def test_failures_may_be_told_in_many_ways(text: str, failure: float | None, n: int) -> None:
    (one,) = read(text).fleet
    assert (one.failure, len(one)) == (failure, n)


def test_what_cannot_be_used_is_counted_by_unit_and_the_others_are_unharmed() -> None:
    reading = read(
        "unit,time_h,x,note\n"
        "a,0,1,fine\na,1,broken sensor,fine\na,0.5,3,the clock went back\na,2,4,\n"
        "b,never,1,\nc,0,7,one sample\n,1,1,nobody\nd,0,1,too,many,cells\ne,0,1,\ne,1,2,\n"
    )
    units = {one.unit: one for one in reading.fleet}
    assert set(units) == {"a", "c", "e"}
    assert units["a"].times.tolist() == [0, 1, 2]
    assert math.isnan(units["a"].values[1, 0])
    assert reading.left_out["a"] == {TEXT: 1, NOT_AFTER: 1}
    assert reading.left_out["b"] == {NO_TIME: 1}
    assert reading.left_out[""] == {NO_UNIT: 1, UNEVEN: 1}
    assert any("note" in word for word in reading.notes)


def test_rows_after_a_failure_are_left_out() -> None:
    reading = read("unit,cycle,x,failed\na,1,1,0\na,2,1,1\na,3,1,0\n")
    assert len(reading.fleet.series[0]) == 2
    assert reading.left_out["a"] == {AFTER_FAILURE: 1}


def test_a_table_in_no_order_is_put_in_it() -> None:
    reading = read("unit,time,x\n" + "".join(f"a,{i},{i}\n" for i in reversed(range(10))))
    np.testing.assert_array_equal(reading.fleet.series[0].values[:, 0], range(10))
    assert any("order of time" in word for word in reading.notes)


def test_a_column_in_which_time_starts_anew_names_the_units() -> None:
    reading = read("pump,state,hour,vibration\n" + "".join(f"P{i // 5},ok,{i % 5},{i}\n" for i in range(15)))
    assert [one.unit for one in reading.fleet] == ["P0", "P1", "P2"]
    assert any("told apart by the column pump" in word for word in reading.notes)
    one = read("state,hour,x\n" + "".join(f"{'warm' if i > 3 else 'ok'},{i},{i}\n" for i in range(9)))
    assert len(one.fleet.series) == 1


def test_what_nobody_told_is_said() -> None:
    one = read("x,y\n1,2\n3,4\n")
    assert one.fleet.time_unit == "cycle"
    assert any("no column for the unit" in word for word in one.notes)
    assert any("nobody told the unit" in word for word in read("unit,time,x\na,0,1\n").notes)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("unit,time,x\n", "no rows"),
        ("unit,time,x\na,0,low\na,1,high\n", "no column holds measurements"),
        ("unit,time,x\na,soon,1\nb,later,1\n", "expected numbers or dates"),
        ("unit,time_h,x\na,,1\na,,1\n", "no row could be used"),
    ],
)
def test_a_table_that_is_none_is_told_why(text: str, word: str) -> None:
    with pytest.raises(UnreadableTable, match=word):
        read(text)


def test_columns_and_channels_may_be_told() -> None:
    text = "Which,When [d],p1,p2\na,0,1,2\na,1,3,4\n"
    reading = read(text, columns={"unit": "which", "time": "When [d]"}, channels=["p2"])
    assert reading.fleet.channels == ("p2",)
    assert reading.fleet.time_unit == "d"
    np.testing.assert_array_equal(reading.fleet.series[0].values[:, 0], [2, 4])
    with pytest.raises(UnreadableTable, match="no column for the channel p3; there are Which"):
        read(text, channels=["p3"])
    with pytest.raises(UnreadableTable, match="no column 'who'"):
        read(text, columns={"unit": "who"})


def test_decimal_commas_may_stand_in_the_times_too() -> None:
    comma = read("unit;time_h;current\na;0,0;1,0\na;0,5;1,1\nb;0,0;5\nb;1,5;6\n").fleet
    assert [one.times.tolist() for one in comma] == [[0.0, 0.5], [0.0, 1.5]]
    named = read("pump;time_h;current\nx;0,0;1,0\nx;0,5;1,1\ny;0,0;5\ny;1,5;6\n").fleet
    assert [one.unit for one in named] == ["x", "y"]


@pytest.mark.parametrize(("each", "unit"), [(1, "s"), (1000, "ms")])
def test_the_clock_of_a_computer_is_known_by_its_numbers(each: int, unit: str) -> None:
    rows = "".join(f"a,{(1_770_000_000 + 3600 * i) * each},{i}\n" for i in range(4))
    found = read(f"unit,timestamp,current\n{rows}")
    assert found.fleet.time_unit == unit
    assert any("since 1970" in note for note in found.notes)
    assert factor(unit, "h") * np.diff(found.fleet.series[0].times)[0] == pytest.approx(1.0)
    assert read(f"unit,timestamp,current\n{rows}", time_unit="h").fleet.time_unit == "h"  # what is told is obeyed


def test_parquet_holds_what_csv_holds(tmp_path: Path) -> None:
    table = pa.table({"unit": [1.0, 1.0, 2.0], "time_h": [0, 2, 0], "current": [1.0, None, 5.0], "failed": [False] * 3})
    pq.write_table(table, tmp_path / "fleet.parquet")
    a, b = read_fleet(tmp_path / "fleet.parquet").fleet
    assert (a.unit, b.unit) == ("1", "2")
    np.testing.assert_array_equal(a.values[:, 0], [1.0, math.nan])
    with pytest.raises(UnreadableTable, match="parquet"):
        read_fleet(io.BytesIO(b"PAR1" + b"x" * 100))


def test_numbers_and_instants() -> None:
    assert as_number("3,5", comma=True) == 3.5
    assert as_number("3,5") is None
    assert math.isnan(as_number("inf") or 0)
    assert as_number(" 1e3 ") == 1000
    assert as_instant("1970-01-01T01:00:00+01:00") == 0
    assert as_instant("1970-01-01 00:00:00,250") == 0.25
    assert math.isnan(as_instant("tomorrow"))


@pytest.mark.parametrize(
    ("cell", "comma", "value"),
    [
        ("1.234,5", True, 1234.5),
        ("-12.345.678,25", True, -12345678.25),
        ("1\u00a0234,5", True, 1234.5),
        ("1'234.5", False, 1234.5),
        ("1,234.5", False, 1234.5),
        ("1,234.5", True, 1234.5),
        ("1.234", True, 1.234),  # nobody can know
        ("1.23,4", True, None),
        ("1.234,5", False, None),
        ("12,34.5", False, None),
    ],
)
def test_thousands_may_be_set_apart_where_a_decimal_sign_follows(cell: str, comma: bool, value: float | None) -> None:
    assert as_number(cell, comma=comma) == value


def test_a_title_above_the_header_is_passed_over() -> None:
    table = "unit;time_h;current\na;0;1.001,5\na;1;1.002,5\n"
    for title in ("Halle 3;;\n;;\n", "Halle 3, alle Anlagen;;\n", "Export\n\n"):
        (one,) = read(title + table).fleet
        assert one.values[:, 0].tolist() == [1001.5, 1002.5]
    assert read("x\n1\n2\n").fleet.channels == ("x",)  # a table of one column has no title


@pytest.mark.parametrize("text", ["a,0,1.5\na,1,1.6\n", "0;1,5\n1;1,6\n"])
def test_a_table_without_names_is_not_read_as_if_its_first_line_were_names(text: str) -> None:
    with pytest.raises(UnreadableTable, match="first line holds numbers"):
        read(text)


def test_columns_called_by_numbers_are_channels_where_the_others_are_known() -> None:
    assert read("unit,time,0,1\na,0,1,2\na,1,1,2\n", shape="long").fleet.channels == ("0", "1")
