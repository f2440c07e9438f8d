"""The gate of a trained corrector, chosen anew: by real slips in context and clean text of the validation parts."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dialog.corpora.typos import typo_pairs
from dialog.correction.corrector import TextCorrector
from dialog.evaluation.correction.correction import LEAST_WORDS, clean_scores, in_context, slip_scores
from dialog.evaluation.correction.curve import MARGINS, curve, lowest
from dialog.training.card import write_card
from dialog.training.correction.chat import LIMITS
from dialog.training.correction.data import CORPORA, messages
from dialog.training.loop import Progress
from models.catalogue import CORRECTION
from models.device import Where


@dataclass(frozen=True, kw_only=True, slots=True)
class MarginsRecipe:
    """Of what the gate is chosen, and for how much spoilt."""

    corpora: tuple[str, ...] = ("dailydialog", "topical_chat")
    n_messages: int = 600
    """Of each corpus's validation part, drawn by the seed: clean text, and where the slips are put."""
    known: tuple[float, ...] = ()
    """Margins of words that are some, which seldom matter; none is the corrector's own."""
    false_changes: float = 0.42
    """Per cent of clean words that may be changed: what half a per cent is to be kept with on text not seen."""


def choose(
    recipe: MarginsRecipe,
    data: Path,
    out: Path,
    *,
    start: Path | None = None,
    seed: int = 0,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Writes the corrector of `start`, or the shipped one, into `out` with the margins that mend most of the slips of
    typo_pairs' validation part, each put where its word stands in a message, and spoil no more than the recipe lets.
    Gives what the choice comes to on validation, and the curve."""
    before = TextCorrector.load(str(start) if start is not None else CORRECTION, device=device)
    rng = random.Random(seed)
    clean: list[str] = []
    for corpus in recipe.corpora:
        said = sorted({t for t in messages(data, (corpus,), "validation") if len(t.split()) >= LEAST_WORDS})
        clean += rng.sample(said, min(recipe.n_messages, len(said)))
    pairs = [(s.typed.lower(), s.meant.lower()) for s in typo_pairs(data, "validation")]
    pairs = [(t, m) for t, m in pairs if t.isascii() and t.isalpha() and m.isalpha()]
    slips = list(in_context(pairs, clean))
    points = []
    for point in curve(
        before,
        lambda mend: slip_scores(mend, slips)["repair_rate"],
        lambda mend: float(clean_scores(mend, clean)["false_change_rate"]),
        MARGINS,
        recipe.known,
    ):
        points.append(point)
        if report:
            report(Progress(len(points), len(MARGINS) * max(1, len(recipe.known)), point.repair_rate))
    chosen = lowest(points, recipe.false_changes)
    config = replace(before.config, margin=chosen.margin, margin_known=chosen.margin_known)
    TextCorrector(before.name, config, before.network, before.lexicon).save(out)
    scores: dict[str, Any] = {**chosen._asdict(), "n_slips": float(len(slips)), "n_messages": float(len(clean))}
    write_card(
        out,
        name="correction/chat",
        task="correction",
        summary="What was meant by what was typed in a chat, and how the word being typed may end; English.",
        command="rapport train correction/margins --data DATA --out OUT --start TRAINED",
        seed=seed,
        corpora=[*CORPORA, "typo_pairs"],
        validation=scores,
        limits=LIMITS,
    )
    return scores | {"curve": [p._asdict() for p in points]}
