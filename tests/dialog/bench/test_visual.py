"""The suite that measures rounds about a picture runs, and says what a row means."""

from pathlib import Path

from dialog.bench import SUITES, TAKES
from tests.dialog.tiny_visual import make_visual


def test_every_row_has_its_peer_and_ratio(tmp_path: Path) -> None:
    result = SUITES["visual"](model=str(make_visual(tmp_path)), late=5, repeats=1)
    assert result["suite"] == "visual"
    assert result["state_bytes"] > 1000
    for row in result["rows"]:
        assert row["ratio"] == row["seconds"] / row["peer_seconds"]
    assert next(row["name"] for row in result["rows"]) == "a question at round 5"
    assert TAKES["visual"] == {"model": "model", "repeats": "repeats", "device": "device"}
