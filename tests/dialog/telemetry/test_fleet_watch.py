"""A fleet under watch: the worst first, however its samples come, and a report that needs nothing but itself."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from dialog.telemetry.advice import advice_of, figure, left_in_words, standing_of, urgency
from dialog.telemetry.fleet_watch import FleetWatch, factor
from dialog.telemetry.follow import follow
from dialog.telemetry.layout import UnreadableTable
from dialog.telemetry.limits import failing_at, limit_of
from dialog.telemetry.outlook import Outlook
from dialog.telemetry.report import fleet_report
from dialog.telemetry.series import Fleet, Series
from dialog.telemetry.tables import read_fleet
from dialog.telemetry.watcher import Watcher
from tests.dialog.telemetry.fleets import save_model, table_of


@pytest.fixture(scope="module")
def watcher(tmp_path_factory: pytest.TempPathFactory) -> Watcher:
    return Watcher.load(save_model(tmp_path_factory.mktemp("fleet")))


def watched(watcher: Watcher, text: str) -> FleetWatch:
    watch = FleetWatch(watcher)
    reading = read_fleet(io.BytesIO(text.encode()), channels=watch.channels)
    watch.read(reading.fleet, left_out=reading.left_out)
    return watch


def outlook(**more: object) -> Outlook:
    told = {
        "time": 10.0, "ready": True, "alarm": False, "alarm_since": None, "score": 0.5, "threshold": 1.0,
        "forecast": np.zeros((3, 2, 3)), "forecast_times": np.array([11.0, 18, 74]),
        "left": 300.0, "left_low": 200.0, "left_high": 300.0, "beyond": True, "risk": 0.1,
    }  # fmt: skip
    return Outlook(**{**told, **more})  # type: ignore[arg-type]


def test_the_unit_that_climbs_to_its_limit_stands_first(watcher: Watcher) -> None:
    units = watched(watcher, table_of(4)).units()
    assert units[0].unit == "laser 3"
    assert units[0].standing == "alarm"
    assert units[0].outlook is not None
    assert 20 < units[0].outlook.left < 120  # a straight line would take 53 h; the level is told by the model
    assert units[0].advice("h").startswith("Replace it within")
    assert [one.outlook.beyond for one in units[1:] if one.outlook] == [True, True, True]


def test_it_does_not_matter_in_what_portions_a_fleet_is_read(watcher: Watcher) -> None:
    header, *lines = table_of(2).splitlines()
    whole = watched(watcher, table_of(2))
    parts = FleetWatch(watcher)
    by_time = sorted(lines, key=lambda line: float(line.split(",")[1]))
    for at in range(0, len(by_time), 14):
        text = "\n".join([header, *by_time[at : at + 14]])
        parts.read(read_fleet(io.BytesIO(text.encode()), channels=parts.channels).fleet)
    for one, other in zip(whole.units(), parts.units(), strict=True):
        assert (one.unit, one.n, one.standing) == (other.unit, other.n, other.standing)
        np.testing.assert_array_equal(one.times, other.times)
        np.testing.assert_array_equal(one.alarms, other.alarms)
        assert one.outlook is not None
        assert other.outlook is not None
        assert one.outlook.left == pytest.approx(other.outlook.left, rel=1e-4)


def test_a_long_curve_is_thinned_and_keeps_its_ends_and_alarms(watcher: Watcher) -> None:
    unit = watched(watcher, table_of(1, 1500)).units()[0]
    assert unit.n == 1500
    assert len(unit.times) == len(unit.values) == len(unit.alarms) <= 600
    assert (unit.times[0], unit.times[-1]) == (0, 5 * 1499)
    assert unit.alarms.any()


def test_one_sample_a_constant_and_a_failed_unit_are_told_in_words(watcher: Watcher) -> None:
    text = "unit,time_h,current,temperature,failed\none,0,1,25,0\n"
    text += "".join(f"flat,{5 * t},1,25,0\nbroken,{5 * t},1,25,{int(t == 39)}\n" for t in range(40))
    watch = watched(watcher, text + "gone,never,1,25,0\n")
    units = {unit.unit: unit for unit in watch.units()}
    assert units["one"].standing == units["gone"].standing == "learning"
    assert "keep measuring" in units["one"].advice("h")
    assert units["flat"].standing == "steady"
    assert (units["broken"].standing, units["broken"].advice("h")) == ("failed", "It has failed: replace it.")
    assert units["gone"].left_out == {"no time, or none that can be read": 1}
    assert watch.units()[-1].unit == "broken"


def test_times_of_a_table_are_counted_in_the_models_unit(watcher: Watcher) -> None:
    assert factor("d", "h") == 24
    assert factor("ticks", "h") == 1
    with pytest.raises(ValueError, match="in cycle, and the model counts in h"):
        factor("cycle", "h")
    days = Fleet(("current", "temperature"), (Series("a", np.array([0.0, 1.0]), np.ones((2, 2))),), "d")
    watch = FleetWatch(watcher)
    watch.read(days)
    assert watch.units()[0].times.tolist() == [0, 24]


def test_the_report_needs_nothing_but_itself_and_escapes_every_name(watcher: Watcher) -> None:
    page = fleet_report(watched(watcher, table_of(3).replace("laser 2", "<script>alert(1)</script>")), title="A & B")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "A &amp; B" in page
    assert not re.search(r"(src|href)=|https?://|url\(", page)
    assert page.count("<section") == 3
    assert 'class="fleet-band"' in page
    assert 'class="fleet-stretch"' in page
    assert "nan" not in re.sub(r"\s", "", page).lower().split("</style>")[1]

    class Balanced(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "br"):
                self.open.append(tag)

        def handle_startendtag(self, tag: str, attrs: object) -> None:
            pass

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    reader = Balanced()
    reader.feed(page)
    assert reader.open == []


def test_a_growing_file_is_followed_by_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "grows.csv"
    path.write_text("unit,time,current\na,2025-01-01 00:00,1\na,2025-01-01 01:00,2\nb,2025")
    steps = iter(["-01-01 05:00,7\n", "a,2025-01-01 03:00,4\nb,20", "25-01-01 07:00,8\n"])

    def grow(_: float) -> None:
        with path.open("a") as file:
            file.write(next(steps))

    readings = follow(path, wait=grow)
    first, second, third, fourth = (next(readings).fleet for _ in range(4))
    assert [one.unit for one in first] == ["a"]
    assert [(one.unit, one.times.tolist()) for one in second] == [("b", [0])]
    assert [(one.unit, one.times.tolist()) for one in third] == [("a", [3])]
    assert [(one.unit, one.times.tolist()) for one in fourth] == [("b", [2])]


def test_what_cannot_be_followed_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("unit,0,1,2\na,1,2,3\n")
    with pytest.raises(UnreadableTable, match="grows sideways"):
        next(follow(tmp_path / "a.csv"))
    (tmp_path / "b.csv").write_bytes(b"\x1f\x8b packed\n")
    with pytest.raises(UnreadableTable, match="plain UTF-8 csv"):
        next(follow(tmp_path / "b.csv"))
    (tmp_path / "d.parquet").write_bytes(b"PAR1 without a line")
    with pytest.raises(UnreadableTable, match="parquet is written as a whole"):
        next(follow(tmp_path / "d.parquet"))
    (tmp_path / "c.csv").write_text("")
    with pytest.raises(UnreadableTable, match="no whole line"):
        next(follow(tmp_path / "c.csv"))


def test_a_limit_is_said_in_a_few_signs_and_makes_failures() -> None:
    limit = limit_of("current > +20%")
    assert (limit.channel, limit.relative, limit.above) == ("current", True, True)
    assert limit.value == pytest.approx(1.2)
    assert limit_of("power<0.8").above is False
    with pytest.raises(ValueError, match="expected CHANNEL>VALUE"):
        limit_of("current more than 3")
    values = np.array([1] * 10 + [1.3, 1, 1.3, 1.4, 1.5])[:, None]
    fleet = Fleet(("current",), (Series("a", np.arange(15.0), values),))
    (one,) = failing_at(fleet, limit)
    assert (one.failure, len(one)) == (13.0, 14)
    with pytest.raises(ValueError, match="no channel 'power'"):
        failing_at(fleet, limit_of("power<1"))


def test_what_to_do_first_is_plain() -> None:
    assert advice_of(outlook(), standing_of(outlook()), "h") == "Nothing to do."
    near = outlook(alarm=True, left=50.0, left_low=20.0, beyond=False, risk=0.9)
    assert advice_of(near, standing_of(near), "cycle") == "Replace it within 20 cycles: it no longer behaves as it did."
    assert advice_of(outlook(alarm=True), "alarm", "h").startswith("Look at it")
    gone = outlook(alarm=True, left=0.0, left_low=0.0, beyond=False)
    assert advice_of(gone, "alarm", "h").startswith("Replace it now")
    soon = outlook(risk=0.8, left=50.0, left_low=20.0, beyond=False)
    assert standing_of(soon) == "soon"
    assert (
        sorted([("steady", outlook()), ("soon", soon), ("alarm", near)], key=lambda p: urgency(p[1], p[0]))[0][0]
        == "alarm"
    )  # type: ignore[arg-type]
    assert left_in_words(outlook(), "h") == "more than 200 h"
    assert [figure(v) for v in (0.2512, 17.04, 1234.5, float("nan"))] == ["0.251", "17", "1,230", "?"]
