"""`rapport evaluate telemetry`: engines that were measured, and lasers that were simulated."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dialog.evaluation.telemetry_engines import cmapss_folder, evaluate_engines
from dialog.evaluation.telemetry_lasers import evaluate_lasers
from dialog.telemetry.watcher import Watcher
from models.catalogue import TELEMETRY
from models.device import Where

ENGINES = "telemetry/fd001"
"""The model that is asked about C-MAPSS FD001 where none is named."""
FAMILY = "in family"
"""The simulated set whose figures stand among the metrics; of others they stand under "sets"."""


def evaluate_telemetry(
    data: Sequence[Path] = (),
    model: str | None = None,
    *,
    device: Where = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate telemetry --json`.

    With `data`, a folder with C-MAPSS FD001 (`telemetry/cmapss` or a folder above it): its engines, and, unless a model
    is named, the simulated lasers of the families learned. Without: every simulated set, under "sets". A figure there
    is none of (a delay without a hit) is None. ValueError for a folder without engines, and for a model of other
    channels.
    """
    start = time.perf_counter()
    folders = [(path, cmapss_folder(path)) for path in data]
    if wrong := [str(path) for path, folder in folders if folder is None]:
        raise ValueError(f"{', '.join(wrong)}: expected a folder with test_FD001.txt, as in data/telemetry/cmapss")
    result: dict[str, Any] = {"metrics": {}, "baselines": {}, "n": 0}
    for _, folder in folders:
        assert folder is not None
        result = evaluate_engines(Watcher.load(model or ENGINES, device=device), folder)
    sets: dict[str, Any] = {}
    if not folders or model is None:
        watcher = Watcher.load(model or TELEMETRY, device=device)
        if watcher.limit is None:
            raise ValueError(f"{watcher.name} has no limit, so it knows no lasers: expected {TELEMETRY} or its like")
        sets = evaluate_lasers(watcher, [FAMILY] if folders else None, progress)
        family = sets[FAMILY] if folders else sets.pop(FAMILY)
        result["metrics"] |= family["metrics"]
        for name, row in family["baselines"].items():
            result["baselines"].setdefault(name, {}).update(row)
        result |= {"n": result["n"] + family["n"], "deviations": family["deviations"]}
    named = model or " and ".join([ENGINES] * bool(folders) + [TELEMETRY])
    told = {
        "task": "telemetry",
        "model": named,
        "data": [str(path) for path in data],
        "simulated": "the lasers are simulated: figures of theirs show that the code works, not how lasers age",
        "seconds": time.perf_counter() - start,
        **result,
    }
    whole: dict[str, Any] = _without_nan(told if folders else told | {"sets": sets})
    return whole


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
