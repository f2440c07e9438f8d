"""What the writer learns from: conversations as one row of tokens, made once and kept beside the run."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dialog.corpora.derived.talks import emotions_of, talks
from dialog.replies.turns import Turn, as_tokens, turns_of
from models.responder.pieces import TOKENIZER_FILE, Pieces
from models.tensors import read_file, read_note, write_file

PACKED = "packed.safetensors"


@dataclass(frozen=True, slots=True)
class Packed:
    """Tokens one after the other, conversations drawn in random order, and the pieces they are."""

    pieces: Pieces
    train: Tensor  # (N,) int16
    validation: Tensor  # (M,) int16


def pack(
    data: Path,
    folder: Path,
    *,
    corpora: Mapping[str, int],
    validation: Mapping[str, int],
    n_tokens: int,
    emotions: tuple[str, ...],
    unknown: float,
    seed: int,
) -> Packed:
    """The recipe's conversations as tokens: read from `folder` where they were made before, else made and kept there.

    So many conversations of each corpus, drawn by the seed; `unknown` is the share of the emotions that are hidden, so
    that the model does without. ValueError where what is kept there was made otherwise.
    """
    path = folder / PACKED
    wish: Any = [dict(corpora), dict(validation), n_tokens, list(emotions), unknown, seed]
    if path.is_file() and (folder / TOKENIZER_FILE).is_file():
        if read_note(path) != wish:
            raise ValueError(f"{path} was made of other conversations; remove it, or choose another folder")
        kept = read_file(path)
        return Packed(Pieces.load(folder), kept["train"], kept["validation"])
    rng = random.Random(seed)
    parts: dict[str, list[list[Turn]]] = {}
    for split, wanted in (("train", corpora), ("validation", validation)):
        parts[split] = []
        for corpus, n in wanted.items():
            found = talks(data, corpus, split)
            drawn = rng.sample(found, min(n, len(found)))
            parts[split] += [turns_of(c.utterances, emotions_of(corpus)) for c in drawn]
        rng.shuffle(parts[split])
    pieces = Pieces.learn((t.text for talk in parts["train"] for t in talk), n_tokens, emotions)
    rows = {}
    for split, some in parts.items():
        ids: list[int] = []
        for talk in some:
            hidden = [t._replace(emotion=None) if rng.random() < unknown else t for t in talk]
            ids += as_tokens(hidden, pieces)
        rows[split] = torch.tensor(ids, dtype=torch.int16)
    folder.mkdir(parents=True, exist_ok=True)
    pieces.save(folder)
    write_file(path, rows, wish)
    return Packed(pieces, rows["train"], rows["validation"])


def cut(tokens: Tensor, length: int) -> Tensor:
    """Rows (N, length + 1) long of a text, each beginning with the last token of the one before it."""
    n = (len(tokens) - 1) // length
    if n < 1:
        raise ValueError(f"{len(tokens)} tokens do not fill a row of {length}; more conversations are needed")
    return tokens[: n * length + 1].long().unfold(0, length + 1, length)


def labels_of(rows: Tensor, pieces: Pieces) -> Tensor:
    """What follows each of a row's tokens, (N, length); -100 for the marks, which nobody is to foresee, but not for the
    end of a message."""
    following = rows[:, 1:]
    return following.masked_fill((following < pieces.n_marks) & (following != pieces.end), -100)
