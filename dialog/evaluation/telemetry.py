"""`rapport evaluate telemetry`: engines that were measured, and lasers that were simulated."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dialog.evaluation.telemetry_engines import cmapss_folder, evaluate_engines
from dialog.telemetry.watcher import Watcher
from models.device import Where

ENGINES = "telemetry/fd001"
"""The model that is asked about C-MAPSS FD001 where none is named."""


def evaluate_telemetry(
    data: Sequence[Path] = (),
    model: str | None = None,
    *,
    device: Where = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate telemetry --json`.

    `data` is a folder with C-MAPSS FD001 (`telemetry/cmapss` or a folder above it). ValueError where it has none.
    """
    start = time.perf_counter()
    folders = [(path, cmapss_folder(path)) for path in data]
    if wrong := [str(path) for path, folder in folders if folder is None]:
        raise ValueError(f"{', '.join(wrong)}: expected a folder with test_FD001.txt, as in data/telemetry/cmapss")
    name = model or ENGINES
    result: dict[str, Any] = {"metrics": {}, "baselines": {}, "n": 0}
    for _, folder in folders:
        assert folder is not None
        result = evaluate_engines(Watcher.load(name, device=device), folder)
    if progress:
        progress(1, 1)
    return {
        "task": "telemetry",
        "model": name,
        "data": [str(path) for path in data],
        "n": result["n"],
        "seconds": time.perf_counter() - start,
        "metrics": result["metrics"],
        "baselines": result["baselines"],
    }
