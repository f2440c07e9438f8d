"""The Fleet tab: a table in, every unit with its curve, the worst first; what is wrong is a notice."""

from pathlib import Path
from typing import Any

import pytest

from serve.client import ServiceError
from tests.dialog.telemetry.fleets import table_of
from tests.ui.fake import MemoryClient
from tests.ui.page.browsing import CHROMIUM, Visit
from ui.page.fleet_tab import look, wanted


def shown(text: str, tmp_path: Path, client: Any) -> str:
    path = tmp_path / "table.csv"
    path.write_text(text)
    *_, last = look(str(path), client)
    assert not path.exists()  # the upload is deleted, whatever came of it
    return str(last)


def test_every_unit_is_shown_with_its_curve_the_worst_first(tmp_path: Path) -> None:
    page = shown(table_of(3), tmp_path, MemoryClient())
    assert page.index("laser 2") < page.index("laser 0")
    assert page.count("<section") == 3
    assert page.count("fleet-stretch") == 2  # the alarm, on both channels of the one unit
    assert "Replace it within 40 h" in page


def test_a_large_fleet_is_asked_about_in_parts(tmp_path: Path) -> None:
    client = MemoryClient()
    client.limit["samples_per_request"] = 130
    page = shown(table_of(5) + "".join(f"long,{t},1,25\n" for t in range(131)), tmp_path, client)
    assert client.fleets == [120, 120, 60]
    assert "more than 130 samples: long" in page


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "an empty table"),
        ("unit,time_h,power\na,0,1\n", "no column for the channel current, temperature; there are unit, time_h, power"),
        (table_of(1).replace("time_h", "cycle"), "the times are in cycle, and the model counts in h"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, text: str, word: str) -> None:
    assert word in shown(text, tmp_path, MemoryClient())


def test_names_are_escaped_and_a_silent_service_is_a_notice(tmp_path: Path) -> None:
    assert "<b>x" not in shown(table_of(1).replace("laser 0", "<b>x"), tmp_path, MemoryClient())
    failing = MemoryClient(failing=ServiceError(0, "unreachable", "no answer"))
    assert "rp-notice" in shown(table_of(1), tmp_path, failing)
    assert "rp-notice" in wanted(failing)  # type: ignore[arg-type]
    assert "current, temperature; its times are in h" in wanted(MemoryClient())  # type: ignore[arg-type]


@pytest.mark.skipif(CHROMIUM is None, reason="there is no browser")
def test_a_browser_shows_a_fleet(visit: Visit) -> None:
    visit.tab("Fleet")
    visit.page.wait_for_selector("#rp-fleet-intro .fleet-soft")
    visit.upload("fleet.csv", table_of(3).encode(), "#rp-fleet-upload")
    visit.page.wait_for_selector("#rp-fleet .fleet-unit")
    assert visit.page.locator("#rp-fleet tbody th").all_inner_texts()[0] == "laser 2"
    curve = visit.page.locator("#rp-fleet .fleet-curve").first
    assert curve.bounding_box()["width"] > 200
