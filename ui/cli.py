"""The command `rapport`. Data goes to stdout, everything about it to stderr.

Exit codes: 0 fine; 1 wrong usage or unreadable input; 2 some items failed, and are listed; 130 interrupted, and what
can be resumed says so. Heavy imports happen inside the commands, so that help is quick.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="rapport",
    help="Emotions in conversations: a web page, a REST service and a batch annotator.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
ModelName = Annotated[str, typer.Option("--model", help="A shipped model (see `rapport models`) or a folder.")]
DEFAULT_MODEL = "emotion/ekman"
DEFAULT_EYES = "visual/seqdialn"
FAILURES_SHOWN = 20


def main() -> None:
    """The entry point: runs a command and exits with its code."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a stray byte, or an emoji on an old terminal, must not end the work
            stream.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs a command line and returns its exit code. Expected faults become one line on stderr."""
    from ui.terminal import complain, nothing_more_to_write

    try:
        return int(app(arguments, standalone_mode=False, prog_name="rapport") or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        nothing_more_to_write()
        return 1
    except _usage_error() as error:
        error.show()
        return 1
    except (ValueError, OSError) as error:
        if os.environ.get("RAPPORT_TRACEBACK"):
            raise
        complain(_described(error))
        return 1


def _usage_error() -> Any:
    """The base of typer's errors, which typer does not name itself."""
    return next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _described(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"rapport {version('rapport')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.  [default: 8000]")] = None,
    config: Annotated[str | None, typer.Option(help="A YAML file, or a profile: laptop, gpu, cluster.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where chats are kept.")] = None,
    model: Annotated[str | None, typer.Option(help=f"The model that answers.  [default: {DEFAULT_MODEL}]")] = None,
) -> int:
    """Start the web page and the REST service."""
    from serve.config import AppConfig

    settings = AppConfig.load(config, host=host, port=port, data_dir=data_dir, model=model)
    from ui.service import serve_everything

    return serve_everything(settings)


@app.command()
def annotate(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Logs to label; - is stdin.")],
    out: Annotated[str, typer.Option("--output", "-o", metavar="OUT", help="Where to write; - is stdout.")],
    input_format: Annotated[str, typer.Option(help="auto, or a format's name.")] = "auto",
    to: Annotated[str | None, typer.Option(help="Format to write.  [default: by OUT's ending, else jsonl]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run that was stopped left off.")] = False,
    anonymise: Annotated[bool, typer.Option("--anonymise", help="Names, numbers and addresses do not go out.")] = False,
    causes: Annotated[
        bool | None,
        typer.Option("--causes/--no-causes", help="Say what caused each emotion.  [default: where the model can]"),
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="local|ray", help="local, or ray: every core of the cluster at RAY_ADDRESS.")
    ] = "local",
    model: ModelName = DEFAULT_MODEL,
    as_json: AsJson = False,
) -> int:
    """Label whole logs: any format in, labelled out, in the same order."""
    from dataclasses import asdict

    from dialog.annotate import annotate as annotate_logs
    from dialog.formats import WRITERS
    from ui.messages import number
    from ui.terminal import complain, note, pick, progress, write_json

    if as_json and out == "-":
        raise ValueError("--json and -o - would both write to stdout; choose one")
    start = pick(engine, {"local": _local_tagger, "ray": _ray_tagger}, "engine")
    ending = Path(out).suffix.lstrip(".").lower()
    with progress("Loading the model") as bar, start(model, causes) as (tagger, n_workers):
        bar.describe("Labelling")
        summary = annotate_logs(
            [sys.stdin.buffer if i == "-" else Path(i) for i in inputs],
            sys.stdout.buffer if out == "-" else Path(out),
            tagger=tagger,
            input_format=input_format,
            to=to or (ending if ending in WRITERS else "jsonl"),
            resume=resume,
            anonymise=anonymise,
            progress=lambda p: bar.at(p.fraction, number(p.utterances, "message")),
            batch_utterances=1024 * n_workers,
        )
    if as_json:
        write_json({**asdict(summary), "out": out, "model": tagger.version, "exit_code": summary.exit_code})
    for failure in summary.failures[:FAILURES_SHOWN]:
        place = f"{failure.id}, line {failure.line}" if failure.line else failure.id
        complain(f"{place}: {failure.error}")
    if summary.failed > FAILURES_SHOWN:
        complain(f"and {summary.failed - FAILURES_SHOWN:,} more; each has an `error` in the output")
    if summary.interrupted:
        complain("interrupted" + ("; the same command with --resume goes on here" if summary.journal else ""))
    else:
        skipped = f", {summary.skipped:,} were done before" if summary.skipped else ""
        failed = f", {summary.failed:,} failed" if summary.failed else ""
        rate = f"{number(summary.utterances, 'message')} in {summary.seconds:.1f} s"
        note(f"rapport: labelled {number(summary.done, 'conversation')} ({rate}){skipped}{failed} -> {out}")
    return summary.exit_code


@contextmanager
def _local_tagger(model: str, causes: bool | None) -> Iterator[tuple[Any, int]]:
    from dialog.emotion import EmotionTagger

    yield EmotionTagger.load(model, causes=causes), 1


@contextmanager
def _ray_tagger(model: str, causes: bool | None) -> Iterator[tuple[Any, int]]:
    from serve.ray_tagger import ray_tagger

    with ray_tagger(model, causes=causes) as tagger:
        yield tagger, tagger.n_workers


@app.command()
def chat(model: ModelName = DEFAULT_MODEL, as_json: AsJson = False) -> int:
    """Chat in the terminal: type `Name: text`, see each message's emotion at once."""
    from dialog.emotion import EmotionTagger
    from ui.terminal import progress
    from ui.terminal_chat import converse

    with progress("Loading the model"):
        tagger = EmotionTagger.load(model)
    return converse(tagger, sys.stdin, as_json=as_json)


@app.command()
def ask(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture: JPEG, PNG, WebP or HEIC.")],
    questions: Annotated[
        list[str] | None, typer.Argument(metavar="[QUESTION]...", help="Asked in turn; without any they are typed.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="A model, `transformers:FOLDER`, or `openai:MODEL` at RAPPORT_VISUAL_URL.")
    ] = DEFAULT_EYES,
    caption: Annotated[str, typer.Option(help="What is known of the picture before the first question.")] = "",
    as_json: AsJson = False,
) -> int:
    """Ask about a picture, in rounds: earlier ones are remembered."""
    from dialog.pictures import open_picture
    from dialog.visual_engines import open_engine
    from ui.terminal import progress
    from ui.terminal_ask import converse

    with progress("Loading the model"):
        picture = open_picture(image.read_bytes())
        asked = open_engine(engine)
        look = asked.look(picture)
    return converse(asked, look, questions or (), sys.stdin, caption=caption, as_json=as_json)


@app.command()
def evaluate(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="What to measure; `causes`, `emotion`, `recall`, `visual`.")
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", help="Labelled conversations, jsonl or jsonl.gz; visual: a folder; recall: none."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help=f"A shipped model or a folder; recall: a mixer.  [default: {DEFAULT_MODEL}]")
    ] = None,
    without: Annotated[
        list[Path] | None, typer.Option("--without", help="Leave out conversations that stand in this file.")
    ] = None,
    live: Annotated[bool | None, typer.Option("--live/--no-live", help="Score the live mode as well.")] = None,
    strays: Annotated[
        bool | None, typer.Option("--strays", help="emotion: with messages out of other conversations among them.")
    ] = None,
    emotions: Annotated[
        str | None, typer.Option(help=f"causes: the model whose emotions they are of.  [default: {DEFAULT_MODEL}]")
    ] = None,
    tier: Annotated[str | None, typer.Option(help="recall: smoke, rank, standard, hard.  [default: smoke]")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="recall: so many steps of training.  [default: the tier's]")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Measure a model on labelled conversations: every published metric of the task."""
    from dialog.evaluate import TASKS, takes
    from ui.terminal import pick, progress, write_json, write_report

    measure = pick(task, TASKS, "task")
    given = {
        "model": model,
        "without": without or None,
        "live": live,
        "strays": strays,
        "emotions": emotions,
        "tier": tier,
        "steps": steps,
    }
    options = {name: value for name, value in given.items() if value is not None}
    _refuse([name for name in options if not takes(measure, name)], task)
    if not data and task != "recall":
        raise typer.BadParameter(f"{task} is measured on files: expected --data FILE", param_hint="--data")
    with progress("Measuring") as bar:
        result = measure(data or (), **options, progress=lambda done, n: bar.at(done / max(n, 1), f"{n:,}"))
    if as_json:
        write_json(result)
    else:
        write_report(result)
    return 0


def _refuse(names: list[str], what: str) -> None:
    if names:
        raise ValueError(f"{what} takes no --{' and no --'.join(names)}")


@app.command()
def train(
    recipe: Annotated[str | None, typer.Argument(metavar="RECIPE", help="What to train; see --list.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="The folder with the corpora.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where the model goes, and an unfinished run waits.")
    ] = None,
    start: Annotated[Path | None, typer.Option("--start", help="A folder `emotion/encoder` was trained into.")] = None,
    teacher: Annotated[
        list[Path] | None, typer.Option(help="A trained model to learn from beside the labels; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    list_them: Annotated[bool, typer.Option("--list", help="Print the recipes.")] = False,
    as_json: AsJson = False,
) -> int:
    """Train a model. The same command goes on where a run was stopped."""
    from dialog.training import RECIPES
    from ui.terminal import complain, pick, progress, write_json, write_report

    if list_them:
        print("\n".join(f"{name:32} {known.summary}" for name, known in RECIPES.items()))
        return 0
    chosen = None if recipe is None else pick(recipe, RECIPES, "recipe")
    if chosen is None or out is None or (data is None and chosen.reads_data):
        raise ValueError("expected RECIPE --data DIR --out DIR; `rapport train --list` names the recipes")
    if data is not None and not chosen.reads_data:
        raise ValueError(f"the recipe {recipe} makes its examples and takes no --data")
    if data is not None and not data.is_dir():
        raise ValueError(f"{data} is no folder; expected one with the corpora")
    if teacher and not chosen.takes_teachers:
        raise ValueError(f"the recipe {recipe} takes no --teacher")
    more = {"teachers": teacher} if teacher else {}
    try:
        with progress(f"Training {recipe}") as bar:
            scores = chosen.train(
                data or Path(),
                out,
                seed,
                start,
                lambda p: bar.at(p.step / max(p.steps, 1), f"loss {p.loss:.3f}"),
                **more,
            )
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on here")
        return 130
    result = {"recipe": recipe, "out": str(out), "seed": seed, "metrics": scores}
    if as_json:
        write_json(result)
    else:
        write_report(result)
    return 0


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print this model's card.")] = None,
    as_json: AsJson = False,
) -> int:
    """List the models that are shipped, or print one's card."""
    from models.catalogue import shipped
    from ui.terminal import pick, write_card, write_json, write_models

    cards = shipped()
    if name is None:
        if as_json:
            write_json({"models": [_card(card) for card in cards]})
        else:
            write_models(cards)
        return 0
    card = pick(name, {c.name: c for c in cards}, "model")
    if as_json:
        write_json({**_card(card), "card": card.text})
    else:
        write_card(card)
    return 0


def _card(card: Any) -> dict[str, Any]:
    return {
        "name": card.name,
        "task": card.task,
        "labels": list(card.labels),
        "summary": card.summary,
        "scores": card.scores,
        "path": str(card.path),
    }


def _bench_serve(**options: Any) -> dict[str, Any]:
    from serve.bench import measure

    return measure(**options)


@app.command()
def bench(
    suite: Annotated[str | None, typer.Argument(metavar="SUITE", help="What to measure; see --list.")] = None,
    list_them: Annotated[bool, typer.Option("--list", help="Print the suites' names, one a line.")] = False,
    model: Annotated[str | None, typer.Option(help="emotion, annotate, visual, serve: the model to measure.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="emotion, annotate: conversations in place of made-up ones; pointer: trained models."),
    ] = None,
    mixer: Annotated[list[str] | None, typer.Option(help="mixers: this one alone; may be repeated.")] = None,
    length: Annotated[list[int] | None, typer.Option(help="mixers: tokens a sequence; may be repeated.")] = None,
    recall: Annotated[
        list[str] | None, typer.Option(help="mixers: train on this tier of MQAR as well, minutes a mixer.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="kernels: the ops whose names contain this.")] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="mixers, kernels, visual, serve: times a row is measured.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Measure speed: ratios against peers in the same run."""
    from dialog.bench import SUITES, TAKES
    from ui.terminal import pick, progress, write_bench, write_json

    # The service stands above the suites of `dialog`, which cannot know it.
    suites, takes = {**SUITES, "serve": _bench_serve}, {**TAKES, "serve": {"model": "model", "repeats": "rounds"}}
    if list_them:
        print("\n".join(suites))
        return 0
    if suite is None:
        raise ValueError(f"expected a suite: one of {', '.join(suites)}")
    measure = pick(suite, suites, "suite")
    given: dict[str, Any] = {"model": model, "data": data, "mixer": mixer, "length": length, "recall": recall}
    given |= {"only": only, "repeats": repeats}
    named = [name for name, value in given.items() if value not in (None, [])]
    argument = takes.get(suite, {})
    _refuse([name for name in named if name not in argument], suite)
    options = {argument[name]: given[name] for name in named}
    with progress(f"Measuring {suite}"):
        result = measure(**options)
    if as_json:
        write_json(result)
    else:
        write_bench(result)
    return 0


if __name__ == "__main__":
    main()
