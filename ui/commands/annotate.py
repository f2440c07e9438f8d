"""`rapport annotate`: whole logs, labelled."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from models.catalogue import EMOTION
from ui.commands.options import AsJson, Device, ModelName, To, refuse
from ui.commands.transcribe import (
    CHANNELS,
    ChannelsName,
    Language,
    Listener,
    Listening,
    RecogniserName,
    Speakers,
)

if TYPE_CHECKING:
    from dialog.emotion.port import Tagger
    from dialog.formats import Item

FAILURES_SHOWN = 20


def annotate(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT", help="Logs, or recordings, to label; - is stdin.")],
    out: Annotated[str, typer.Option("--output", "-o", metavar="OUT", help="Where to write; - is stdout.")],
    input_format: Annotated[
        str, typer.Option(metavar="FORMAT", help="auto, or a name such as whatsapp; a wrong one lists all.")
    ] = "auto",
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE=NAME", help="A table's column: of the text, speaker, time, emotion or conversation."
        ),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="What the inputs are in, such as cp1251. \\[default: UTF-8, or told from them]")
    ] = None,
    to: To = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run that was stopped left off.")] = False,
    anonymise: Annotated[bool, typer.Option("--anonymise", help="Names, numbers and addresses do not go out.")] = False,
    causes: Annotated[
        bool | None,
        typer.Option("--causes/--no-causes", help="Say what caused each emotion. \\[default: where the model can]"),
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="local|ray", help="local, or ray: every core of the cluster at RAY_ADDRESS.")
    ] = "local",
    speakers: Speakers = None,
    channels: ChannelsName = CHANNELS,
    recogniser: RecogniserName = None,
    language: Language = None,
    model: ModelName = EMOTION,
    device: Device = None,
    as_json: AsJson = False,
) -> int:
    """Label whole logs: any format in, labelled out, in the same order."""
    from dataclasses import asdict

    from dialog.annotation.annotate import annotate as annotate_logs
    from dialog.formats import WRITERS
    from dialog.formats.left_out import sentence
    from dialog.formats.table import chosen_columns
    from dialog.speech.names import is_recording
    from ui.commands.terminal import complain, note, pick, progress, write_json
    from ui.messages import number

    if as_json and out == "-":
        raise ValueError("--json and -o - would both write to stdout; choose one")
    start = pick(engine, {"local": _local_tagger, "ray": _ray_tagger}, "engine")
    ending = Path(out).suffix.lstrip(".").lower()
    recordings = [is_recording(i) and input_format == "auto" for i in inputs]
    if out != "-" and any(
        r and Path(i).resolve() == Path(out).resolve() for i, r in zip(inputs, recordings, strict=True)
    ):
        raise ValueError(f"{out} is an input and the output at once")
    how = Listening(recogniser=recogniser, language=language, speakers=speakers, channels=channels)
    if not any(recordings):
        refuse(how.asked(), "a log that is no recording")
    listener = Listener(how) if any(recordings) else None
    with progress("Loading the model") as bar, start(model, causes, device) as (tagger, n_workers):
        bar.describe("Labelling")
        given: list[Path | BinaryIO | Iterable[Item]] = [
            listener.when_asked(i, bar) if listener and recording else sys.stdin.buffer if i == "-" else Path(i)
            for i, recording in zip(inputs, recordings, strict=True)
        ]
        summary = annotate_logs(
            given,
            sys.stdout.buffer if out == "-" else Path(out),
            tagger=tagger,
            input_format=input_format,
            to=to or (ending if ending in WRITERS else "jsonl"),
            resume=resume,
            anonymise=anonymise,
            progress=lambda p: bar.at(p.fraction, number(p.utterances, "message")),
            batch_utterances=1024 * n_workers,
            columns=chosen_columns(column or ()),
            encoding=encoding,
        )
    if as_json:
        write_json({**asdict(summary), "out": out, "model": tagger.version, "exit_code": summary.exit_code})
    for failure in summary.failures[:FAILURES_SHOWN]:
        place = f"{failure.id}, line {failure.line}" if failure.line else failure.id
        complain(f"{place}: {failure.error}")
        if "no column for the text" in failure.error:
            complain("say which it is with --column text=NAME")
        if "say which encoding" in failure.error:
            complain("say so with --encoding NAME")
    if summary.failed > FAILURES_SHOWN:
        complain(f"and {summary.failed - FAILURES_SHOWN:,} more; each has an `error` in the output")
    if summary.interrupted:
        complain("interrupted" + ("; the same command with --resume goes on here" if summary.journal else ""))
    else:
        skipped = f", {summary.skipped:,} were done before" if summary.skipped else ""
        failed = f", {summary.failed:,} failed" if summary.failed else ""
        rate = f"{number(summary.utterances, 'message')} in {summary.seconds:.1f} s"
        if summary.left_out:
            note(f"rapport: left out, since nobody said it: {sentence(summary.left_out)}")
        note(f"rapport: labelled {number(summary.done, 'conversation')} ({rate}){skipped}{failed} -> {out}")
    return summary.exit_code


@contextmanager
def _local_tagger(model: str, causes: bool | None, device: str | None) -> Iterator["tuple[Tagger, int]"]:
    from dialog.emotion.tagger import EmotionTagger

    yield EmotionTagger.load(model, causes=causes, device=device), 1


@contextmanager
def _ray_tagger(model: str, causes: bool | None, device: str | None) -> Iterator["tuple[Tagger, int]"]:
    from serve.ray.tagger import ray_tagger

    if device not in (None, "cpu"):
        raise ValueError(f"--engine ray labels on every core of the cluster and takes no --device {device}")
    with ray_tagger(model, causes=causes) as tagger:
        yield tagger, tagger.n_workers
