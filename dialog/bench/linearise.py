"""`rapport bench linearise`: what a decoder loses when its attention is made recurrent, and what that saves."""

import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dialog.bench.decode import decoding_model
from dialog.bench.kept import Kept, Row
from dialog.bench.timing import suite
from dialog.corpora import read
from dialog.replies.decoders import Texts, open_decoder
from dialog.training.replies.linearise import LineariseRecipe, Rows, perplexity, rows_of, train_linearised
from models.decoder.config import METHODS, Method
from models.decoder.linearise import Branches, linearised
from models.decoder.model import Decoder
from models.device import Where, choose_device, device_of
from models.mixers.softmax import SoftmaxAttentionConfig

WINDOW = 32
"""Keys of the softmax half: short, so that a row reaches far beyond it."""
POSITIONS = (1024, 4096, 16_384)
SEGMENT, CUE = 16, 4
NEAR, FAR = 8, 128
"""Tokens between a passage and its return: within a converted layer's window, and beyond it."""
NEAR_KEPT = "far layers"
KINDS: tuple[tuple[Branches, bool], ...] = (("both", False), ("window", False), ("linear", False), ("both", True))
VARIANTS: tuple[tuple[Method, Branches, bool], ...] = tuple((m, *kind) for m in METHODS for kind in KINDS)
"""The method, the branches, and whether layers that have a window of their own keep it."""


def measure(
    model: str | Path | None = None,
    *,
    data: Path | None = None,
    steps: int = 100,
    only: str = "",
    repeats: int = 5,
    longest: float = 20.0,
    keep: Path | None = None,
    device: Where = None,
) -> dict[str, Any]:
    """The object of `rapport bench linearise --json`.

    A row a conversion, whole and with one branch left out; and, of a teacher some of whose layers have a window of
    their own, one of its other layers alone, "far layers". Perplexity of the teacher, right after the conversion and
    after `steps` of training (half as many of Lizard's matching before them), on the same tenth of the conversations;
    `ratio` is the last to the first. `recall_near` and `recall_far`: by how many nats a token of a passage is foreseen
    better when the passage stood 8, or 128, tokens before; `recall_beyond` the same, beyond the teacher's own windows.
    Then rows of decoding: tokens a second and bytes of state at some positions, `ratio` the seconds to the teacher's.
    `only` names the conversions wanted by a part of their names. Rows are kept in the file `keep`, and a training that
    was cut off beside it. ValueError where no decoder, or no conversations, are given.
    """
    if model is None or data is None:
        raise ValueError("expected --model FOLDER, a decoder, and --data FILE, conversations")
    where = choose_device(device)
    teacher, texts = open_decoder(model, device=where), Texts(model)
    rows = rows_of(texts, list(read(Path(data))), LineariseRecipe(method="liger").length)
    kept = Kept(keep, {"model": teacher.config.origin, "data": str(data), "window": WINDOW, "steps": steps})
    windows = [one.window for one in teacher.config.mixers if isinstance(one, SoftmaxAttentionConfig) and one.window]
    gaps = {"near": NEAR, "far": FAR} | ({"beyond": max(windows) + SEGMENT} if windows else {})
    before = kept.row("teacher", lambda: {**_measured(teacher, rows, gaps), "ratio": 1.0})
    found, compared = [before], {"teacher": teacher}
    for method, branches, near in VARIANTS:
        name = f"{method}, {NEAR_KEPT if near else branches}"
        if only not in name or (near and not windows):
            continue
        torch.manual_seed(0)
        student = linearised(teacher, method, window=WINDOW, branches=branches, near=near)
        if branches == "both":
            compared[name if near else method] = student
        if name not in kept:
            converted = kept.row(f"{name}, untrained", partial(_foreseen, student, rows))
            recipe = LineariseRecipe(
                method=method, branches=branches, window=WINDOW, near=near, steps=steps, matching=max(1, steps // 2)
            )
            _trained(student, teacher, recipe, rows, None if keep is None else Path(f"{keep}, {name}"))
            after = _measured(student, rows, gaps)
            told = {
                "window": WINDOW,
                "steps": steps,
                "teacher_perplexity": before["perplexity"],
                "converted_perplexity": converted["perplexity"],
                **after,
                "ratio": after["perplexity"] / before["perplexity"],
            }
            kept.row(name, told.copy)
        found.append(kept[name])
    if len(compared) > 1:  # the teacher's own pace is nothing without another's
        found += _decoding(compared, repeats, longest, kept)
    return suite("linearise", found, where=where, model=teacher.config.origin, data=str(data))


def _trained(student: Decoder, teacher: Decoder, recipe: LineariseRecipe, rows: Rows, folder: Path | None) -> None:
    """In place; with a folder, gone on from there after a cut, and nothing left in it at the end."""
    if folder is None:
        with tempfile.TemporaryDirectory() as passing:
            return train_linearised(student, teacher, recipe, rows, Path(passing))
    train_linearised(student, teacher, recipe, rows, folder)
    folder.rmdir()


def _foreseen(decoder: Decoder, rows: Rows) -> dict[str, float]:
    return {"perplexity": perplexity(decoder, rows.held, rows.held_labels)}


def _measured(decoder: Decoder, rows: Rows, gaps: Mapping[str, int]) -> dict[str, float]:
    return {
        **_foreseen(decoder, rows),
        **{f"recall_{name}": recall(decoder, rows.held, gap) for name, gap in gaps.items()},
    }


@torch.inference_mode()
def recall(decoder: Decoder, rows: Tensor, gap: int, most: int = 24) -> float:
    """Nats a token by which a passage is foreseen better after itself than after another one.

    rows (N, length + 1). A passage of 16 tokens, `gap` others, and the passage again, of which the first four are the
    cue; against it the same with another passage in the first one's place.
    """
    n, width = min(most, len(rows)), rows.shape[1]
    apart = 2 + -(-gap // width)  # a row for the passage, one for the other, and those that lie between
    if n < apart or width < SEGMENT:
        raise ValueError(f"{n} rows of {width} tokens are too few to ask what is remembered over {gap}")
    passage, other, *others = (rows[:n].roll(i, 0) for i in range(apart))
    between = torch.cat(others, 1)[:, :gap]
    losses = []
    for first in (passage, other):
        ids = torch.cat([first[:, :SEGMENT], between, passage[:, :SEGMENT]], 1).to(device_of(decoder))
        y, _ = decoder.hidden(ids[:, :-1])
        asked = SEGMENT - CUE
        log_p = decoder.head(y[:, -asked:]).float().log_softmax(-1).gather(-1, ids[:, -asked:, None])
        losses.append(-float(log_p.mean()))
    return losses[1] - losses[0]


def _decoding(models: Mapping[str, Decoder], repeats: int, longest: float, kept: Kept) -> Iterator[Row]:
    teachers: dict[int, float] = {}
    for name, decoder in models.items():
        titles = {place: f"{name}, decoding at {place}" for place in POSITIONS}
        if not all(title in kept for title in titles.values()):
            for row in decoding_model(decoder, decoder.config.n_tokens, POSITIONS, repeats, longest):
                ratio = row["seconds"] / teachers.get(row["position"], row["seconds"])
                kept.row(titles[row["position"]], {**row, "ratio": ratio}.copy)
        for row in (kept[title] for title in titles.values() if title in kept):
            teachers.setdefault(row["position"], row["seconds"])
            yield row
