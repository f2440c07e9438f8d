"""`rapport bench linearise`: what a decoder loses when its attention is made recurrent, and what that saves."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dialog.bench.decode import decoding_model
from dialog.bench.timing import suite
from dialog.corpora import read
from dialog.replies.decoders import Texts, open_decoder
from dialog.training.linearise import LineariseRecipe, Rows, perplexity, rows_of, train_linearised
from models.decoder.config import Method
from models.decoder.linearise import Branches, linearised
from models.decoder.model import Decoder
from models.device import Where, choose_device, device_of

WINDOW = 32
"""Keys of the softmax half: short, so that a row reaches far beyond it."""
POSITIONS = (1024, 4096, 16_384)
SEGMENT, CUE = 16, 4
NEAR, FAR = 8, 128
"""Tokens between a passage and its return: within the window, and beyond it."""
VARIANTS: tuple[tuple[Method, Branches], ...] = (
    *(("liger", "both"), ("liger", "window"), ("liger", "linear")),
    *(("lizard", "both"), ("lizard", "window"), ("lizard", "linear")),
)


def measure(
    model: str | Path | None = None,
    *,
    data: Path | None = None,
    steps: int = 100,
    only: str = "",
    repeats: int = 5,
    longest: float = 20.0,
    device: Where = None,
) -> dict[str, Any]:
    """The object of `rapport bench linearise --json`.

    A row a conversion, whole and with one branch left out: perplexity of the teacher, right after the conversion and
    after `steps` of training (half as many of Lizard's matching before them), on the same tenth of the conversations;
    `ratio` is the last to the first. `recall_near` and `recall_far`: by how many nats a token of a passage is foreseen
    better when the passage stood 8, or 128, tokens before. Then rows of decoding: tokens a second and bytes of state
    at some positions, `ratio` the seconds to the teacher's. `only` names the conversions wanted by a part of their
    names. ValueError where no decoder, or no conversations, are given.
    """
    if model is None or data is None:
        raise ValueError("expected --model FOLDER, a decoder, and --data FILE, conversations")
    where = choose_device(device)
    teacher, texts = open_decoder(model, device=where), Texts(model)
    rows = rows_of(texts, list(read(Path(data))), LineariseRecipe(method="liger").length)
    before = _measured(teacher, rows)
    found: list[dict[str, Any]] = [{"name": "teacher", **before, "ratio": 1.0}]
    kept: dict[str, Decoder] = {"teacher": teacher}
    for method, branches in VARIANTS:
        name = f"{method}, {branches}"
        if only not in name:
            continue
        recipe = LineariseRecipe(
            method=method, branches=branches, window=WINDOW, steps=steps, matching=max(1, steps // 2)
        )
        torch.manual_seed(0)
        student = linearised(teacher, recipe.method, window=WINDOW, branches=recipe.branches)
        converted = perplexity(student, rows.held, rows.held_labels)
        with tempfile.TemporaryDirectory() as folder:
            train_linearised(student, teacher, recipe, rows, Path(folder))
        after = _measured(student, rows)
        found.append(
            {
                "name": name,
                "window": WINDOW,
                "steps": steps,
                "teacher_perplexity": before["perplexity"],
                "converted_perplexity": converted,
                **after,
                "ratio": after["perplexity"] / before["perplexity"],
            }
        )
        if branches == "both":
            kept[method] = student
    if len(kept) > 1:  # the teacher's own pace is nothing without another's
        found += _decoding(kept, repeats, longest)
    return suite("linearise", found, where=where, model=teacher.config.origin, data=str(data))


def _measured(decoder: Decoder, rows: Rows) -> dict[str, float]:
    return {
        "perplexity": perplexity(decoder, rows.held, rows.held_labels),
        "recall_near": recall(decoder, rows.held, NEAR),
        "recall_far": recall(decoder, rows.held, FAR),
    }


@torch.inference_mode()
def recall(decoder: Decoder, rows: Tensor, gap: int, most: int = 48) -> float:
    """Nats a token by which a passage is foreseen better after itself than after another one.

    rows (N, length + 1). A passage of 16 tokens, `gap` others, and the passage again, of which the first four are the
    cue; against it the same with another passage in the first one's place.
    """
    n = min(most, len(rows))
    if n < 3 or rows.shape[1] < max(SEGMENT, gap):
        raise ValueError(f"{n} rows of {rows.shape[1]} tokens are too few to ask what is remembered over {gap}")
    passage, other, between = (rows[:n].roll(i, 0) for i in range(3))
    losses = []
    for first in (passage, other):
        ids = torch.cat([first[:, :SEGMENT], between[:, :gap], passage[:, :SEGMENT]], 1).to(device_of(decoder))
        logits, _ = decoder(ids[:, :-1])
        asked = SEGMENT - CUE
        log_p = logits[:, -asked:].float().log_softmax(-1).gather(-1, ids[:, -asked:, None])
        losses.append(-float(log_p.mean()))
    return losses[1] - losses[0]


def _decoding(models: dict[str, Decoder], repeats: int, longest: float) -> Iterator[dict[str, Any]]:
    teachers: dict[int, float] = {}
    for name, decoder in models.items():
        for row in decoding_model(decoder, decoder.config.n_tokens, POSITIONS, repeats, longest):
            place = row["position"]
            teachers.setdefault(place, row["seconds"])
            yield {"name": f"{name}, decoding at {place}", **row, "ratio": row["seconds"] / teachers[place]}
