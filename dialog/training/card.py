"""The card of a trained model: what it is, what it learned from, how it scored, what it must not be used for."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LICENCES: dict[str, str] = {
    "meld": "MELD: GPL-3.0 (repository); the dialogues are from the television series Friends",
    "ecf": "Emotion-Cause-in-Friends: GPL-3.0 (repository), for research only; MELD's lines labelled again",
    "emorynlp": "EmoryNLP: GPL-3.0 (the copy used); the dialogues are from the television series Friends",
    "dailydialog": "DailyDialog: CC BY-NC-SA 4.0, which excludes commercial use",
    "emocontext": "EmoContext (SemEval-2019 task 3): no licence found for the data; research use",
    "goemotions": "GoEmotions: Apache-2.0",
    "empathetic_dialogues": "EmpatheticDialogues: CC BY-NC 4.0, which excludes commercial use",
    "iemocap": "IEMOCAP: a signed release by USC, internal research only; a model trained on it must not be passed on",
}
"""By corpus, as far as we could find out. Not legal advice."""

LIMITS = """\
English only; text only, no voice and no face. It says what readers of a transcript would say of an utterance, not what
a person feels. Trained on television dialogue, textbook dialogue and short web messages by mostly North American
writers: irony, dialects and cultures not heard there are read worse, rare emotions (fear, disgust) worse than common
ones. Do not use it to judge people: not in hiring, policing, schooling, insurance or medical decisions."""


def write_card(
    folder: Path,
    *,
    name: str,
    summary: str,
    command: str,
    seed: int,
    corpora: Sequence[str],
    validation: Mapping[str, float],
) -> None:
    """card.md and scores.json of a finished run. Test scores are not known yet: `rapport evaluate` gives them."""
    unique = list(dict.fromkeys(corpora))
    text = f"""\
# {name}

{summary}

Trained with `{command}` (seed {seed}).

## Scores on validation

These chose the decoding and the temperature; they are not test scores, for which see `rapport evaluate emotion`.

{_table(validation)}

## Data and licences

{chr(10).join(f"* {LICENCES[corpus]}" for corpus in unique)}

## Limits

{LIMITS}
"""
    (folder / "card.md").write_text(text, encoding="utf-8")
    (folder / "scores.json").write_text(json.dumps({"validation": dict(validation)}, indent=2) + "\n", encoding="utf-8")


def _table(scores: Mapping[str, Any]) -> str:
    rows = [
        f"| {metric} | {value:.4f} |" if "ece" in metric else f"| {metric} | {value:.2f} |"
        for metric, value in scores.items()
    ]
    return "\n".join(["| metric | value |", "|---|---|", *rows])
