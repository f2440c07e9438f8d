"""`rapport bench visual`: what a round about a picture costs, early and late, and what the dialogue adds to seeing."""

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dialog.bench.timing import row, side_by_side, suite
from dialog.pictures.seqdialn import VisualDialog, VisualState
from dialog.reading.seeing import see
from dialog.reading.text_vectors import TextReader
from models.catalogue import VISUAL
from models.device import Where

QUESTIONS = ("what is on the table ?", "what color is it ?", "how many chairs are there ?", "is there a dog ?")
PICTURES = 8
"""In the batch whose pictures a second are measured."""


def measure(model: str | Path = VISUAL, *, late: int = 50, repeats: int = 5, device: Where = None) -> dict[str, Any]:
    """A question at round 1 and at round `late`; pictures with a first answer against the picture encoder alone."""
    dialog = VisualDialog.load(model, device=device)
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (375, 500, 3), dtype=np.uint8)) for _ in range(PICTURES)]
    look = dialog.look(pictures[0])
    first = dialog.start(look)
    far = dialog.start(look, [(QUESTIONS[i % 4], "table") for i in range(late - 1)])

    new = count()

    def ask(state: VisualState) -> None:
        # Every question is new to the reader, as a person's is; what was said before it has been read.
        dialog.ask(state, f"what color is number {next(new)} ?")

    def see_and_ask() -> None:
        dialog.reader = TextReader(dialog.reader.encoder)
        for picture in pictures:  # as they come to a service: one by one, with all that is looked for in them
            dialog.ask(dialog.start(dialog.look(picture)), QUESTIONS[0])

    round_late, round_1 = side_by_side([lambda: ask(far), lambda: ask(first)], repeats)
    whole, alone = side_by_side([see_and_ask, lambda: see(dialog.eyes, pictures)], repeats)
    looked, encoded = side_by_side([lambda: dialog.look(pictures[0]), lambda: see(dialog.eyes, pictures[:1])], repeats)
    rows = [
        row(f"a question at round {late}", round_late, "a question at round 1", round_1),
        row(
            "pictures with a first answer",
            whole / PICTURES,
            "the same picture encoder alone",
            alone / PICTURES,
            pictures_a_second=PICTURES / whole,
            peer_pictures_a_second=PICTURES / alone,
        ),
        row("a picture looked at once for all rounds", looked, "the same picture encoder alone", encoded),
    ]
    return suite("visual", rows, where=dialog.device, model=dialog.version, state_bytes=len(far.to_bytes()))
