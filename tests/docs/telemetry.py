"""Tables of what the models of telemetry score, from the scores.json beside their weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.docs.scores import scores_of
from tests.docs.tables import table

FAMILY = "in family"
MEASURED = Path(__file__).parents[2] / "docs" / "measured" / "telemetry"


def engines() -> str:
    """FD001: as shipped, every seed of the network alone, and the simple ways."""
    part = scores_of("telemetry/fd001")["test"]["FD001"]
    rows = [("as shipped: boosted trees of hazards", part["metrics"])]
    rows += [(f"seed {seed}", row) for seed, row in part["seeds"].items()]
    rows += list(part["baselines"].items())
    metrics = ("rmse", "phm08", "rmse_uncapped", "phm08_uncapped")
    head = ["who", "RMSE, truth capped at 125", "PHM08", "RMSE, truth as published", "PHM08"]
    return table(head, [[who, *(_one(row, f"cmapss_fd001_{m}") for m in metrics)] for who, row in rows])


def sets() -> str:
    """The model as it is shipped, set by set."""
    head = ["set", "units", "forecast RMSE to the last value's at 1, 8, 64", "within 10 to 90 %", "F1 of alarms"]
    head += ["false alarms a unit-month", "life RMSE, h", "cost a hundred units", "run to failure"]
    rows = []
    for name, part in scores_of("telemetry/lasers")["test"].items():
        m = part["metrics"]
        relative = ", ".join(_one(m, f"forecast_rmse_relative_{h}") for h in (1, 8, 64))
        covered = ", ".join(_one(m, f"forecast_coverage_{h}") for h in (1, 8, 64))
        figures = [_one(m, k) for k in ("alarm_f1", "false_alarms_unit_month", "life_rmse", "decision_cost")]
        rows.append(
            [
                name,
                str(part["n"]),
                relative,
                covered,
                *figures,
                _one(part["baselines"]["run to failure"], "decision_cost"),
            ]
        )
    return table(head, rows)


def alarms() -> str:
    """Who notices, on units of the families that were learned."""
    metrics = ("f1", "precision", "recall", "pr_area", "lead_hours", "delay_hours")
    head = ["who", "F1", "precision", "recall", "PR area", "lead, h", "delay, h", "false alarms a unit-month"]
    head += ["cost a hundred units"]
    return table(
        head,
        [
            [
                who,
                *(_one(row, f"alarm_{m}") for m in metrics),
                _one(row, "false_alarms_unit_month"),
                _one(row, "decision_cost"),
            ]
            for who, row in _everybody()
            if "alarm_f1" in row or "decision_cost" in row
        ],
    )


def lives() -> str:
    """Who tells how long is left, on units of the families that were learned."""
    metrics = ("rmse", "mae", "concordance", "phm08", "alpha_lambda")
    head = ["who", "RMSE, h", "MAE, h", "concordance", "PHM08 a sample", "within 20 % at half life"]
    return table(
        head, [[who, *(_one(row, f"life_{m}") for m in metrics)] for who, row in _everybody() if "life_rmse" in row]
    )


def watches() -> str:
    """Who watches a service, fault by fault, from the file of the measurement."""
    told = json.loads((MEASURED / "service.json").read_text("utf-8"))
    ways = told["baselines"]
    head = ["on the test bed", *(f"{way} (shipped)" if way == "line and chart" else way for way in ways)]
    rows = [
        ["false alarms a service and week", *(_one(row, "false_alarms_week") for row in ways.values())],
        ["in time, of all faults", *(_one(row, "in_time") for row in ways.values())],
        ["in time, of what reaches a limit", *(_one(row, "ramps_in_time") for row in ways.values())],
        ["median lead, minutes", *(_one(row, "lead_minutes") for row in ways.values())],
    ]
    for fault in (name for name, value in next(iter(ways.values())).items() if isinstance(value, Mapping)):
        cells = []
        for row in ways.values():
            after = _one(row[fault], "lead") or _one(row[fault], "delay")
            when = "" if not after else f", {after} min {'before' if row[fault]['lead'] is not None else 'after'}"
            cells.append(f"{_one(row[fault], 'in_time')}{when}")
        rows.append([fault, *cells])
    return table(head, rows)


def _everybody() -> list[tuple[str, Mapping[str, Any]]]:
    part = scores_of("telemetry/lasers")["test"][FAMILY]
    return [("as shipped", part["metrics"]), *((k, v) for k, v in part["baselines"].items() if k != "network")]


def _one(row: Mapping[str, Any], metric: str) -> str:
    value = row.get(metric)
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"
