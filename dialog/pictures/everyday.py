"""Answers to everyday questions, found in the evidence of a picture rather than in a list of answers.

Each kind of question has its candidates: whatever words stand in it, animals and what they are kinds of, clothes,
things done, places, colours measured where the thing is, numbers of boxes. What the reasoner says joins in as one
more witness.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from dialog.pictures import around
from dialog.pictures.bounds import beside_its_rival, needed, no_surer
from dialog.pictures.colouring import Colouring
from dialog.pictures.colours import COLOURS
from dialog.pictures.evidence import FILE, Evidence, Presence, Witness
from dialog.pictures.match import PictureMatch, captions_of
from dialog.pictures.names import (
    COCO,
    canonical,
    coco_classes,
    coco_names,
    everyday,
    imagenet_classes,
    imagenet_names,
    kinds_of,
)
from dialog.pictures.questions import Asked
from dialog.pictures.reply import Reasoned, Reply, ranked, softmax, yes_or_no
from dialog.pictures.vocabulary import (
    AGAINST,
    ANIMALS,
    CLOTHES,
    GAMES,
    MAIN_THINGS,
    NOT_DONE,
    OBJECTS,
    ON_HEADS,
    OPPOSITES,
    PEOPLE,
    PLACES,
    RIDDEN,
    ROOM_THINGS,
    ROOMS,
    SEASONS,
    SPORTS,
    SURFACES,
    WEATHER,
    sentence,
)
from dialog.reading.text_vectors import TextReader
from models.catalogue import path_of
from models.detector.model import Found, YoloTiny
from models.device import device_of
from models.encoders.base import ImageEncoder
from models.encoders.lite2 import AlignedLite2

NUMBERS = ("one", "two", "three", "four", "five", "six")
PLACE_NAMES = frozenset(place.split()[-1] for place in PLACES)
_BEING_AT = re.compile(r"^(?:this|it|he|she|they|the \w+) (?:is|are) (?:an? |at |in |on |inside |the )")
_OF_A_SORT = re.compile(r"\b(?:baby|young|old|toy|real|fake|stuffed|tiny|huge|broken|empty) \w+$")
"""What is there of a sort, which the thing's name alone does not tell."""
ODDS_OF_A_PLACE = 3.0
"""So much likelier is a place that is asked for than the likeliest other."""
NOT_COUNTED = 0.3
"""How likely a thing must be to be counted at all, where there is no box of it."""
NEAR_CAPTION = 0.4
"""The cosine at which another picture's caption is as likely to fit as not: by eye, on twenty photographs of train."""
SURE_CLASS = 0.35
"""How likely ImageNet's class must be before its name is preferred to what captions say."""


SURE_BOX = 0.5
"""How likely a box must be before what it holds is a name for the picture."""


class Everyday:
    """The answers of every kind of question that evidence can answer. Safe to call from several threads."""

    def __init__(self, witness: Witness, presence: Presence) -> None:
        self.witness, self.presence = witness, presence
        self.colouring = Colouring(witness, self.things_of)
        self._kinds: dict[str, Callable[[Asked, Evidence, Reasoned], Reply | None]] = {
            "presence": self._presence, "either": self._either, "claim": self._claim, "name": self._name,
            "colour": self._colour, "count": self._count, "where": self._where, "doing": self._doing,
            "wearing": self._wearing, "object": self._object, "describe": self._describe, "upon": self._upon,
            "finer": self._finer, "there": self._there, "others": self._others,
        }  # fmt: skip

    def answer(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        """The answers to a question read; None where the evidence has nothing to say and the reasoner is to answer."""
        found = self._kinds.get(asked.kind)
        return found(asked, evidence, reasoned) if found else None

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
        labels = self.witness.detector.config.labels
        return tuple(f for f in evidence.things(labels) if labels.index(f.label) in wanted)

    def _presence(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        del reasoned
        noun = asked.noun or canonical(asked.claim.split()[-1])
        if noun in OPPOSITES:
            return self._claim(asked, evidence, {})
        p = float(self.p_present(evidence, [noun])[0])
        if (share := self._among(evidence, asked.claim)) is not None:
            p = min(p, share)
        if _OF_A_SORT.search(asked.claim):
            p = min(p, self.claim(evidence, asked.claim, 0.5))
        if asked.claim.startswith("this is "):
            p = min(p, 1 - self._something_else(evidence, noun))
            share = beside_its_rival(noun, lambda nouns: self.p_present(evidence, nouns).tolist())
            p = p if share is None else min(p, share)
        return yes_or_no(1 - p if asked.negated else p, self.things_of(evidence, noun))

    def _something_else(self, evidence: Evidence, noun: str) -> float:
        """How surely a picture is of one other thing than is asked for: a saxophone is no guitar."""
        p, best = evidence.classes.softmax(-1).max(0)
        own = imagenet_names()[int(best)]
        names = {kind for name in own for kind in kinds_of(canonical(name))} | set(" ".join(own).split())
        name = canonical(noun)
        # A rhino is no class and no word of a caption's: what is surely an elephant is none.
        unheard = not self.witness.words_for(noun) and not coco_classes(name)
        known = (bool(imagenet_classes(name)) or unheard) and "person" not in kinds_of(name)
        return float(p) if known and name not in names and float(p) >= SURE_CLASS else 0.0

    def _claim(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        words = asked.claim.split()
        if "black and white" in asked.claim:
            p = around.black_and_white(evidence.small)
            return yes_or_no(1 - p if asked.negated else p)
        if (colour := words[-1].replace("grey", "gray") if words else "") in COLOURS and len(words) <= 5:
            return self._coloured(asked, colour, evidence, reasoned)
        turned = next((OPPOSITES[w] for w in reversed(words) if w in OPPOSITES), None)
        if turned is not None and len(words) <= 6:
            other = AGAINST.get(turned, ("a photo",))
            p = float(self._between(evidence, [turned, other])[0])
            return yes_or_no(1 - p if asked.negated else p)
        p_said = reasoned.get("yes", 0.0) / max(1e-6, reasoned.get("yes", 0.0) + reasoned.get("no", 0.0))
        p = self.claim(evidence, asked.claim, p_said if reasoned else 0.5)
        if (share := self._among(evidence, asked.claim)) is not None:
            p = min(p, share)
        if must := needed(asked):
            p = min(p, float(self.p_present(evidence, must).min()))
        return yes_or_no(1 - p if asked.negated else p)

    def _coloured(self, asked: Asked, colour: str, evidence: Evidence, reasoned: Reasoned) -> Reply:
        noun = canonical(asked.claim.split()[-3]) if len(asked.claim.split()) >= 3 else ""
        noun = "" if noun in ("it", "this", "that") else noun
        p = self.colouring.is_of(colour, evidence, noun, reasoned)
        return yes_or_no(1 - p if asked.negated else p, self.things_of(evidence, noun))

    def claim(self, evidence: Evidence, text: str, p_said: float) -> float:
        """How likely a sentence about the picture is true, given how likely the reasoner finds it."""
        features = self.claim_features(evidence, text, p_said)
        return float(self.presence.claim_p(features))

    def _among(self, evidence: Evidence, text: str) -> float | None:
        """How likely the game or the room that a text ends with is among all games or rooms; None where it names none.
        Of two that look alike one is there."""
        words = text.split()
        for name in (" ".join(words[-2:]), *words[-1:]):
            if name in GAMES:
                return self._sports(evidence)[name]
            if name in ROOMS:
                return dict(self._room(evidence).answers).get(name, 0.0)
            if name in PLACE_NAMES and _BEING_AT.match(text):
                shares = self._places(evidence)
                own = max(p for place, p in shares.items() if place.endswith(f" {name}"))
                return own / (own + max(p for place, p in shares.items() if not place.endswith(name)) / ODDS_OF_A_PLACE)
        return None

    @torch.inference_mode()
    def claim_features(self, evidence: Evidence, text: str, p_said: float) -> Tensor:
        """(5,): the reasoner's log-odds, the sentence's fit, the least and the mean logit of its words, whether it has
        any such words."""
        fit = float(self.witness.fits(evidence, [text])[0])
        logits = [w for word in text.lower().replace(".", "").split() if word not in _SMALL
                  and (w := self.witness.word(evidence, word)) is not None]  # fmt: skip
        low, mean = (min(logits), sum(logits) / len(logits)) if logits else (0.0, 0.0)
        odds = float(torch.logit(torch.tensor(p_said), eps=0.01))
        return torch.tensor([odds, fit, low, mean, float(bool(logits))])

    def _between(self, evidence: Evidence, choices: Sequence[Sequence[str]], sharpness: float = 1.0) -> Tensor:
        """How likely each choice is, told by several sentences each, (C,)."""
        fits = self.witness.fits(evidence, [s for some in choices for s in some])
        means = torch.stack([part.mean() for part in fits.split([len(some) for some in choices])])
        return (sharpness * means).softmax(0)

    def _either(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        del reasoned
        options = asked.options
        if all(o.split()[-1] in OPPOSITES for o in options):
            p = self._between(evidence, [OPPOSITES[o.split()[-1]] for o in options])
        elif all(o in COLOURS or o == "grey" for o in options):
            found = self.colouring.colours(evidence, asked.noun, {})
            p = torch.tensor([found.get(o.replace("grey", "gray"), 0.0) for o in options]) + 1e-6
            p = p / p.sum()
        elif all(o.endswith("ing") for o in options):
            p = torch.tensor([self._done(evidence, o) for o in options]).softmax(0)
        else:
            nouns = [canonical(o.split()[-1]) if len(o.split()) > 2 else o for o in options]
            odds = torch.logit(self.p_present(evidence, nouns), eps=1e-4)
            p = odds.softmax(0)
            if float(odds.max()) < -3.5:  # neither is there
                p = p * 0.5
        return ranked(dict(zip(options, p.tolist(), strict=True)))

    def _done(self, evidence: Evidence, gerund: str) -> float:
        fit = float(self.witness.fits(evidence, [f"someone is {gerund}"])[0])
        word = self.witness.word(evidence, gerund)
        return word if word is not None else fit

    def _name(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        noun = asked.noun
        if noun == "room":
            return self._room(evidence)
        if noun in ("sport", "game"):
            return ranked(self._sports(evidence))
        if noun in ("weather", "season"):
            table = WEATHER if noun == "weather" else SEASONS
            return ranked(
                dict(zip(table, self.witness.fits(evidence, list(table.values())).softmax(0).tolist(), strict=True))
            )
        if noun == "place":
            return self._where(asked, evidence, reasoned)
        if noun == "person" or noun == "people":
            return self._who(evidence)
        kind = canonical(noun) if noun and noun not in ("thing", "object") else ""
        return self._named(evidence, kind)

    def _named(self, evidence: Evidence, kind: str) -> Reply | None:
        """What is there of a kind, or at all: ImageNet's classes where they are sure, else things by presence."""
        scores = dict[str, float]()
        p = evidence.classes.softmax(-1)
        sums = dict[str, float]()
        for i, value in enumerate(p.tolist()):
            if value > 0.004 and (not kind or any(kind in kinds_of(n) for n in imagenet_names()[i])):
                sums[everyday(i)] = sums.get(everyday(i), 0.0) + value
        for name, value in sums.items():
            if value >= SURE_CLASS:
                scores[name] = 0.5 + value / 2
        nouns = self._candidates(kind)
        if nouns:
            for name, value in zip(nouns, self.p_present(evidence, nouns).tolist(), strict=True):
                scores[name] = max(scores.get(name, 0.0), value) + 0.2 * sums.get(name, 0.0)
        for name, value in self._boxed(evidence).items():
            if not kind or kind in kinds_of(canonical(name)):
                # A box tells a giraffe from a deer, which words and classes do not.
                scores[name] = max(scores.get(name, 0.0), 0.5 + value / 2) + 0.1 * value
        if not scores:
            return None
        if kind in scores and len(scores) > 1:
            del scores[kind]
        best = ranked(scores, cap=True)
        return Reply(best.answers, self.things_of(evidence, best.answers[0][0]))

    def _finer(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        """Of a thing its kind, the breed of a dog: by ImageNet's classes alone."""
        del reasoned
        kind, found = canonical(asked.noun), dict[str, float]()
        for i, p in enumerate(evidence.classes.softmax(-1).tolist()):
            if kind in (names := imagenet_names()[i])[1:]:
                found[names[0]] = found.get(names[0], 0.0) + p
        return ranked(found) if found else None

    def _upon(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply:
        """What somebody sits or lies on."""
        del reasoned
        if asked.noun == "in":
            return around.into(lambda nouns: self.p_present(evidence, nouns))
        there = self.p_present(evidence, RIDDEN).tolist()
        names = [*SURFACES, *(name for name, p in zip(RIDDEN, there, strict=True) if p >= 0.5)]
        fits = self.witness.fits(evidence, [f"sitting on the {name}" for name in names])
        return ranked(dict(zip(names, fits.softmax(0).tolist(), strict=True)))

    def _candidates(self, kind: str) -> list[str]:
        if kind == "animal":
            return ANIMALS
        if kind == "clothing":
            return CLOTHES
        every = sorted({n for some in imagenet_names() for n in some[1:2]} | set(self.witness.words))
        if kind:
            return [n for n in every if kind in kinds_of(canonical(n)) and n != kind and canonical(n) == n][:150]
        return [*PEOPLE[:5], *ANIMALS[:30], *MAIN_THINGS]

    def _boxed(self, evidence: Evidence) -> dict[str, float]:
        """What the detector is sure to have found, by its everyday name, with how likely it is."""
        labels = self.witness.detector.config.labels if self.witness.detector else ()
        found = dict[str, float]()
        for thing in evidence.things(labels):
            name = coco_names()[COCO.index(thing.label)] if thing.label in COCO else thing.label
            if thing.p >= SURE_BOX and name != "person":
                found[name] = max(found.get(name, 0.0), thing.p)
        return found

    def _who(self, evidence: Evidence) -> Reply:
        nouns = PEOPLE[:6]
        scores = dict(zip(nouns, self.p_present(evidence, nouns).tolist(), strict=True))
        if max(scores.values()) < 0.3:
            return Reply((("nobody", 1 - max(scores.values())),))
        name = max(scores, key=scores.__getitem__)
        if (told := no_surer(name, scores)) != name:
            scores[told] = scores[name]
            scores = {told: scores.pop(told), **scores}  # said first
        found = ranked(scores, cap=True)
        return Reply(found.answers, self.things_of(evidence, "person"))

    def _sports(self, evidence: Evidence) -> dict[str, float]:
        fits = self.witness.fits(evidence, list(SPORTS.values()))
        words = torch.tensor([self.witness.word(evidence, s.split()[0]) or -6.0 for s in SPORTS])
        return dict(zip(SPORTS, (0.7 * fits + 0.5 * words).softmax(0).tolist(), strict=True))

    def _room(self, evidence: Evidence) -> Reply:
        fits = self.witness.fits(evidence, [sentence(room) for room in ROOMS])
        odds = []
        for room in ROOMS:
            p = self.p_present(evidence, ROOM_THINGS.get(room, room).split())
            odds.append(float(torch.logit(p, eps=1e-3).max()))
        scores = (fits + 0.5 * torch.tensor(odds)).softmax(0)
        return ranked(dict(zip(ROOMS, scores.tolist(), strict=True)))

    def _colour(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        found = self.colouring.colours(evidence, asked.noun, reasoned)
        best = ranked(found)
        return Reply(best.answers, self.things_of(evidence, asked.noun))

    def _count(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        noun = canonical(asked.noun)
        if not noun:
            return None
        boxes = self.things_of(evidence, noun)
        p = float(self.p_present(evidence, [noun])[0])
        if p < NOT_COUNTED and not boxes:
            return Reply((("0", 1 - p),))
        if noun == "person" and (crowd := float(self.p_present(evidence, ["crowd"])[0])) >= around.CROWD:
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

    def _where(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        del asked, reasoned
        return ranked(self._places(evidence))

    def _places(self, evidence: Evidence) -> dict[str, float]:
        fits = self.witness.fits(evidence, list(PLACES.values()))
        words = torch.tensor([self.witness.word(evidence, place.split()[-1]) or -5.0 for place in PLACES])
        return dict(zip(PLACES, (0.7 * fits + 0.6 * words).softmax(0).tolist(), strict=True))

    def _there(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply:
        del reasoned
        return around.there(asked.noun, lambda nouns: self.p_present(evidence, nouns))

    def _others(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        counted = self._count(asked, evidence, reasoned)
        return around.others(counted, alone="alone" in asked.claim, negated=asked.negated)

    def _doing(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        names = [w for w in self.witness.words if w.endswith("ing") and len(w) > 4 and w not in NOT_DONE]
        if not names:
            return None
        logits = torch.stack([evidence.words[self.witness.words[w]] for w in names])
        scores = dict(zip(names, logits.sigmoid().tolist(), strict=True))
        for word, p in reasoned.items():
            if word in scores:
                scores[word] = 0.7 * scores[word] + 0.3 * p
        if asked.noun and self.p_present(evidence, [asked.noun])[0] < 0.1:
            scores = {w: 0.5 * p for w, p in scores.items()}
        return ranked(scores, cap=True)

    def _wearing(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        nouns = ON_HEADS if "head" in asked.text.split() else CLOTHES
        scores = dict(zip(nouns, self.p_present(evidence, nouns).tolist(), strict=True))
        for word, p in reasoned.items():
            if word in scores:
                scores[word] = 0.7 * scores[word] + 0.3 * p
        found = ranked(scores, cap=True)
        return Reply(found.answers, self.things_of(evidence, "person"))

    def _object(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        del reasoned
        listed = OBJECTS.get(asked.noun, OBJECTS["holding"])
        nouns = listed.split("|") if "|" in listed else listed.split()
        fits = self.witness.fits(evidence, [f"someone {asked.noun} a {noun}" for noun in nouns])
        odds = torch.logit(self.p_present(evidence, nouns), eps=1e-4)
        p = (odds + 0.3 * (fits - fits.mean())).sigmoid()
        found = ranked(dict(zip(nouns, p.tolist(), strict=True)), cap=True)
        return Reply(found.answers, self.things_of(evidence, found.answers[0][0]))

    def _describe(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        del asked, reasoned
        caption, cosine = self.witness.caption(evidence)
        labels = self.witness.detector.config.labels if self.witness.detector else ()
        things = evidence.things(labels)
        p = float(torch.sigmoid(torch.tensor(14 * (cosine - NEAR_CAPTION))))
        if p < 0.5 and (named := self._named(evidence, "")) is not None and named.answers[0][1] > p:
            # No caption is near enough to say more than what is there.
            return Reply(tuple((sentence(name), p) for name, p in named.answers), things)
        return Reply(((caption, p),), things, retrieved=True)


_SMALL_TEXT = """\
a an the is are of in on at to and his her their its with there this that it he she they someone picture photo by for
from"""
_SMALL = frozenset(_SMALL_TEXT.split())


def open_everyday(
    folder: Path, eyes_name: str | Path, eyes: ImageEncoder, reader: TextReader, detector: str
) -> Everyday | None:
    """What answers from evidence beside the model in `folder`; None where the model or its eyes have no such part."""
    if not (folder / FILE).is_file():
        return None
    witness = open_witness(eyes_name, eyes, reader, detector)
    return None if witness is None else Everyday(witness, Presence.load(folder))


def open_witness(eyes_name: str | Path, eyes: ImageEncoder, reader: TextReader, detector: str) -> Witness | None:
    """What gathers evidence with these eyes; None where they tell no words and classes."""
    if not isinstance(eyes, AlignedLite2):
        return None
    boxes = YoloTiny.load(path_of(detector), device=device_of(eyes.alignment)) if detector else None
    return Witness(PictureMatch.load(eyes_name, eyes), boxes, reader, captions_of(eyes_name))
