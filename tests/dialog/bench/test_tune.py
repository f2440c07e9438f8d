"""The search for the quickest tiles, with a clock that we set: no GPU is needed to choose the least of a list."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dialog.bench import SUITES
from dialog.bench.tune import DTYPES, WIDTHS, candidates, tune
from kernels import tiles
from kernels.tiles import Tile, table, tile

CPU = torch.device("cpu")


def asked() -> Tile:
    """The tile that is being tried."""
    found = tile("attention.forward", torch.zeros(1), 64)
    assert found is not None
    return found


def test_the_quickest_that_runs_goes_into_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "capability", lambda x: "9.9")
    monkeypatch.setattr("dialog.bench.tune.capability", lambda x: "9.9")
    file = tmp_path / "tiles.json"

    def seconds(run: Callable[[], Any]) -> float:
        choice = asked()
        if choice.queries == 128:
            raise RuntimeError("out of resource: shared memory")
        return 1.0 / choice.queries + 1.0 / choice.keys + choice.stages + choice.loops + choice.warps + choice.passes

    rows = tune(file, seconds, device=CPU, tokens=2)
    assert len(rows) == 2 * len(DTYPES) * len(WIDTHS)
    told = table(file)
    for width, keys, stages in ((64, 128, 2), (128, 64, 1), (256, 64, 1)):
        best = told["attention.backward"]["9.9"]["float32"][str(width)]
        assert best == {"queries": 64, "keys": keys, "warps": 4, "stages": stages, "loops": 1, "passes": 1}
        assert told["attention.forward"]["9.9"]["float32"][str(width)]["passes"] == 2, "a forward has no other"
    assert told["attention.forward"]["9.0"] == table()["attention.forward"]["9.0"], "another device's choices stay"
    assert rows[0]["tried"] == sum(choice.queries < 128 for choice in candidates(64, backward=False))


def test_where_nothing_runs_the_table_stays_and_the_row_says_why(tmp_path: Path) -> None:
    file = tmp_path / "tiles.json"
    file.write_text(json.dumps({}))

    def seconds(run: Callable[[], Any]) -> float:
        raise RuntimeError("out of resource: registers")

    rows = tune(file, seconds, device=CPU, tokens=2)
    assert all(row["error"] == "RuntimeError: out of resource: registers" for row in rows)
    assert table(file) == {}


def test_without_a_gpu_nothing_is_tuned(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="quickest tiles on a GPU, and this is cpu"):
        SUITES["kernels"](tune=tmp_path / "tiles.json", device="cpu")
