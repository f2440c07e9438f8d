"""`rapport bench thinking`: what a second pass is worth on facts to look up, and what it costs, by who asks for it."""

import time
from collections.abc import Callable
from typing import Any

import torch

from dialog.bench.timing import row, side_by_side, suite
from dialog.training.replies.thinking import (
    Facts,
    ThinkingRecipe,
    of_test,
    one_layer,
    oracle,
    scored,
    small,
    train_thinking,
)
from models.decoder.model import Decoder
from models.thinking.model import Thought


def measure(*, steps: int = 400, repeats: int = 5) -> dict[str, Any]:
    """The object of `rapport bench thinking --json`.

    A decoder of one layer learns for `steps`; from it, for as many steps again, one goes on with one pass, one always
    makes two, and Think-at-Hard makes two where the first one's mistakes are, and then a decider learns to foresee
    them. Rows: per cent right of easy and hard questions, the mean passes of a token, and seconds of a forward pass;
    `ratio` is that to one pass's. For the decider's row `agreement` is how often it decides as the oracle does. The
    models are tiny and run on the processor.
    """
    task, recipe = Facts(), ThinkingRecipe(base=steps, passes=steps, decider=max(1, steps // 3))
    config = small(task)
    torch.manual_seed(0)
    found = train_thinking(recipe, task.draw, Decoder(one_layer(task.n_tokens)), config)
    asked = of_test(task)
    hard = oracle(found.reference, asked)
    tokens = asked.tokens

    def once() -> Thought:
        logits, _ = found.one_pass(tokens)
        return Thought(logits, logits, torch.ones_like(tokens), torch.zeros_like(logits[..., 0]))

    ways: dict[str, Callable[[], Thought]] = {
        "one pass": once,
        "always two": lambda: found.always(tokens, policy="always")[0],
        "Think-at-Hard, the oracle decides": lambda: found.selective(tokens, policy=hard)[0],
        "Think-at-Hard, the decider decides": lambda: found.selective(tokens, policy="decider")[0],
        "the same model, never again": lambda: found.selective(tokens, policy="never")[0],
        "the same model, always again": lambda: found.selective(tokens, policy="always")[0],
    }
    with torch.inference_mode():
        thoughts = {name: way() for name, way in ways.items()}
        seconds = side_by_side(list(ways.values()), repeats, time.process_time)
    rows = []
    for (name, thought), taken in zip(thoughts.items(), seconds, strict=True):
        scores = scored(thought, asked)
        more = {"easy": scores.easy, "hard": scores.hard, "passes": scores.passes, "steps": steps}
        if "decider" in name:
            more["agreement"] = 100 * float(((thought.depth > 1) == hard).double().mean())
        rows.append(row(name, taken, "one pass", seconds[0], **more))
    return suite("thinking", rows, clock="processor seconds", questions=int((asked.labels != -100).sum()))
