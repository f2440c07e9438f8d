"""Answers to everyday questions, found in the evidence of a picture rather than in a list of answers.

Each kind of question has its candidates: whatever words stand in it, animals and what they are kinds of, clothes,
things done, places, colours measured where the thing is, numbers of boxes. What the reasoner says joins in as one
more witness.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from dialog.pictures import around
from dialog.pictures.claims import Claims
from dialog.pictures.colouring import Colouring
from dialog.pictures.describing import Describing
from dialog.pictures.evidence import FILE, THINGS, Evidence, Presence, Witness
from dialog.pictures.match import PictureMatch, captions_of
from dialog.pictures.names import canonical
from dialog.pictures.naming import Naming
from dialog.pictures.questions import Asked
from dialog.pictures.referring import things_named
from dialog.pictures.reply import Reasoned, Reply, ranked, softmax
from dialog.pictures.sight import Sight
from dialog.pictures.vocabulary import CLOTHES, OBJECTS, ON_HEADS, RIDDEN, SURFACES
from dialog.reading.text_vectors import TextReader
from models.catalogue import path_of
from models.checkpoint import is_model
from models.detector.model import YoloTiny
from models.device import device_of
from models.encoders.base import ImageEncoder
from models.encoders.lite2 import AlignedLite2
from models.encoders.things import Things

NUMBERS = ("one", "two", "three", "four", "five", "six")
NOT_COUNTED = 0.3
"""How likely a thing must be to be counted at all, where there is no box of it."""


class Everyday:
    """The answers of every kind of question that evidence can answer. Safe to call from several threads."""

    def __init__(self, witness: Witness, presence: Presence) -> None:
        self.witness, self.presence = witness, presence
        self.sight = Sight(witness, presence)
        self.naming = Naming(self.sight)
        self.colouring = Colouring(witness, self.sight.things_of)
        self.claims = Claims(self.sight, self.naming, self.colouring)
        self.describing = Describing(self.sight, self.naming)
        self._kinds: dict[str, Callable[[Asked, Evidence, Reasoned], Reply | None]] = {
            "presence": self.claims.presence, "either": self.claims.either, "claim": self.claims.statement,
            "name": self._name, "colour": self._colour, "count": self._count, "where": self._where,
            "doing": self._doing, "wearing": self._wearing, "object": self._object, "describe": self._describe,
            "upon": self._upon, "finer": self._finer, "there": self._there, "others": self._others,
        }  # fmt: skip

    def answer(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        """The answers to a question read; None where the evidence has nothing to say and the reasoner is to answer."""
        found = self._kinds.get(asked.kind)
        return found(asked, evidence, reasoned) if found else None

    def _name(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        del reasoned
        return self.naming.name(evidence, asked.noun)

    def _finer(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        del reasoned
        return self.naming.finer(evidence, asked.noun)

    def _where(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        del asked, reasoned
        return ranked(self.naming.places(evidence))

    def _describe(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        del asked, reasoned
        return self.describing.describe(evidence)

    def _upon(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply:
        """What somebody sits or lies on."""
        del reasoned
        if asked.noun == "in":
            return around.into(lambda nouns: self.sight.p_present(evidence, nouns))
        there = self.sight.p_present(evidence, RIDDEN).tolist()
        names = [*SURFACES, *(name for name, p in zip(RIDDEN, there, strict=True) if p >= 0.5)]
        fits = self.witness.fits(evidence, [f"sitting on the {name}" for name in names])
        return ranked(dict(zip(names, fits.softmax(0).tolist(), strict=True)))

    def _colour(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        found = self.colouring.colours(evidence, asked.noun, reasoned)
        best = ranked(found)
        return Reply(best.answers, self.sight.things_of(evidence, asked.noun))

    def _count(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        noun = canonical(asked.noun)
        if not noun:
            return None
        boxes = self.sight.things_of(evidence, noun)
        p = float(self.sight.p_present(evidence, [noun])[0])
        if p < NOT_COUNTED and not boxes:
            return Reply((("0", 1 - p),))
        if noun == "person" and (crowd := float(self.sight.p_present(evidence, ["crowd"])[0])) >= around.CROWD:
            return Reply((("many", crowd),), boxes)
        said = {str(n): reasoned.get(str(n), 0.0) for n in range(1, 10)}
        total = max(1e-6, sum(said.values()))
        log = {}
        for n in range(1, 10):
            word = self.witness.word(evidence, NUMBERS[n - 1]) if n <= len(NUMBERS) and n > 1 else None
            log[str(n)] = 0.6 * float(torch.tensor(said[str(n)] / total + 0.02).log()) + 0.5 * max(
                -4.0, word if word is not None else -3.0
            )
        if boxes:
            log[str(min(9, len(boxes)))] += 2.5
        else:
            log["1"] += 1.5
        return Reply(ranked(softmax(log)).answers, boxes)

    def _there(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply:
        del reasoned
        return around.there(asked.noun, lambda nouns: self.sight.p_present(evidence, nouns))

    def _others(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        counted = self._count(asked, evidence, reasoned)
        return around.others(counted, alone="alone" in asked.claim, negated=asked.negated)

    def _doing(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        scores = self.naming.doings(evidence)
        for word, p in reasoned.items():
            if word in scores:
                scores[word] = 0.7 * scores[word] + 0.3 * p
        if asked.noun and self.sight.p_present(evidence, [asked.noun])[0] < 0.1:
            scores = {w: 0.5 * p for w, p in scores.items()}
        return ranked(scores, cap=True) if scores else None

    def _wearing(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        nouns = ON_HEADS if "head" in asked.text.split() else CLOTHES
        scores = dict(zip(nouns, self.sight.p_present(evidence, nouns).tolist(), strict=True))
        for word, p in reasoned.items():
            if word in scores:
                scores[word] = 0.7 * scores[word] + 0.3 * p
        found = ranked(scores, cap=True)
        return Reply(found.answers, self.sight.things_of(evidence, "person"))

    def _object(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        del reasoned
        listed, said = OBJECTS.get(asked.noun, OBJECTS["holding"]), set(things_named(asked.text))
        # A baby that holds something does not hold the baby.
        nouns = [noun for noun in listed.split("|" if "|" in listed else None) if canonical(noun) not in said]
        done = "holding" if asked.noun == "mouth" else asked.noun
        fits = self.witness.fits(evidence, [f"someone {done} a {noun}" for noun in nouns])
        odds = torch.logit(self.sight.p_present(evidence, nouns), eps=1e-4)
        p = (odds + 0.3 * (fits - fits.mean())).sigmoid()
        found = ranked(dict(zip(nouns, p.tolist(), strict=True)), cap=True)
        return Reply(found.answers, self.sight.things_of(evidence, found.answers[0][0]))


def open_everyday(
    folder: Path, eyes_name: str | Path, eyes: ImageEncoder, reader: TextReader, detector: str
) -> Everyday | None:
    """What answers from evidence beside the model in `folder`; None where the model or its eyes have no such part."""
    if not (folder / FILE).is_file():
        return None
    witness = open_witness(eyes_name, eyes, reader, detector, folder / THINGS)
    return None if witness is None else Everyday(witness, Presence.load(folder))


def open_witness(
    eyes_name: str | Path, eyes: ImageEncoder, reader: TextReader, detector: str, things: Path
) -> Witness | None:
    """What gathers evidence with these eyes, and looks for things by name where the folder `things` is there; None
    where the eyes tell no words and classes."""
    if not isinstance(eyes, AlignedLite2):
        return None
    boxes = YoloTiny.load(path_of(detector), device=device_of(eyes.alignment)) if detector else None
    look = Things.load(things, device="cpu") if is_model(things) else None
    return Witness(PictureMatch.load(eyes_name, eyes), boxes, reader, captions_of(eyes_name), look)
