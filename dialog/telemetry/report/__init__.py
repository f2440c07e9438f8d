"""A fleet to read: one html file with everything in it, the worst unit first. No script, no request to anywhere."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dialog.telemetry.advice import CALLED, STANDINGS, figure, left_in_words
from dialog.telemetry.fleet_watch import FleetWatch, UnitNow
from dialog.telemetry.report.drawing import drawings
from models.maintenance.model import Limit

_HERE = Path(__file__).parent
FLEET_CSS = _HERE / "fleet.css"
"""The looks of the table and the curves. Whoever uses it sets --ink, --soft, --line, --card, --bad, --mind, --good and
--blue."""
_DRAWN = 200
"""Units with their curves; the table has all."""
WORDS = {"alarm": "alarm", "soon": "ends soon", "steady": "steady", "learning": "still learning", "failed": "failed"}
"""How a standing is shown."""


def fleet_report(watch: FleetWatch, *, title: str = "Fleet", words: Sequence[str] = ()) -> str:
    """The whole file. words: what is to be said about the table. Everything of it is escaped."""
    style = Markup((_HERE / "report.css").read_text("utf-8") + FLEET_CSS.read_text("utf-8"))
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            **_told(watch.units(), watch.channels, watch.time_unit, watch.watcher.limit, _DRAWN),
            watcher=watch.watcher,
            title=title,
            words=list(words),
            style=style,
            policy=f"default-src 'none'; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'",
            now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
    )


def fleet_pieces(
    units: Sequence[UnitNow], channels: tuple[str, ...], time_unit: str, limit: Limit | None, *, drawn: int
) -> str:
    """The table and the curves of the first so many units, for a page that brings FLEET_CSS and its colours."""
    return _environment().get_template("fleet.html.j2").render(**_told(units, channels, time_unit, limit, drawn))


def _told(
    units: Sequence[UnitNow], channels: tuple[str, ...], time_unit: str, limit: Limit | None, drawn: int
) -> dict[str, object]:
    return {
        "units": units,
        "channels": channels,
        "limit": limit,
        "time_unit": time_unit,
        "called": CALLED.get(time_unit, time_unit),
        "drawn": drawn,
        "counts": [(WORDS[s], sum(u.standing == s for u in units)) for s in STANDINGS],
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = figure
    environment.globals.update(drawings=drawings, left_in_words=left_in_words, WORDS=WORDS)
    return environment
