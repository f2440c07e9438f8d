"""`rapport evaluate`: what a model is worth."""

from pathlib import Path
from typing import Annotated

import typer

from models.catalogue import EMOTION
from ui.commands.options import AsJson, Device, refuse


def evaluate(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK",
            help="What to measure: behaviour, causes, correction, emotion, recall, reply, responder, "
            "speakers, speech, telemetry, visual, voice-emotion.",
        ),
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            help="Labelled conversations, jsonl(.gz); visual, speakers, speech, telemetry, voice-emotion: a folder; "
            "recall: none.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help=f"A shipped model or a folder; recall: a mixer. \\[default: {EMOTION}]")
    ] = None,
    without: Annotated[
        list[Path] | None, typer.Option("--without", help="Leave out conversations that stand in this file.")
    ] = None,
    live: Annotated[bool | None, typer.Option("--live/--no-live", help="Score the live mode as well.")] = None,
    strays: Annotated[
        bool | None, typer.Option("--strays", help="emotion: with messages out of other conversations among them.")
    ] = None,
    emotions: Annotated[
        str | None, typer.Option(help=f"causes: the model whose emotions they are of. \\[default: {EMOTION}]")
    ] = None,
    tier: Annotated[
        str | None, typer.Option(help="recall: brief, smoke, rank, needle, standard, hard. \\[default: smoke]")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="recall: so many steps of training. \\[default: the tier's]")
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="visual: a file of everyday questions about some of the pictures.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="visual: a folder for what was made of the pictures; a stopped run goes on.")
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            help="speakers, speech, voice-emotion: our train, validation or test voices; telemetry: service, engines, "
            "a set of lasers."
        ),
    ] = None,
    corpora: Annotated[
        Path | None, typer.Option(help="responder: the folder of the sets it was taught, for a 5-gram beside it.")
    ] = None,
    seeds: Annotated[
        Path | None,
        typer.Option(help="telemetry: a folder of models of FD001 that differ by their seed: mean and spread."),
    ] = None,
    card: Annotated[
        bool | None, typer.Option("--card", help="telemetry: write the figures into scores.json and card.md too.")
    ] = None,
    details: Annotated[
        bool | None, typer.Option("--details", help="behaviour: with --json, also what was read wrongly, by metric.")
    ] = None,
    device: Device = None,
    as_json: AsJson = False,
) -> int:
    """Measure a model on labelled conversations: every published metric of the task."""
    # An option is declared above and nowhere else: it goes to the task's argument of the same name.
    given = {name: value for name, value in locals().items() if name not in ("task", "data", "as_json")}
    from dialog.evaluation.tasks import TASKS, WITHOUT_DATA, takes
    from ui.commands.terminal import pick, progress, write_json, write_report

    measure = pick(task, TASKS, "task")
    options = {name: value for name, value in given.items() if value not in (None, [])}
    refuse([name for name in options if not takes(measure, name)], task)
    if not data and task not in WITHOUT_DATA:
        raise typer.BadParameter(f"{task} is measured on files: expected --data FILE", param_hint="--data")
    with progress("Measuring") as bar:
        result = measure(data or (), **options, progress=lambda done, n: bar.at(done / max(n, 1), f"{n:,}"))
    if as_json:
        write_json(result)
    else:
        write_report(result)
    return 0
