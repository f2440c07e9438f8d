"""What is known about one picture before anything is asked: words, classes, things with boxes, and how sentences fit.

From these comes how likely a thing that a question names is there, whatever it is called: by a logistic regression over
what the words' logits, ImageNet's classes, the detector and the fit of a sentence say of it
(dialog.training.pictures.presence).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dialog.pictures.match import BANK, TEXTS, PictureMatch
from dialog.pictures.names import canonical, coco_classes, imagenet_classes, kinds_of, singular
from dialog.reading.seeing import PictureRegions
from dialog.reading.text_vectors import TextReader
from models import checkpoint
from models.detector.model import Found, YoloTiny
from models.encoders.things import Looked, Things

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL = 64
"""Sides of what is kept of the picture itself, for its colours."""
LEAST_BOX = 0.25
"""How likely a thing must be to be drawn and counted."""
LEAST_USUAL = 1e-5
"""No class is held to be rarer than that."""
N_FEATURES, N_CLAIM, N_BOXED = 16, 5, 80
FILE = "presence.json"
THINGS = "things"
"""Beside FILE, the folder of what looks for things by name; a model need not have one."""


class Evidence(NamedTuple):
    """One picture. All of it is numbers, for a state that travels."""

    pooled: Tensor  # (E,) among captions, of length 1
    words: Tensor  # (W,) logits
    classes: Tensor  # (1000,) scores of ImageNet's classes
    most: Tensor  # (80,) how likely the likeliest box of each of COCO's classes is
    labels: Tensor  # (M,) of the boxes kept: the class
    p: Tensor  # (M,)
    boxes: Tensor  # (M, 4) corners as fractions
    small: Tensor  # (3, THUMBNAIL, THUMBNAIL) bytes: the picture
    cells: Tensor  # (T * R, D) its regions, to be asked about by `models.encoders.things`; empty where there is none
    whole: Tensor  # (T, D) its tiles, the same

    def things(self, labels: tuple[str, ...]) -> tuple[Found, ...]:
        """The boxes kept, by name."""
        rows = zip(self.labels.tolist(), self.p.tolist(), self.boxes.tolist(), strict=True)
        return tuple(Found(labels[i], p, (b[0], b[1], b[2], b[3])) for i, p, b in rows)


@dataclass(frozen=True, slots=True)
class Presence:
    """Two logistic regressions: of a thing being there, over N_FEATURES, and of a sentence being true, over N_CLAIM."""

    weights: tuple[float, ...]
    intercept: float
    claim_weights: tuple[float, ...]
    claim_intercept: float
    nouns: Mapping[str, float] = field(default_factory=dict)
    """Of common things, by canonical name, how much more or less than others they are to be believed."""

    @classmethod
    def load(cls, folder: Path) -> "Presence":
        """From the file FILE of a model's folder. ValueError where it is not what it should be."""
        stored = checkpoint.read_json(folder / FILE)
        try:
            one = cls(
                tuple(map(float, stored["weights"])),
                float(stored["intercept"]),
                tuple(map(float, stored["claim_weights"])),
                float(stored["claim_intercept"]),
                {str(noun): float(shift) for noun, shift in stored.get("nouns", {}).items()},
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise checkpoint.CheckpointError(
                f"{folder / FILE} does not hold two regressions ({error!r}); "
                "make it anew: rapport train visual/presence"
            ) from error
        if (len(one.weights), len(one.claim_weights)) != (N_FEATURES, N_CLAIM):
            raise ValueError(
                f"{folder / FILE} has {len(one.weights)} and {len(one.claim_weights)} weights, "
                f"expected {N_FEATURES} and {N_CLAIM}; remove it and make it anew: rapport train visual/presence"
            )
        return one

    def save(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def p(self, features: Tensor, nouns: Sequence[str]) -> Tensor:
        """Features (N, N_FEATURES) of the things named to probabilities (N,)."""
        shifts = features.new_tensor([self.nouns.get(canonical(noun), 0.0) for noun in nouns])
        return (features @ features.new_tensor(self.weights) + self.intercept + shifts).sigmoid()

    def claim_p(self, features: Tensor) -> Tensor:
        """Features (..., N_CLAIM) of sentences to probabilities."""
        return (features @ features.new_tensor(self.claim_weights) + self.claim_intercept).sigmoid()


class Witness:
    """Gathers evidence, and says of words and sentences how it fits them. Safe to call from several threads."""

    def __init__(
        self,
        match: PictureMatch,
        detector: YoloTiny | None,
        reader: TextReader,
        captions: Sequence[str],
        things: Things | None = None,
    ) -> None:
        if len(captions) != len(match.captions):
            raise ValueError(
                f"{TEXTS} has {len(captions)} captions, but {BANK} beside it {len(match.captions)}; copy both again"
            )
        self.match, self.detector, self.reader, self.captions = match, detector, reader, captions
        self.things = things
        self.words = {word: i for i, word in enumerate(match.network.config.words)}

    @torch.inference_mode()
    def evidence(self, picture: "Image", regions: PictureRegions) -> Evidence:
        """Of a picture and its regions."""
        known = self.evidence_of(regions)
        small = picture.convert("RGB").resize((THUMBNAIL, THUMBNAIL), resample=4, reducing_gap=3.0)  # 4: box
        pixels = torch.from_numpy(np.array(small, dtype=np.uint8)).permute(2, 0, 1).contiguous()
        if self.detector is None:
            return known._replace(small=pixels)
        guesses = self.detector.guesses(picture)
        found, names = self.detector.things(guesses, LEAST_BOX), self.detector.config.labels
        return known._replace(
            most=guesses.p.amax(0),
            labels=torch.tensor([names.index(f.label) for f in found], dtype=torch.long),
            p=torch.tensor([f.p for f in found]),
            boxes=torch.tensor([f.box for f in found]).view(-1, 4),
            small=pixels,
        )

    def evidence_of(self, regions: PictureRegions) -> Evidence:
        """Of the regions alone: no boxes, no colours."""
        if regions.pooled is None or regions.words is None or regions.classes is None:
            raise ValueError("the picture encoder tells no words and classes; the built-in one does")
        nothing = torch.zeros(0)
        whole = regions.pooled.float(), regions.words.float(), regions.classes.float(), torch.zeros(N_BOXED)
        small = torch.zeros(3, THUMBNAIL, THUMBNAIL, dtype=torch.uint8)
        looked = Looked(nothing.view(0, 0), nothing.view(0, 0))
        if self.things is not None and regions.maps is not None:
            tiles = regions.classes.to(regions.maps).expand(len(regions.maps), -1)
            looked = self.things.look(regions.maps, self.match.network.alignment.named(tiles))
        return Evidence(*whole, nothing.long(), nothing, nothing.view(-1, 4), small, *looked)

    def fits(self, evidence: Evidence, sentences: list[str]) -> Tensor:
        """How well each sentence fits, (N,): see dialog.pictures.match."""
        return self._fits(evidence, self._vectors(sentences))

    def _vectors(self, sentences: list[str]) -> Tensor:
        return torch.stack([v.sentence for v in self.reader.read(sentences)])

    def _fits(self, evidence: Evidence, vectors: Tensor) -> Tensor:
        return self.match.fits(evidence.pooled.expand(len(vectors), -1), vectors)

    def features(self, evidence: Evidence, nouns: list[str]) -> Tensor:
        """What there is to say of each noun being there, (N, N_FEATURES); zero where a source knows no such thing."""
        vectors = self._vectors([f"a photo of a {noun}" for noun in nouns])
        fits = self._fits(evidence, vectors)
        log_p = evidence.classes.log_softmax(-1)
        surest = float(log_p.max())
        rows = torch.zeros(len(nouns), N_FEATURES)
        for row, noun, fit in zip(rows, nouns, fits.tolist(), strict=True):
            name = canonical(noun)
            words = self.words_for(noun)
            if words:
                row[0], row[1] = 1, evidence.words[list(words)].max()
            if classes := imagenet_classes(name):
                row[2], row[3] = 1, log_p[list(classes)].logsumexp(0).clamp(min=-12)
            if (boxes := coco_classes(name)) and self.detector is not None:
                row[4], row[5] = 1, torch.logit(evidence.most[list(boxes)].max(), eps=1e-4)
            row[6], row[7] = fit, fit * (not words)
            # A class tells more where any is sure, and where there is no box to tell.
            row[8], row[9], row[10] = row[2] * surest, row[3] * math.exp(surest), row[3] * (1 - row[4])
            if classes and self.things is not None:
                # A class that is seldom seen says more than one that often is.
                row[11] = row[3] - self.things.usual[list(classes)].sum().clamp(min=LEAST_USUAL).log()
        if self.things is not None and len(evidence.whole):
            names = [canonical(noun) for noun in nouns]
            looked = Looked(evidence.cells.float(), evidence.whole.float())
            found, common = self.things.logits(looked, names, vectors.float())
            more, known = found - common, torch.tensor([float(name in self.things.places) for name in names])
            # What training named is told better than the rest, and anything less well beside a box.
            rows[:, 12], rows[:, 13], rows[:, 14], rows[:, 15] = (
                more * known,
                more * (1 - known),
                known,
                more * rows[:, 4],
            )
        return rows

    @lru_cache(maxsize=4096)  # noqa: B019 (one witness a process)
    def words_for(self, noun: str) -> tuple[int, ...]:
        """The places of the words that say a noun is there: itself, its synonyms, and whatever is a kind of it."""
        name = canonical(noun)
        own = [noun, singular(noun), name]
        kin = [word for word in self.words if name in kinds_of(canonical(word))]
        return tuple(dict.fromkeys(self.words[w] for w in [*own, *kin] if w in self.words))

    def word(self, evidence: Evidence, word: str) -> float | None:
        """The logit of one word; None where it has none."""
        place = self.words.get(word, self.words.get(singular(word)))
        return None if place is None else float(evidence.words[place])
