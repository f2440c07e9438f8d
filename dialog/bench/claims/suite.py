"""One row a claim: what was measured, and whether it holds."""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dialog.bench.claims.learned import LEARNED, LearnedClaim, Trial
from dialog.bench.claims.plain import PLAIN, Claim
from dialog.bench.claims.taught import TAUGHT
from dialog.bench.kept import Kept, Row
from dialog.bench.timing import suite


def measure(*, only: str = "", repeats: int = 1, keep: Path | None = None) -> dict[str, Any]:
    """The object of `rapport bench claims --json`.

    A row a claim: the paper, what it says, the figures measured (means over `repeats` seeds) and whether it holds by
    them. Those of trained models are per cent right in multi-query associative recall after 300 steps (400 for long
    texts and recycled attention), at a width of 64, and take seconds a model; `dialog.bench.claims.taught` says what
    else is taught. `only` names the claims wanted by a part of their papers' names. `keep` is a file for what was
    trained: it is not trained again. On the processor.
    """
    kept = Kept(keep, {"suite": "claims", "threads": torch.get_num_threads()})
    rows = [_row(claim, _plain(claim, repeats, kept)) for claim in (*PLAIN, *TAUGHT) if only in claim.paper]
    rows += [_row(claim, _learned(claim, repeats, kept)) for claim in LEARNED if only in claim.paper]
    return suite("claims", rows)


def _row(claim: Claim | LearnedClaim, figures: Mapping[str, float]) -> Row:
    told = {"name": f"{claim.paper}: {claim.says}", "paper": claim.paper, "says": claim.says}
    return {**told, "figures": dict(figures), "holds": claim.holds(figures)}


def _plain(claim: Claim, repeats: int, kept: Kept) -> dict[str, float]:
    rows = [
        kept.row(f"{claim.paper}: {claim.says}, seed {seed}", partial(_timed, partial(claim.measure, seed)))["figures"]
        for seed in range(repeats)
    ]
    return {name: statistics.mean(row[name] for row in rows) for name in rows[0]}


def _learned(claim: LearnedClaim, repeats: int, kept: Kept) -> dict[str, float]:
    found = {}
    for name, trial in claim.trials.items():
        # Claims share trials: the name tells all there is to one.
        fields = ", ".join(f"{key} {value}" for key, value in trial.fields.items())
        longest = trial.tier.test[-1].name
        rows = [
            kept.row(
                f"{trial.mixer} ({fields}), {longest}, seed {seed}",
                partial(_timed, partial(_recall, trial, seed)),
            )
            for seed in range(repeats)
        ]
        found[name] = statistics.mean(row["figures"]["recall"] for row in rows)
    return found


def _recall(trial: Trial, seed: int) -> dict[str, float]:
    return {"recall": trial.recall(seed)}


def _timed(run: Callable[[], Mapping[str, float]]) -> Row:
    start = time.process_time()
    return {"figures": dict(run()), "seconds": time.process_time() - start}
