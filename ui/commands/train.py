"""`rapport train`: models made anew."""

from pathlib import Path
from typing import Annotated

import typer

from ui.commands.options import AsJson, Device


def train(
    recipe: Annotated[str | None, typer.Argument(metavar="RECIPE", help="What to train; see --list.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="The folder with the corpora.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where the model goes, and an unfinished run waits.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--start", help="A trained folder or shipped model to begin with, for recipes that say so."),
    ] = None,
    teacher: Annotated[
        list[Path] | None, typer.Option(help="A trained model to learn from beside the labels; may be repeated.")
    ] = None,
    mixer: Annotated[
        str | None,
        typer.Option(help="What mixes along time, for recipes that leave it open. \\[default: their first]"),
    ] = None,
    voices: Annotated[
        Path | None, typer.Option(help="A folder with a subfolder of sound files a voice, for recipes of speech.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Device = None,
    list_them: Annotated[bool, typer.Option("--list", help="Print the recipes.")] = False,
    as_json: AsJson = False,
) -> int:
    """Train a model. The same command goes on where a run was stopped."""
    from dialog.training import RECIPES
    from dialog.training.recipe import Run
    from ui.commands.terminal import complain, pick, progress, write_json, write_report

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
    if start is not None and not chosen.takes_start:
        raise ValueError(f"the recipe {recipe} starts from nothing and takes no --start")
    if teacher and not chosen.takes_teachers:
        raise ValueError(f"the recipe {recipe} takes no --teacher")
    if mixer is not None and mixer not in chosen.mixers:
        known = ", ".join(chosen.mixers)
        raise ValueError(f"the recipe {recipe} takes no --mixer {mixer}" + (f"; it takes {known}" if known else ""))
    if voices is not None and not chosen.takes_voices:
        raise ValueError(f"the recipe {recipe} takes no --voices")
    try:
        with progress(f"Training {recipe}") as bar:
            run = Run(
                out=out,
                data=data or Path(),
                seed=seed,
                start=start,
                teachers=tuple(teacher or ()),
                voices=voices,
                report=lambda p: bar.at(p.step / max(p.steps, 1), f"loss {p.loss:.3f}"),
                device=device,
                mixer=mixer,
            )
            scores = chosen.train(run)
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on here")
        return 130
    result = {"recipe": recipe, "out": str(out), "seed": seed, "metrics": scores}
    if as_json:
        write_json(result)
    else:
        write_report(result)
    return 0
