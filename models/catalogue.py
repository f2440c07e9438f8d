"""What is shipped: the models under models/weights, each with its card."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WEIGHTS = Path(__file__).parent / "weights"


class UnknownModel(ValueError):
    """No model by that name is shipped, and no folder is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One shipped model. `scores` are those its card prints, by metric; `text` is the card itself, in Markdown."""

    name: str
    task: str
    labels: tuple[str, ...]
    summary: str
    scores: dict[str, Any] = field(hash=False)
    path: Path
    text: str


def shipped() -> list[Card]:
    """Every shipped model, the tasks in alphabetical order."""
    return [_card(config.parent) for config in sorted(WEIGHTS.glob("*/*/config.json"))]


def path_of(name: str) -> Path:
    """The folder of a shipped model (`emotion/ekman`), or the folder named if it holds one.

    UnknownModel says which names there are.
    """
    for folder in (WEIGHTS / name, Path(name)):
        if (folder / "config.json").is_file():
            if not (folder / "model.safetensors").is_file():
                raise UnknownModel(f"{folder} has a config.json but no model.safetensors")
            return folder.resolve()
    known = [str(c.parent.relative_to(WEIGHTS)) for c in sorted(WEIGHTS.glob("*/*/config.json"))]
    alike = [other for other in known if other.partition("/")[0] == name.partition("/")[0]]  # of the same task
    raise UnknownModel(
        f"no model {name!r}: expected one of {', '.join(alike or known) or 'none shipped'}, "
        "or a folder with config.json and model.safetensors"
    )


def _card(folder: Path) -> Card:
    text = (folder / "card.md").read_text(encoding="utf-8") if (folder / "card.md").is_file() else ""
    labels = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("labels", [])
    scores = folder / "scores.json"
    return Card(
        name=f"{folder.parent.name}/{folder.name}",
        task=folder.parent.name,
        labels=tuple(labels),
        summary=_summary(text),
        scores=json.loads(scores.read_text(encoding="utf-8")) if scores.is_file() else {},
        path=folder,
        text=text,
    )


def _summary(text: str) -> str:
    """The first paragraph under the title."""
    paragraphs = [re.sub(r"\s+", " ", p).strip() for p in text.split("\n\n")]
    return next((p for p in paragraphs if p and not p.startswith("#")), "")
