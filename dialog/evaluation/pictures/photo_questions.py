"""Everyday questions about photographs, with the answers a person would accept: right, honestly not known, or wrong.

A file has one photograph a line: `collection`, `image`, and `questions` of `question` and `accepted`. An answer is
right if it is an accepted one, or says one in its words; yes and no are right only as such. Who does not know is not
wrong.
"""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from dialog.corpora.pictures import read_pictures
from dialog.pictures.answers import VisualEngine
from dialog.pictures.names import canonical

NOT_KNOWN = "i do not know"


@dataclass(frozen=True, slots=True)
class Marked:
    """One question answered."""

    image: str
    question: str
    said: str
    accepted: tuple[str, ...]
    verdict: str
    """right, not known, or wrong."""


def read_questions(file: Path) -> list[dict[str, Any]]:
    """The lines of a file. ValueError names the line that is not as it should be."""
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            str(row["collection"]), str(row["image"])
            if not all(q["question"] and q["accepted"] for q in row["questions"]):
                raise ValueError("a question or its accepted answers are empty")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file}, line {number}: {error!r}; expected collection, image and questions") from error
        rows.append(row)
    return rows


def mark(engine: VisualEngine, data: Path, rows: Sequence[dict[str, Any]]) -> list[Marked]:
    """Every question asked by itself, each of a picture that is looked at once."""
    found = []
    for collection in dict.fromkeys(row["collection"] for row in rows):
        wanted = {row["image"]: row for row in rows if row["collection"] == collection}
        for key, content in read_pictures(data, collection):
            if (row := wanted.pop(key, None)) is None:
                continue
            start = engine.start(engine.look(Image.open(io.BytesIO(content)).convert("RGB")))
            for asked in row["questions"]:
                answer, _ = engine.ask(start, asked["question"])
                accepted = tuple(asked["accepted"])
                found.append(Marked(key, asked["question"], answer.text, accepted, verdict(answer.text, accepted)))
        if wanted:
            raise ValueError(f"{collection} has no picture {next(iter(wanted))!r}")
    return found


def verdict(said: str, accepted: Sequence[str]) -> str:
    """right, not known or wrong."""
    text = " ".join(re.findall(r"[a-z0-9]+", said.lower()))
    for one in accepted:
        plain = " ".join(re.findall(r"[a-z0-9]+", one.lower()))
        if text == plain or (plain not in ("yes", "no") and _says(text, plain)):
            return "right"
    return "not known" if text == NOT_KNOWN else "wrong"


def shares(marked: Sequence[Marked]) -> dict[str, Any]:
    """Of all questions, in per cent: right, right or honestly not known, wrong."""
    n = max(1, len(marked))
    counts = {kind: sum(m.verdict == kind for m in marked) for kind in ("right", "not known", "wrong")}
    return {
        "n": len(marked),
        "right": 100 * counts["right"] / n,
        "right_or_not_known": 100 * (counts["right"] + counts["not known"]) / n,
        "wrong": 100 * counts["wrong"] / n,
    }


def _says(text: str, accepted: str) -> bool:
    words = {canonical(w) for w in text.split()} | set(text.split())
    return all(w in words or canonical(w) in words for w in accepted.split())
