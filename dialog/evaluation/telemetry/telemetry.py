"""`rapport evaluate telemetry`: engines that were measured; lasers, and services, that were simulated."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dialog.evaluation.telemetry.card import tell_test
from dialog.evaluation.telemetry.engines import cmapss_folder, evaluate_engines
from dialog.evaluation.telemetry.lasers import evaluate_lasers
from dialog.evaluation.telemetry.service import OWN, evaluate_service
from dialog.telemetry.simulator import frozen
from dialog.telemetry.watcher import Watcher
from models import checkpoint
from models.catalogue import TELEMETRY, path_of
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
    seeds: Path | None = None,
    card: bool = False,
    device: Where = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The object of `rapport evaluate telemetry --json`.

    Whole: every simulated set of lasers, those of the families learned among the metrics and all under "sets"; the
    services, under "service"; with `data`, a folder with C-MAPSS FD001 (`telemetry/cmapss` or a folder above it), its
    engines too, under "engines" and among the metrics. A `model` named is asked about lasers where it has a limit, else
    about the engines. A `part` alone is "engines", "service" (what watches our own) or one set of lasers. `seeds` is a
    folder of models of the engines that differ by the seed they were trained with; `card` writes what was measured
    into the models' scores.json and card.md. A figure there is none of (a delay without a hit) is None. ValueError for
    a folder without engines, for a model of other channels and for a part there is not.
    """
    start = time.perf_counter()
    folders = [(path, cmapss_folder(path)) for path in data]
    if wrong := [str(path) for path, folder in folders if folder is None]:
        raise ValueError(f"{', '.join(wrong)}: expected a folder with test_FD001.txt, as in data/telemetry/cmapss")
    known = (ENGINES_PART, SERVICE_PART, *frozen()["test"])
    if part is not None and part not in known:
        raise ValueError(f"part {part!r}: expected one of {', '.join(known)}")
    if (part == ENGINES_PART or seeds is not None) and not folders:
        raise ValueError("the engines are read from files: expected --data FOLDER")
    whole = part is None and model is None
    result: dict[str, Any] = {"metrics": {}, "baselines": {}, "n": 0}
    models = []
    named = None if model is None or part == SERVICE_PART else Watcher.load(model, device=device)
    if folders and (whole or part == ENGINES_PART or (part is None and named is not None and named.limit is None)):
        watcher = named or Watcher.load(ENGINES, device=device)
        engines = evaluate_engines(watcher, folders[0][1] or folders[0][0], _others(seeds))
        models.append(watcher.name)
        result |= {"engines": engines} | {k: engines[k] for k in ("metrics", "baselines", "n")}
        if card:
            tell_test(path_of(watcher.name), {"FD001": engines | {"command": _command(data, model, part)}})
    if whole or part not in (None, ENGINES_PART, SERVICE_PART) or (part is None and not models):
        watcher = named or Watcher.load(TELEMETRY, device=device)
        if watcher.limit is None:
            raise ValueError(f"{watcher.name} has no limit, so it knows no lasers: expected {TELEMETRY} or its like")
        models.append(watcher.name)
        sets = evaluate_lasers(watcher, None if part is None else [part], progress)
        family = sets[part or FAMILY]
        baselines = {**result["baselines"]}
        for name, row in family["baselines"].items():
            baselines[name] = baselines.get(name, {}) | row
        result |= {"metrics": result["metrics"] | family["metrics"], "baselines": baselines}
        result |= {"n": result["n"] + family["n"], "deviations": family["deviations"], "sets": sets}
        if card:
            command = _command((), model, part)
            tell_test(path_of(watcher.name), {k: v | {"command": command} for k, v in sets.items()})
    if whole or part == SERVICE_PART:
        service = evaluate_service(model, progress)
        models.append(model or OWN)
        result = result | {"service": service} if whole else service
    told = {
        "task": "telemetry",
        "model": " and ".join(models),
        "data": [str(path) for path in data],
        "simulated": "lasers and services are simulated: their figures show that the code works, not how things age",
        "seconds": time.perf_counter() - start,
        **result,
    }
    answer: dict[str, Any] = _without_nan(told)
    return answer


def _others(seeds: Path | None) -> dict[str, Watcher]:
    """The models in a folder, by the names of theirs."""
    if seeds is None:
        return {}
    found = {path.name: Watcher.load(path) for path in sorted(seeds.iterdir()) if checkpoint.is_model(path)}
    if not found:
        raise ValueError(f"{seeds} holds no trained models: expected one a folder, as {seeds / '0'}")
    return found


def _command(data: Sequence[Path], model: str | None, part: str | None) -> str:
    """What was asked for, so that anybody can ask again."""
    said = [*(("--data", str(path)) for path in data), *((("--model", model),) if model else ())]
    said += [("--part", f'"{part}"')] if part else []
    return " ".join(["rapport evaluate telemetry", *(word for pair in said for word in pair)])


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
