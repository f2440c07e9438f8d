"""The suite says what a sample costs; a state stays small."""

from dialog.bench.telemetry import measure


def test_every_row_has_its_peer() -> None:
    result = measure(repeats=1)
    assert [row["name"] for row in result["rows"]] == [
        "a step of one unit",
        "a step of one unit",
        "a step of 64 units, each",
        "a sample of a whole series",
    ]
    assert all(row["ratio"] > 0 for row in result["rows"])
    assert result["parameters"] < 200_000
    assert result["state_bytes"] < 100_000
