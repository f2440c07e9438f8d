"""`rapport bench correction`: what a message costs, and what is mended, beside two spelling correctors people use.

pyspellchecker and symspellpy come with `rapport[dev]`; one that is missing has no row. Both change every word they do
not know; so that the comparison is fair, ours is measured at its own margin, and at the one at which it spoils as much
clean text as the better of them.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dialog.bench.timing import suite
from dialog.correction.corrector import Correction, Edit, TextCorrector, applied
from dialog.correction.pieces import in_case_of, pieces
from dialog.evaluation.correction import Mend, clean_scores, mistyped_messages, slip_scores
from models.catalogue import CORRECTION
from models.device import Where

RATE = 0.15
LOWERED = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""By how much both margins are lowered, to change as much clean text as a peer does."""
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
    peers = {name: made() for name, made in PEERS.items() if _there(name)}
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
    config = corrector.config
    found: dict[str, Any] = {}
    for less in LOWERED:
        margin, margin_known = config.margin - less, config.margin_known - less
        loose = TextCorrector(
            corrector.name,
            replace(config, margin=margin, margin_known=margin_known),
            corrector.network,
            corrector.lexicon,
        )
        row = _row("ours, as much spoilt", loose.correct, slips, texts) | {"margin": margin}
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


def _there(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec({"pyspellchecker": "spellchecker"}.get(name, name)) is not None


def _by_word(correct: Callable[[str], str | None]) -> Mend:
    def mend(text: str) -> Correction:
        edits = []
        for p in pieces(text):
            if p.kind == "word":
                best = correct(p.text.lower())
                if best and best != p.text.lower():
                    edits.append(Edit(p.start, p.end, p.text, in_case_of(p.text, best), 1.0))
        return Correction(text, applied(text, edits), tuple(edits))

    return mend


def _pyspellchecker() -> Mend:
    from spellchecker import SpellChecker

    checker = SpellChecker()
    return _by_word(lambda word: word if word in checker else checker.correction(word))


def _symspellpy() -> Mend:
    import importlib.resources

    from symspellpy import SymSpell, Verbosity

    checker = SymSpell(max_dictionary_edit_distance=2)
    words = importlib.resources.files("symspellpy") / "frequency_dictionary_en_82_765.txt"
    checker.load_dictionary(str(words), 0, 1)

    def correct(word: str) -> str | None:
        found = checker.lookup(word, Verbosity.TOP, max_edit_distance=2)
        return found[0].term if found else None

    return _by_word(correct)


PEERS: dict[str, Callable[[], Mend]] = {"pyspellchecker": _pyspellchecker, "symspellpy": _symspellpy}
