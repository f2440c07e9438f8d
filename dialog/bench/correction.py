"""`rapport bench correction`: what a message costs, and what is mended, beside two spelling correctors people use.

pyspellchecker and symspellpy come with `rapport[dev]`; one that is missing has no row. Both change every word they do
not know; so that the comparison is fair, ours is measured at its own margin, and at the one at which it spoils as much
clean text as the better of them.
"""

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dialog.bench.timing import suite
from dialog.correction.corrector import TextCorrector
from dialog.evaluation.correction.correction import clean_scores, mistyped_messages, slip_scores
from dialog.evaluation.correction.spellers import LOWERED, Mend, looser, there
from models.catalogue import CORRECTION
from models.device import Where

RATE = 0.15
MESSAGES = 300


def measure(
    *, model: str = CORRECTION, data: Path | None = None, messages: int = MESSAGES, device: Where = None
) -> dict[str, Any]:
    """The object of `rapport bench correction --json`.

    `data` is a file of conversations whose messages are typed badly; without it the chats written for training, which
    no corrector learned from. A row's `ratio` is our milliseconds a message to the peer's.
    """
    corrector = TextCorrector.load(model, device=device)
    texts = _texts(data, messages)
    slips = list(mistyped_messages(texts, RATE))
    peers = there()
    ours = _row("ours", corrector.correct, slips, texts)
    rows = [{**ours, "margin": corrector.config.margin}]
    spoilt = []
    for name, mend in peers.items():
        row = _row(name, mend, slips, texts)
        spoilt.append(row["false_change_rate"])
        rows.append({**row, "ratio": ours["ms"] / row["ms"]})
    if spoilt:
        rows.append(_at_their_rate(corrector, slips, texts, min(spoilt)))
    return suite("correction", rows, rate=RATE, n_messages=len(texts))


def _at_their_rate(
    corrector: TextCorrector, slips: Sequence[Any], texts: Sequence[str], spoilt: float
) -> dict[str, Any]:
    """Ours at the lowest margins at which it spoils no more clean words than that, in per cent."""
    found: dict[str, Any] = {}
    for less in LOWERED:
        loose = looser(corrector, less)
        row = _row("ours, as much spoilt", loose.correct, slips, texts) | {"margin": loose.config.margin}
        if found and row["false_change_rate"] > spoilt:
            break
        found = row
    return found


def _row(name: str, mend: Mend, slips: Sequence[Any], texts: Sequence[str]) -> dict[str, Any]:
    for slip in slips[:5]:
        mend(slip.typed)
    taken = []
    for slip in slips:
        begun = time.perf_counter()
        mend(slip.typed)
        taken.append(1000 * (time.perf_counter() - begun))
    taken.sort()
    scores = slip_scores(mend, slips)
    return {
        "name": name,
        "ms": taken[len(taken) // 2],
        "ms_p95": taken[int(len(taken) * 0.95)],
        "repair_rate": scores["repair_rate"],
        "word_accuracy": scores["word_accuracy"],
        "false_change_rate": clean_scores(mend, texts)["false_change_rate"],
    }


def _texts(data: Path | None, n: int) -> list[str]:
    from dialog.corpora import read
    from dialog.corpora.chats import read as read_chats

    conversations = list(read(data)) if data is not None else read_chats()
    texts = sorted({u.text for c in conversations for u in c.utterances if 3 <= len(u.text.split()) <= 30})
    if not texts:
        raise ValueError(f"{data}: no message of three words or more")
    return random.Random(0).sample(texts, min(n, len(texts)))
