"""What is in a picture by a name: how likely it is there, and the boxes that hold it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dialog.pictures.evidence import Evidence, Presence, Witness
from dialog.pictures.names import COCO, canonical, coco_classes, coco_names
from dialog.pictures.vocabulary import ANIMALS, CLOTHES, PEOPLE
from models.detector.model import Found

SURE_BOX = 0.5
"""How likely a box must be before what it holds is a name for the picture."""


class Sight:
    """A witness, and how far what it says is to be believed. Safe to call from several threads."""

    def __init__(self, witness: Witness, presence: Presence) -> None:
        self.witness, self.presence = witness, presence

    @property
    def labels(self) -> tuple[str, ...]:
        """What the detector finds, by its own names; nothing without one."""
        return self.witness.detector.config.labels if self.witness.detector else ()

    @torch.inference_mode()
    def p_present(self, evidence: Evidence, nouns: Sequence[str]) -> Tensor:
        """How likely each thing is in the picture, (N,)."""
        return self.presence.p(self.witness.features(evidence, list(nouns)), nouns)

    def subject(self, evidence: Evidence, *, person: bool = False) -> str:
        """What the picture is most about, by one noun: what a pronoun means where nothing was said before."""
        nouns = PEOPLE[:5] if person else [*PEOPLE[:5], *ANIMALS[:12], "car", "bicycle", "boat", "train", "ball"]
        return nouns[int(self.p_present(evidence, nouns).argmax())]

    def things_of(self, evidence: Evidence, noun: str) -> tuple[Found, ...]:
        """The boxes that hold such a thing."""
        if self.witness.detector is None or not noun:
            return ()
        wanted = set(coco_classes(canonical(noun)))
        if not wanted and canonical(noun) in ("man", "woman", "boy", "girl", "child", "baby", *CLOTHES):
            wanted = set(coco_classes("person"))
        return tuple(f for f in evidence.things(self.labels) if self.labels.index(f.label) in wanted)

    def boxed(self, evidence: Evidence) -> list[tuple[str, float]]:
        """What the detector is sure to have found beside people, each by its everyday name, with how likely it is."""
        found = [thing for thing in evidence.things(self.labels) if thing.p >= SURE_BOX and thing.label != "person"]
        names = [coco_names()[COCO.index(f.label)] if f.label in COCO else f.label for f in found]
        return [(name, f.p) for name, f in zip(names, found, strict=True)]
