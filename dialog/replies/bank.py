"""The replies that may be said: their texts, what each feels, and where each lies in the towers' space."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from dialog.replies.pairs import same_text
from models.aside import write_aside
from models.checkpoint import CheckpointError, one, read_json
from models.tensors import DamagedTensors, read_file, write_file

VECTORS, TEXTS = "replies.safetensors", "replies.json"
ALIKE = 0.92
"""A cosine from which two replies say the same."""


@dataclass(frozen=True, slots=True)
class Written:
    """A reply somebody wrote."""

    text: str
    emotion: str | None
    source: str
    """The corpus it is from."""
    kinds: tuple[str, ...] = ()
    """The kinds of message it answers, of `dialog.replies.kinds`."""


class ReplyBank:
    """Replies by place, and their vectors (N, D), kept as int8 and read as floats.

    A row's vector is unit length before it is rounded: the largest error of a cosine is under a hundredth.
    """

    def __init__(self, replies: Sequence[Written], quantised: Tensor, scales: Tensor) -> None:
        """quantised (N, D) int8; scales (N,) what each row is multiplied by."""
        self.replies = tuple(replies)
        self._int8, self._scales = quantised, scales
        self.vectors = quantised.float() * scales.float()[:, None]
        self._same = [same_text(r.text) for r in replies]
        self._kinds = {k: torch.tensor([k in r.kinds for r in replies]) for r in replies for k in r.kinds}

    @classmethod
    def of(cls, replies: Sequence[Written], vectors: Tensor) -> Self:
        """A bank of unit vectors (N, D)."""
        scales = vectors.abs().amax(1).clamp(min=1e-8) / 127
        return cls(replies, (vectors / scales[:, None]).round().to(torch.int8), scales.half())

    @classmethod
    def load(cls, folder: Path | str, width: int) -> Self:
        """The bank in a model's folder. CheckpointError where it is missing or does not fit."""
        folder = Path(folder)
        rows = read_json(folder / TEXTS)
        try:
            tensors = read_file(folder / VECTORS)
            replies = [Written(str(r[0]), r[1] and str(r[1]), str(r[2]), tuple(map(str, r[3]))) for r in rows]
        except DamagedTensors as error:
            raise CheckpointError(str(error)) from error
        except (TypeError, IndexError, KeyError) as error:
            raise CheckpointError(
                f"{folder / TEXTS}: expected [text, emotion, source, kinds] rows ({error})"
            ) from error
        vectors = one(tensors, "vectors", folder, (len(replies), width))
        return cls(replies, vectors, one(tensors, "scales", folder, (len(replies),)))

    def save(self, folder: Path) -> None:
        """Writes both files."""
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / VECTORS, {"vectors": self._int8, "scales": self._scales})
        rows = ",\n".join(
            json.dumps([r.text, r.emotion, r.source, list(r.kinds)], ensure_ascii=False) for r in self.replies
        )
        write_aside(folder / TEXTS, lambda path: Path(path).write_text(f"[\n{rows}\n]\n", encoding="utf-8"))

    def __len__(self) -> int:
        return len(self.replies)

    def nearest(
        self, context: Tensor, said: Collection[str], kinds: Collection[str]
    ) -> Iterator[tuple[Written, float]]:
        """The replies that answer one of these kinds, the nearest to a context (D,) first, each with its cosine; none
        that was said, or says the same."""
        of_kind = torch.zeros(len(self), dtype=torch.bool)
        for kind in kinds:
            of_kind |= self._kinds.get(kind, False)
        scores = (self.vectors @ context).masked_fill(~of_kind, -torch.inf)
        heard = {same_text(text) for text in said}
        for i in (i for i, text in enumerate(self._same) if text in heard):
            scores[self.vectors @ self.vectors[i] > ALIKE] = -torch.inf
            scores[i] = -torch.inf
        for i in scores.argsort(descending=True).tolist():
            if scores[i] == -torch.inf:
                return
            yield self.replies[i], float(scores[i])
