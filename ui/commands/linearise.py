"""`rapport linearise`: a pretrained decoder made recurrent."""

from pathlib import Path
from typing import Annotated

import typer

from ui.commands.options import AsJson, Device


def linearise(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A folder: a transformers decoder of the Llama or Gemma kind, or ours."),
    ],
    method: Annotated[str, typer.Option(help="liger or lizard.")],
    out: Annotated[Path, typer.Option("--out", help="Where the converted model goes, and an unfinished run waits.")],
    data: Annotated[
        list[Path], typer.Option("--data", help="Conversations to learn from, jsonl(.gz); a tenth is measured on.")
    ],
    window: Annotated[
        int | None, typer.Option(min=1, help="Keys the softmax half sees. \\[default: the paper's, 64 or 128]")
    ] = None,
    near: Annotated[bool, typer.Option("--near", help="Layers that have a window of their own keep it.")] = False,
    steps: Annotated[int, typer.Option(min=1, help="Of training by what comes next.")] = 200,
    matching: Annotated[int, typer.Option(min=1, help="lizard: steps of matching the attention, before that.")] = 100,
    length: Annotated[int, typer.Option(min=8, help="Tokens a row of training.")] = 256,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Device = None,
    as_json: AsJson = False,
) -> int:
    """Make a pretrained decoder recurrent. The same command goes on where a run was stopped."""
    from dialog.training.replies.linearise import LineariseRecipe
    from dialog.training.replies.linearise import linearise as convert
    from models.decoder.config import METHODS
    from ui.commands.terminal import complain, progress, write_json, write_report

    chosen = next((known for known in METHODS if known == method), None)
    if chosen is None:
        raise ValueError(f"there is no method {method!r}; there are {', '.join(METHODS)}")
    recipe = LineariseRecipe(method=chosen, window=window, near=near, steps=steps, matching=matching, length=length)
    try:
        with progress(f"Converting {model}") as bar:
            scores = convert(
                recipe,
                model,
                data,
                out,
                seed=seed,
                device=device,
                report=lambda p: bar.at(p.step / max(p.steps, 1), f"loss {p.loss:.3f}"),
            )
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on here")
        return 130
    result = {"model": str(model), "method": method, "out": str(out), "seed": seed, "metrics": scores}
    if as_json:
        write_json(result)
    else:
        write_report(result)
    return 0
