"""Slips people made, with what they meant: single words (typo_pairs), and tweets word by word (LexNorm 2015)."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dialog.corpora import MissingCorpus


class Slip(NamedTuple):
    """A word as it was typed and as it was meant."""

    typed: str
    meant: str


class Normalised(NamedTuple):
    """A tweet's tokens as typed and as normalised, as many of one as of the other; "" marks one that fell away."""

    typed: tuple[str, ...]
    meant: tuple[str, ...]


def typo_pairs(data: Path, split: str) -> list[Slip]:
    """Pairs of typo_pairs, no meant word in two splits. MissingCorpus says what was looked for."""
    return [Slip(row["typo"], row["correction"]) for row in _rows(data, "typo_pairs", split)]


def lexnorm(data: Path, split: str) -> list[Normalised]:
    """Tweets of LexNorm 2015, parts train and test. MissingCorpus says what was looked for."""
    return [Normalised(tuple(row["input"]), tuple(row["output"])) for row in _rows(data, "lexnorm2015", split)]


def _rows(data: Path, corpus: str, split: str) -> Iterator[dict[str, Any]]:
    path = data / corpus / f"{split}.jsonl.gz"
    if not path.is_file():
        raise MissingCorpus(f"no {corpus} {split}: expected {path}")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


_TIDIED = ((" ' ", "'"), (" ’ ", "'"), ("’", "'"), (" ,", ","), (" .", "."), (" ?", "?"), (" !", "!"), (" n't", "n't"))


def tidy(text: str) -> str:
    """A message as it was typed before a corpus put spaces round its marks."""
    for a, b in _TIDIED:
        text = text.replace(a, b)
    return text
