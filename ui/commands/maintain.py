"""`rapport maintain`: a model of one's own fleet, and the fleet under watch."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ui.commands.options import AsJson

if TYPE_CHECKING:
    from dialog.telemetry.fleet_watch import FleetWatch, UnitNow
    from dialog.telemetry.tables import Reading

maintain = typer.Typer(
    name="maintain", help="Learn how devices age from a table of measurements, and watch them.", no_args_is_help=True
)

_SHOWN = 200
Table = Annotated[Path, typer.Argument(metavar="FLEET", help="A csv or parquet table of measurements.")]
Column = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROLE=NAME",
        help="A column: of the unit, time, channel, value, failed, failure_time, remaining or lot.",
    ),
]
Shape = Annotated[
    str | None, typer.Option(help="long, tidy, units (a column a unit) or times. \\[default: told from the table]")
]
TimeUnit = Annotated[
    str | None, typer.Option(help="What times count: s, min, h, d, cycle. \\[default: told from the column's name]")
]


@maintain.command()
def train(
    table: Table,
    out: Annotated[Path, typer.Option("--out", help="Where the model goes.")],
    channel: Annotated[list[str] | None, typer.Option(help="A channel to learn from; may be repeated.")] = None,
    limit: Annotated[
        str | None, typer.Option(metavar="CHANNEL>+20%", help="When a unit counts as failed: past this, twice running.")
    ] = None,
    column: Column = None,
    shape: Shape = None,
    time_unit: TimeUnit = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    as_json: AsJson = False,
) -> int:
    """Train a model on a fleet; say how well it does on units held out, beside simple rules."""
    from dialog.telemetry.limits import failing_at, limit_of
    from dialog.telemetry.tables import read_fleet
    from dialog.training.telemetry.fleet import train_fleet
    from ui.commands.terminal import note, progress, write_json, write_report

    reading = read_fleet(table, columns=_columns(column), channels=channel or None, shape=shape, time_unit=time_unit)
    _say(reading)
    fleet, wanted = reading.fleet, None if limit is None else limit_of(limit)
    if wanted is not None:
        fleet = failing_at(fleet, wanted)
    note(f"rapport: {len(fleet)} units, {fleet.n_failed} of them failed; channels {', '.join(fleet.channels)}"[:500])
    with progress("Training") as bar:
        scores = train_fleet(
            fleet,
            out,
            seed=seed,
            name=table.stem,
            limit=wanted,
            report=lambda p: bar.at(p.step / max(p.steps, 1), f"loss {p.loss:.3f}"),
        )
    result: dict[str, Any] = {"out": str(out), "seed": seed, "metrics": scores}
    if as_json:
        write_json(result)
    else:
        write_report(result)
    return 0


@maintain.command()
def watch(
    table: Table,
    model: Annotated[str, typer.Option("--model", help="A folder of `maintain train`, or a shipped model.")],
    html: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write a report with every unit's curve too.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as the table grows, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks at a growing table.")] = 2.0,
    column: Column = None,
    shape: Shape = None,
    time_unit: TimeUnit = None,
    as_json: AsJson = False,
) -> int:
    """Say of each unit what is coming, what is amiss, how long is left and what to do, the worst first."""
    from dialog.telemetry import follow as following
    from dialog.telemetry.fleet_watch import FleetWatch, first_words
    from dialog.telemetry.report import fleet_report
    from dialog.telemetry.tables import read_fleet
    from dialog.telemetry.watcher import Watcher

    fleet = FleetWatch(Watcher.load(model))
    told: dict[str, Any] = {
        "columns": _columns(column),
        "channels": fleet.channels,
        "shape": shape,
        "time_unit": time_unit,
    }
    words: list[str] = []

    def take(reading: "Reading") -> None:
        _say(reading)
        words.extend(first_words(reading.notes, reading.left_out))
        fleet.read(reading.fleet, began=reading.began, left_out=reading.left_out)
        if html is not None:
            part = html.with_name(f"{html.name}.part")
            part.write_text(fleet_report(fleet, title=table.stem, words=words[:20]), encoding="utf-8")
            part.replace(html)

    if not follow:
        take(read_fleet(table, **told))
        _print(fleet, as_json)
        return 0
    before: dict[str, str] = {}
    with suppress(KeyboardInterrupt):
        for reading in following.follow(table, every=every, **told):
            take(reading)
            if not before:
                _print(fleet, as_json, compact=True)
            for unit in fleet.units():
                if before and before.get(unit.unit) != unit.standing:
                    _changed(fleet, unit, as_json)
                before[unit.unit] = unit.standing
    return 0


def _columns(given: list[str] | None) -> dict[str, str]:
    columns = {}
    for one in given or ():
        role, equals, name = (part.strip() for part in one.partition("="))
        if not equals or not name:
            raise ValueError(f"column {one!r}: expected ROLE=NAME, such as unit='Serial Number'")
        columns[role] = name
    return columns


def _say(reading: "Reading") -> None:
    from dialog.telemetry.fleet_watch import first_words
    from ui.commands.terminal import note

    for word in first_words(reading.notes, reading.left_out):
        note(f"rapport: {word}")


def _print(fleet: "FleetWatch", as_json: bool, *, compact: bool = False) -> None:
    from ui.commands.terminal import note, printable, write_json

    if as_json:
        _line(fleet.as_json()) if compact else write_json(fleet.as_json())
        return
    units = fleet.units()
    rows = [_row(fleet, unit) for unit in units[:_SHOWN]]
    header = ("unit", "standing", "left", "what to do first")
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        print(printable("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()))
    if len(units) > _SHOWN:
        note(f"rapport: and {len(units) - _SHOWN:,} units that are less urgent; --json and --html have them")


def _row(fleet: "FleetWatch", unit: "UnitNow") -> tuple[str, ...]:
    from dialog.telemetry.advice import left_in_words
    from dialog.telemetry.report import WORDS

    left = "none" if unit.failure is not None else left_in_words(unit.outlook, fleet.time_unit)
    return unit.unit[:40], WORDS[unit.standing], left, unit.advice(fleet.time_unit)


def _changed(fleet: "FleetWatch", unit: "UnitNow", as_json: bool) -> None:
    """One line: this unit stands otherwise than before."""
    from ui.commands.terminal import printable

    if as_json:
        _line(unit.as_json(fleet.time_unit))
    else:
        print(printable("  ".join(_row(fleet, unit))), flush=True)


def _line(value: Any) -> None:
    import json

    print(json.dumps(value, ensure_ascii=False), flush=True)
