"""card.md and scores.json of a fleet's model."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import checkpoint
from models.maintenance.model import MaintenanceConfig

LIMITS = """\
It knows the fleet it learned from: other devices, other stress, another way to fail are told worse, and a way to fail
that leaves no trace in the measurements is not told at all. A life at the cap means at least so long. Do not let it
alone decide where a failure can hurt somebody."""


def write_telemetry_card(
    folder: Path, config: MaintenanceConfig, scores: Mapping[str, Any], test: Mapping[str, Any] | None = None
) -> None:
    """Of a fleet just learned; `tell_test` adds what `rapport evaluate telemetry` says."""
    units, alarm = scores["units"], config.alarm
    lines = [f"| {what} | {_figures(row)} |" for what, row in _rows(scores)]
    left_out = ", ".join(scores["dropped"])
    left_out = f" Never changing, or not asked for, and so not read: {left_out}." if left_out else ""
    horizons, step = ", ".join(map(str, config.forecaster.horizons)), f"{config.features.interval:g} {config.time_unit}"
    text = f"""\
# {scores["name"]}

Watches units of {len(config.channels)} channels: {", ".join(config.channels)}. It says quantiles of what is coming
at {horizons} usual intervals ({step}), raises an alarm where {alarm.m} of {alarm.n} scores ({alarm.detector}) are above
{alarm.threshold:.4g}, and tells the remaining life up to {config.life.edges[-1]:g} {config.time_unit}, by the
{scores["life_by"]}. {scores["parameters"]:,} parameters.

{scores["notes"]}

Trained with seed {scores["seed"]} on {units["train"]} units, {units["held_out"]} held out,
{units["failed"]} of all failed.{left_out}

## Held-out units

These set the alarm and chose who tells the life; they are not test scores. Brier is the mean squared error of the
survival curve, of units that lived too, and chose. RMSE is of the capped life in {config.time_unit}, every sample of
every unit that failed: of the mean, and of the mean given that it fails while units are watched.

| | |
|---|---|
{chr(10).join(lines)}
{_test(test)}
## Limits

{LIMITS}
"""
    (folder / "card.md").write_text(text.replace("\n\n\n", "\n\n"), encoding="utf-8")
    whole = {"validation": dict(scores)} | ({"test": dict(test)} if test else {})
    (folder / "scores.json").write_text(json.dumps(whole, indent=2, allow_nan=True) + "\n", encoding="utf-8")


def tell_test(folder: Path, test: Mapping[str, Mapping[str, Any]]) -> None:
    """Adds parts of a test to a trained folder's scores.json and card.md, each {"metrics", "baselines", "n",
    "command"}; parts told before and not again stay. Raises CheckpointError for a folder that tells of no training."""
    path = folder / "scores.json"
    told = checkpoint.read_json(path)
    if not isinstance(told, dict) or "name" not in told.get("validation", {}):
        raise checkpoint.CheckpointError(f"{path} does not say how the model was trained; train it anew")
    config = checkpoint.read_config(folder, MaintenanceConfig)
    write_telemetry_card(folder, config, told["validation"], {**told.get("test", {}), **test})


def _rows(scores: Mapping[str, Any]) -> list[tuple[str, Any]]:
    alarms = [(f"alarms by {what}", row) for what, row in scores["alarms"].items() if isinstance(row, Mapping)]
    lives = [(f"remaining life by {what}", row) for what, row in scores["life"].items()]
    if scores["life_learned_from_held_out"]:
        lives = [(f"{what} (learned from these units too)", row) for what, row in lives]
    return [*alarms, *lives]


def _figures(row: Mapping[str, float | None]) -> str:
    known = {name: value for name, value in row.items() if value is not None}
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in known.items())


def _test(test: Mapping[str, Any] | None) -> str:
    """Of `rapport evaluate telemetry`: each part's metrics, and beside them what the baselines reach."""
    parts = []
    for name, part in (test or {}).items():
        parts += ["", f"## Test: {name}", "", f"{part['n']} units; `{part['command']}`.", "", "| | |", "|---|---|"]
        parts += [f"| {metric.replace('_', ' ')} | {_one(value)} |" for metric, value in part["metrics"].items()]
        for baseline, row in part.get("baselines", {}).items():
            parts.append(f"| {baseline} | {_figures(row)} |")
        for seed, row in part.get("seeds", {}).items():
            parts.append(f"| seed {seed} | {_figures(row)} |")
    return "\n".join([*parts, ""]) if parts else ""


def _one(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
