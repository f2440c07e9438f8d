"""`rapport evaluate telemetry`: engines that were measured; lasers, and services, that were simulated."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dialog.evaluation.telemetry_engines import cmapss_folder, evaluate_engines
from dialog.evaluation.telemetry_lasers import evaluate_lasers
from dialog.evaluation.telemetry_service import evaluate_service
from dialog.telemetry.simulator import frozen
from dialog.telemetry.watcher import Watcher
from models.catalogue import TELEMETRY
from models.device import Where

ENGINES = "telemetry/fd001"
"""The model that is asked about C-MAPSS FD001 where none is named."""
FAMILY = "in family"
"""The simulated set whose figures stand among the metrics; those of every set stand under "sets"."""
ENGINES_PART, SERVICE_PART = "engines", "service"


def evaluate_telemetry(
    data: Sequence[Path] = (),
    model: str | None = None,
    *,
    part: str | None = None,
    device: Where = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate telemetry --json`.

    Whole: every simulated set of lasers, those of the families learned among the metrics and all under "sets"; with
    `data`, a folder with C-MAPSS FD001 (`telemetry/cmapss` or a folder above it), its engines too, and then, unless a
    model is named, the lasers. A `part` alone is "engines", "service" (what watches our own) or one set of lasers. A
    figure there is none of (a delay without a hit) is None. ValueError for a folder without engines, for a model of
    other channels and for a part there is not.
    """
    start = time.perf_counter()
    folders = [(path, cmapss_folder(path)) for path in data]
    if wrong := [str(path) for path, folder in folders if folder is None]:
        raise ValueError(f"{', '.join(wrong)}: expected a folder with test_FD001.txt, as in data/telemetry/cmapss")
    known = (ENGINES_PART, SERVICE_PART, *frozen()["test"])
    if part is not None and part not in known:
        raise ValueError(f"part {part!r}: expected one of {', '.join(known)}")
    if part == ENGINES_PART and not folders:
        raise ValueError("the engines are read from files: expected --data FOLDER")
    result: dict[str, Any] = {"metrics": {}, "baselines": {}, "n": 0}
    models = []
    if part == SERVICE_PART:
        result = evaluate_service(model, progress)
        models.append(model or "line and chart")
    for _, folder in folders if part in (None, ENGINES_PART) else ():
        assert folder is not None
        models.append(model or ENGINES)
        result = evaluate_engines(Watcher.load(models[-1], device=device), folder)
    if part not in (ENGINES_PART, SERVICE_PART) and not (folders and model is not None and part is None):
        models.append(model or TELEMETRY)
        watcher = Watcher.load(models[-1], device=device)
        if watcher.limit is None:
            raise ValueError(f"{watcher.name} has no limit, so it knows no lasers: expected {TELEMETRY} or its like")
        sets = evaluate_lasers(watcher, None if part is None else [part], progress)
        family = sets[part or FAMILY]
        result["metrics"] |= family["metrics"]
        for name, row in family["baselines"].items():
            result["baselines"].setdefault(name, {}).update(row)
        result |= {"n": result["n"] + family["n"], "deviations": family["deviations"], "sets": sets}
    told = {
        "task": "telemetry",
        "model": " and ".join(models),
        "data": [str(path) for path in data],
        "simulated": "lasers and services are simulated: their figures show that the code works, not how things age",
        "seconds": time.perf_counter() - start,
        **result,
    }
    whole: dict[str, Any] = _without_nan(told)
    return whole


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
