"""The Fleet tab: a table of measurements is read here, the service looks at it, every unit is shown, the worst first.

What happens is in plain functions of a file and a client; `build` wires them up.
"""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gradio as gr
import numpy as np
from markupsafe import Markup

from dialog.telemetry.fleet_watch import UnitNow, factor, first_words
from dialog.telemetry.layout import UnreadableTable
from dialog.telemetry.outlook import Outlook
from dialog.telemetry.report import fleet_pieces
from dialog.telemetry.series import Series
from dialog.telemetry.tables import Reading, read_fleet
from models.maintenance.model import Limit
from serve.client import Client, FleetModel, ServiceError, WatchedUnit
from ui.page.drawing import render
from ui.page.limits import limits_of

MOST_SAMPLES = 200_000
"""Of one table; `rapport maintain watch` takes more."""
_DRAWN = 30
_POINTS = 600


def look(path: str, client: Client) -> Iterator[Markup]:
    """What is shown while the table is looked at, then the fleet, or what is wrong. The upload is deleted."""
    try:
        yield render.notice("busy", "Looking at the fleet …")
        yield _looked(path, client)
    except ServiceError as error:
        yield render.problem(error)
    except (UnreadableTable, ValueError) as error:
        yield render.notice("error", "This table cannot be read as measurements.", [str(error)])
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _looked(path: str, client: Client) -> Markup:
    size, most = os.path.getsize(path), limits_of(client).log
    if size > most:
        told = f"It has {render.size(size)}; at most {render.size(most)} are taken."
        return render.notice("error", "This table is too large.", [told])
    model = client.fleet_model()
    reading = read_fleet(path, channels=model.channels)
    n = sum(len(one) for one in reading.fleet)
    if n > MOST_SAMPLES:
        told = f"It has {n:,} samples; at most {MOST_SAMPLES:,} are taken here. `rapport maintain watch` takes more."
        return render.notice("error", "This table is too large.", [told])
    at_once = int(client.limits()["samples_per_request"])
    units = []
    too_long = [one.unit for one in reading.fleet if len(one) > at_once]
    for part in _parts([one for one in reading.fleet if len(one) <= at_once], at_once):
        units += _asked(part, reading, model, client)
    units.sort(key=_urgency)
    words = list(first_words(reading.notes, reading.left_out, most=8))
    if too_long:
        words.append(f"not looked at, since they have more than {at_once:,} samples: {', '.join(too_long)[:200]}")
    shown = render.notice("info", "About the table", words) if words else Markup("")
    limit = None if model.limit is None else Limit(**model.limit)
    pieces = fleet_pieces(units, model.channels, model.time_unit, limit, drawn=_DRAWN)
    return shown + Markup(pieces)  # its own templates have escaped it


def _parts(series: Sequence[Series], most: int) -> Iterator[list[Series]]:
    """The units in as many requests as their samples need."""
    part: list[Series] = []
    for one in series:
        if part and sum(map(len, part)) + len(one) > most:
            yield part
            part = []
        part.append(one)
    if part:
        yield part


def _asked(part: Sequence[Series], reading: Reading, model: FleetModel, client: Client) -> list[UnitNow]:
    scale = factor(reading.fleet.time_unit, model.time_unit)
    sent = {one.unit: ((one.times * scale).tolist(), _rows(one)) for one in part}
    told = client.look_at_fleet(sent, channels=model.channels, history=True)
    series = {one.unit: one for one in part}
    return [_unit(one, series[one.unit], scale, reading) for one in told.units]


def _rows(one: Series) -> list[list[float | None]]:
    return [[None if math.isnan(v) else v for v in row] for row in one.values.tolist()]


def _unit(told: WatchedUnit, series: Series, scale: float, reading: Reading) -> UnitNow:
    alarms = np.zeros(len(series), dtype=bool)
    found = np.array((told.history or {}).get("alarm", ()), dtype=bool)
    if len(found) == len(alarms):
        alarms = found
    keep = np.unique(np.linspace(0, len(series) - 1, min(len(series), _POINTS)).astype(int))
    unit = UnitNow(
        told.unit,
        outlook=None if told.outlook is None else _outlook(told.outlook),
        n=told.samples,
        failure=None if series.failure is None else series.failure * scale,
        began=reading.began.get(told.unit),
        times=series.times[keep] * scale,
        values=series.values[keep],
        alarms=alarms[keep],
    )
    unit.left_out.update(reading.left_out.get(told.unit, {}))
    return unit


def _outlook(value: Mapping[str, Any]) -> Outlook:
    """Of its JSON object, where null is no number."""

    def number(found: Any) -> float:
        return math.nan if found is None else float(found)

    return Outlook(
        time=number(value["time"]),
        ready=bool(value["ready"]),
        alarm=bool(value["alarm"]),
        alarm_since=value["alarm_since"],
        score=number(value["score"]),
        threshold=number(value["threshold"]),
        forecast=np.array(value["forecast"], dtype=np.float64),
        forecast_times=np.array(value["forecast_times"], dtype=np.float64),
        left=number(value["left"]),
        left_low=number(value["left_low"]),
        left_high=number(value["left_high"]),
        beyond=bool(value["beyond"]),
        risk=number(value["risk"]),
    )


def _urgency(unit: UnitNow) -> tuple[Any, ...]:
    from dialog.telemetry.advice import urgency

    return (*urgency(unit.outlook, unit.standing), unit.unit)


# The components


_INTRO = Markup(
    "<p>Upload a table of measurements, csv or parquet: a row a sample, with a column for the unit, one for the time "
    "and one for each channel. Every unit is shown with its forecast, alarms and the life that is left, the worst "
    "first. Nothing is kept.</p>"
)


def wanted(client: Client) -> Markup:
    """Which channels the service's model reads."""
    try:
        model = client.fleet_model()
    except ServiceError as error:
        return _INTRO + render.problem(error)
    text = Markup("<p class='fleet-soft'>The model here reads {}; its times are in {}.</p>")
    return _INTRO + text.format(", ".join(model.channels), model.time_unit)


def build(tab: gr.Tab, client: Client) -> None:
    """The tab's components and events, inside whatever block of the page is open."""
    intro = gr.HTML(_INTRO, elem_id="rp-fleet-intro", apply_default_css=False)
    upload = gr.UploadButton(
        "Upload a table",
        type="filepath",
        file_count="single",
        file_types=[".csv", ".tsv", ".txt", ".gz", ".parquet"],
        variant="primary",
        size="md",
        min_width=150,
        elem_id="rp-fleet-upload",
    )
    shown = gr.HTML("", elem_id="rp-fleet", apply_default_css=False)

    def on_file(path: str | None) -> Iterator[str]:
        if path:
            yield from look(path, client)

    quiet: Any = {"show_progress": "hidden", "api_visibility": "private"}
    upload.upload(on_file, upload, shown, concurrency_limit=2, **quiet)
    tab.select(lambda: wanted(client), None, intro, **quiet)
