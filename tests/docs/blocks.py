"""Documents with parts that are generated: which parts there are, and what stands in each.

A part begins with `<!-- generated: NAME -->` and ends with `<!-- end -->`, each on a line of its own. `make docs`
writes every part anew; a test keeps what is written equal to what would be.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.docs import benches, configuration, corrections, reviews, scores, summary, telemetry

ROOT = Path(__file__).parents[2]
PARTS: dict[str, Callable[[], str]] = {
    "how good": summary.how_good,
    "emotion": scores.emotion,
    "behaviour": scores.behaviour,
    "causes": scores.causes,
    "causes held out": scores.causes_held_out,
    "pictures": scores.pictures,
    "corrections": corrections.corrections,
    "correctors": corrections.correctors,
    "ratios": benches.ratios,
    "service": benches.service,
    "pointers": benches.pointers,
    "mixers": benches.mixers,
    "growth": benches.growth,
    "decoding": benches.decoding,
    "needle": benches.needle,
    "equal": benches.equal,
    "review": reviews.review,
    "review parts": reviews.review_parts,
    "claims": reviews.claims,
    "feedforward": benches.feedforward,
    "kernels": benches.kernels,
    "instructions": benches.instructions,
    "engines": telemetry.engines,
    "laser sets": telemetry.sets,
    "laser alarms": telemetry.alarms,
    "laser lives": telemetry.lives,
    "watches": telemetry.watches,
    "settings": configuration.settings,
    "profiles": configuration.profiles,
}
"""By name: Markdown without a newline at either end."""

_PART = re.compile(r"(?<=^<!-- generated: )(.+?)( -->\n)(.*?)(^<!-- end -->$)", re.MULTILINE | re.DOTALL)


def documents() -> Iterator[Path]:
    """README and everything under docs/, in order."""
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").rglob("*.md"))


def filled(text: str) -> str:
    """The same document, each part generated anew. KeyError for a part that nobody generates."""
    return _PART.sub(lambda part: f"{part[1]}{part[2]}\n{PARTS[part[1]]()}\n\n{part[4]}", text)


def parts_of(text: str) -> list[str]:
    """The names of the parts in a document."""
    return [part[1] for part in _PART.finditer(text)]
