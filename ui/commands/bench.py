"""`rapport bench`: speed, as ratios in one run."""

import shlex
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from ui.commands.options import AsJson, Device, refuse


def bench(
    suite: Annotated[str | None, typer.Argument(metavar="SUITE", help="What to measure; see --list.")] = None,
    list_them: Annotated[bool, typer.Option("--list", help="Print the suites' names, one a line.")] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="emotion, annotate, correction, reply, speech, telemetry, visual, serve: the model to measure."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="emotion, annotate, correction, linearise: conversations; pointer: trained models; review: the data."
        ),
    ] = None,
    mixer: Annotated[list[str] | None, typer.Option(help="mixers: this one alone; may be repeated.")] = None,
    length: Annotated[list[int] | None, typer.Option(help="mixers: tokens a sequence; may be repeated.")] = None,
    recall: Annotated[
        list[str] | None, typer.Option(help="mixers: train on this tier of MQAR as well, minutes a mixer.")
    ] = None,
    decode: Annotated[
        list[int] | None, typer.Option(help="mixers: tokens a second from this position on; may be repeated.")
    ] = None,
    equal: Annotated[
        list[str] | None, typer.Option(help="mixers: recall at widths of equal parameters, or of equal state.")
    ] = None,
    longest: Annotated[
        float | None,
        typer.Option(min=0, help="mixers: seconds of a forward pass past which no longer text is read. \\[default: 5]"),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="mixers, linearise, review, claims: a file for the rows; what it has is not measured again."),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(help="kernels, serve, linearise, review, claims: the ops, the rows whose names contain this."),
    ] = None,
    tune: Annotated[
        Path | None,
        typer.Option(help="kernels: look for the quickest tiles on this GPU, and put them into this table."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="linearise, thinking: steps of training. \\[default: 100, 400]")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="of all but emotion, annotate, pointer: times a row is measured.")
    ] = None,
    device: Device = None,
    as_json: AsJson = False,
) -> int:
    """Measure speed: ratios against peers in the same run."""
    from dialog.bench import SUITES, TAKES
    from ui.commands.terminal import pick, progress, write_bench, write_json

    # The service stands above the suites of `dialog`, which cannot know it.
    suites, takes = (
        {**SUITES, "serve": _bench_serve},
        {**TAKES, "serve": {"model": "model", "repeats": "rounds", "device": "device", "only": "only"}},
    )
    if list_them:
        print("\n".join(suites))
        return 0
    if suite is None:
        raise ValueError(f"expected a suite: one of {', '.join(suites)}")
    measure = pick(suite, suites, "suite")
    given: dict[str, Any] = {"model": model, "data": data, "mixer": mixer, "length": length, "recall": recall}
    given |= {"equal": equal, "decode": decode, "longest": longest, "keep": keep, "steps": steps}
    given |= {"only": only, "tune": tune, "repeats": repeats, "device": device}
    named = [name for name, value in given.items() if value not in (None, [])]
    argument = takes.get(suite, {})
    refuse([name for name in named if name not in argument], suite)
    options = {argument[name]: given[name] for name in named}
    with progress(f"Measuring {suite}"):
        result = measure(**options)
    if as_json:
        write_json({"command": _written(suite, given), "date": date.today().isoformat(), **result})
    else:
        write_bench(result)
    return 0


def _written(suite: str, given: Mapping[str, Any]) -> str:
    """The command line that measures this."""
    words = ["rapport", "bench", suite]
    for name, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            words += [] if one is None else [f"--{name}", str(one)]
    return shlex.join([*words, "--json"])


def _bench_serve(**options: Any) -> dict[str, Any]:
    from serve.bench.suite import measure

    return measure(**options)
