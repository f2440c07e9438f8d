"""A picture in a sentence: what people wrote about similar ones, where they agree and the picture denies nothing of
it; else what is surely there.

The caption nearest to a picture says too much: of a concert that it is an explosion. Of the nearest few dozen that one
is taken which says what the others say, as minimum Bayes risk decoding takes the hypothesis likest all others (Kumar
and Byrne 2004), here by the words that carry meaning. So few details are left that are of another picture.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import torch

from dialog.pictures.bounds import beside_its_rival
from dialog.pictures.evidence import Evidence
from dialog.pictures.names import canonical, common_names, kinds_of
from dialog.pictures.naming import Naming
from dialog.pictures.referring import things_named
from dialog.pictures.reply import Reply
from dialog.pictures.sight import SURE_BOX, Sight
from dialog.pictures.vocabulary import INDOORS, OUTDOORS, PEOPLE, ROOMS, sentence

NEAR = 60
"""Captions that are compared with one another."""
SHARPNESS = 15.0
"""By how much the nearer count for more: that of PictureMatch's fit."""
COSINE = 0.5
"""What a caption's own cosine counts beside how far it agrees with the others."""
LOOKED_AT = 12
"""Captions, those that agree most first, whose things are looked for in the picture."""
DENIED = 0.3
"""How likely the least likely thing that a caption names must be."""
WEIGHTS, INTERCEPT = (4.79, 9.06, 1.18), -4.08
"""Of how likely half a caption's words or more are in what five people wrote about the picture: of its cosine, of its
agreement, of the logarithm of its least likely thing. Fitted on 260 pictures of Flickr8k's dev part, ROC area 0.81
there; by the cosine alone it is 0.68."""
LONGEST = 16
"""Words of a caption that may be said of another picture: what is longer has details."""
_PRIVATE = re.compile(
    r"\b(?:asian|african|indian|mexican|chinese|japanese|arab|muslim|fat|ugly|"
    r"(?:black|white) (?:man|men|woman|women|boys?|girls?|people|child|children|kids?))\b",
    re.IGNORECASE,
)
"""What is not said of anybody by likeness to another."""
_EMPTY_TEXT = """\
a an the is are of in on at to and his her their its with there this that it he she they while as by for from"""
_EMPTY = frozenset(_EMPTY_TEXT.split())
SURE, SURE_DOING, SURE_ROOM, SURE_PLACE = 0.75, 0.4, 0.55, 0.85
"""How likely must be what a sentence is composed of: who and what is there, what they do, the room or the place among
all of them, indoors or outdoors."""
SEEN = 0.15
"""How likely the likeliest box of a person must be for the picture to be of one."""
RIVAL_SHARE = 2 / 3
"""How much likelier than a woman a man must be to be called one."""
UNSURE = 0.49
"""What is not sure enough to be said is a guess, however likely it is by itself."""
NUMBERS = ("", "", "two", "three", "four")
COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4}
_NUMBERED = re.compile(
    rf"({'|'.join(COUNTS)}) (?:\w+ ){{0,2}}?(dogs?|horses?|cows?|birds?|cats?|boats?|cars?)\b", re.IGNORECASE
)
"""What a caption counts that the detector finds well."""
MISCOUNTED = 0.3
"""What is left of a likelihood where the boxes say another number."""
_ROOMS = frozenset(f"in {'an' if room[0] in 'aeiou' else 'a'} {room}" for room in ROOMS)
_PLURALS = {"person": "people", "sheep": "sheep", "knife": "knives", "scissors": "scissors", "mouse": "mice"}


class Describing:
    """Sentences about pictures."""

    def __init__(self, sight: Sight, naming: Naming) -> None:
        self.sight, self.naming = sight, naming

    def describe(self, evidence: Evidence) -> Reply | None:
        """A caption of similar pictures where it is likelier than not to fit, else what is there; None of nothing."""
        things = evidence.things(self.sight.labels)
        caption, p = self.retrieved(evidence)
        if p >= 0.5:
            return Reply(((caption, p),), things, retrieved=True)
        if (own := self.composed(evidence)) is not None:
            return Reply((own,), things)
        named = [(sentence(name), min(q, UNSURE)) for name, q in self._believed(evidence)]
        guesses = [*named, (caption, p)] if caption else named
        return Reply(tuple(sorted(guesses, key=lambda guess: -guess[1])[:5]), things) if guesses else None

    @torch.inference_mode()
    def retrieved(self, evidence: Evidence) -> tuple[str, float]:
        """What people wrote about a similar picture, and how likely it is to fit this one; empty without captions."""
        cosines = self.sight.witness.match.captions @ evidence.pooled
        places = self._sayable
        if not places:
            return "", 0.0
        near = cosines[places].topk(min(NEAR, len(places)))
        rows = [places[i] for i in near.indices.tolist()]
        share = (SHARPNESS * near.values).softmax(0).tolist()
        agree = agreement([self._words(row) for row in rows], share)
        order = sorted(range(len(rows)), key=lambda i: -(agree[i] + COSINE * float(near.values[i])))[:LOOKED_AT]
        captions = [self.sight.witness.captions[rows[i]] for i in order]
        least = self._least_likely(evidence, captions)
        least = [p * self._numbered(evidence, c) for p, c in zip(least, captions, strict=True)]
        best = next((n for n, p in enumerate(least) if p >= DENIED), 0)
        told = (float(near.values[order[best]]), agree[order[best]], math.log(max(least[best], 1e-3)))
        odds = INTERCEPT + sum(w * x for w, x in zip(WEIGHTS, told, strict=True))
        return said(captions[best]), 1 / (1 + math.exp(-odds))

    def composed(self, evidence: Evidence) -> tuple[str, float] | None:
        """Who and what is surely there, what they do, and where: `two people and a dog, outdoors`, `a boy running, on
        the beach`; None where nothing is sure."""
        parts, where = [*self._people(evidence), *self._things(evidence)], self._place(evidence)
        if not parts and where is not None and where[0] in _ROOMS:
            return _several(where[0].split(maxsplit=2)[2], 1), where[1]
        if not parts and (named := self._named(evidence)) is not None:
            parts = [named]
        if not parts:
            return None
        alive = any(_lives(part) for part, _ in parts)
        if alive and len(parts) == 1 and (done := self._doing(evidence)) is not None:
            parts = [(f"{parts[0][0]} {done[0]}", min(parts[0][1], done[1]))]
        text, p = _joined([part for part, _ in parts]), min(p for _, p in parts)
        if where is None or not (alive or where[0] in _ROOMS or where[0] == "outdoors"):
            return text, p  # of a couch nobody asks whether it is on a bed
        return f"{text}, {where[0]}", min(p, where[1])

    def _named(self, evidence: Evidence) -> tuple[str, float] | None:
        """What the picture is of, where it is surely something with an everyday name."""
        name, p = next(iter(self._believed(evidence)), ("", 0.0))
        return (_several(name, 1), p) if p >= SURE and (name in PEOPLE or name in common_names()) else None

    def _believed(self, evidence: Evidence) -> list[tuple[str, float]]:
        """What the picture may be of, but for people where the detector sees nobody."""
        named = self.naming.named(evidence, "")
        everything = list(named.answers) if named is not None else []
        if "person" not in self.sight.labels or float(evidence.most[self.sight.labels.index("person")]) >= SEEN:
            return everything
        return [(name, p) for name, p in everything if name not in PEOPLE]

    def _doing(self, evidence: Evidence) -> tuple[str, float] | None:
        """What is done, where one thing surely is."""
        done, p = max(self.naming.doings(evidence).items(), key=lambda item: item[1], default=("", 0.0))
        return (done, p) if p >= SURE_DOING else None

    def _people(self, evidence: Evidence) -> list[tuple[str, float]]:
        """The people by their boxes: one by what they are called, more by their number."""
        boxes = [thing.p for thing in evidence.things(self.sight.labels) if thing.label == "person"]
        sure = [p for p in boxes if p >= SURE_BOX]
        if len(sure) != 1:
            return [(_several("person", len(sure)), min(sure))] if sure else []
        who, p = self.naming.who(evidence).answers[0]
        share = beside_its_rival(who, lambda nouns: self.sight.p_present(evidence, nouns).tolist())
        surely = who != "nobody" and p >= SURE and (share is None or share >= RIVAL_SHARE)
        return [(_several(who, 1), p) if surely else ("a person", sure[0])]

    def _things(self, evidence: Evidence) -> list[tuple[str, float]]:
        """Three other things that have boxes, the surest first."""
        boxed = sorted(self.sight.boxed(evidence))
        counts, best = Counter(name for name, _ in boxed), dict(boxed)  # of each name the surest is the last
        return [(_several(name, counts[name]), best[name]) for name in sorted(best, key=lambda n: -best[n])[:3]]

    def _place(self, evidence: Evidence) -> tuple[str, float] | None:
        """In which room or at which place, else indoors or outdoors; None where nothing of that is sure."""
        inside = float(self.naming.between(evidence, [INDOORS, OUTDOORS])[0])
        room, p_room = self.naming.room(evidence).answers[0]
        if inside >= SURE and p_room >= SURE_ROOM:
            return f"in {_several(room, 1)}", p_room
        place, p_place = max(self.naming.places(evidence).items(), key=lambda item: item[1])
        if p_place >= SURE_ROOM and place not in _ROOMS:
            return place, p_place
        if max(inside, 1 - inside) < SURE_PLACE:
            return None
        return ("indoors", inside) if inside > 0.5 else ("outdoors", 1 - inside)

    @cached_property
    def _sayable(self) -> list[int]:
        """The places of the captions that may be said of another picture."""
        every = enumerate(self.sight.witness.captions)
        return [i for i, text in every if len(text.split()) <= LONGEST and not _PRIVATE.search(text)]

    def _words(self, row: int) -> frozenset[str]:
        return meaning(self.sight.witness.captions[row])

    def _least_likely(self, evidence: Evidence, captions: Sequence[str]) -> list[float]:
        """Of each caption, how likely the least likely thing is that it names; 0 where it names none that can be looked
        for."""
        named = [set(things_named(caption)) for caption in captions]
        nouns = sorted(set().union(*named))
        p = dict(zip(nouns, self.sight.p_present(evidence, nouns).tolist(), strict=True)) if nouns else {}
        return [min((p[noun] for noun in some), default=0.0) for some in named]

    def _numbered(self, evidence: Evidence, caption: str) -> float:
        """What is left of a caption's likelihood for the number it gives: little of two dogs where one has a box."""
        if (found := _NUMBERED.match(caption)) is None:
            return 1.0
        n = COUNTS[found[1].lower()]
        boxes = [thing.p for thing in self.sight.things_of(evidence, canonical(found[2]))]
        sure = sum(p >= SURE_BOX for p in boxes)
        return MISCOUNTED if sure and not sure <= n <= len(boxes) else 1.0


def meaning(text: str) -> frozenset[str]:
    """The words of a sentence that carry meaning, by their canonical names."""
    return frozenset(canonical(word) for word in re.findall(r"[a-z0-9'-]+", text.lower()) if word not in _EMPTY)


def agreement(some: Sequence[frozenset[str]], share: Sequence[float]) -> list[float]:
    """How far each set of words agrees with the others, 0 to 1: the mean of F1, each other counting by its share."""
    scores = []
    for i, own in enumerate(some):
        total = sum(
            share[j] * 2 * len(own & other) / max(1, len(own) + len(other)) for j, other in enumerate(some) if j != i
        )
        scores.append(total / max(1e-6, 1 - share[i]))
    return scores


def said(caption: str) -> str:
    """A caption as a sentence is written: a capital, no space before its full stop."""
    text = re.sub(r"\s+([.,!?'])", r"\1", " ".join(caption.split()))
    return text[:1].upper() + text[1:]


def _lives(part: str) -> bool:
    """Whether a part of a sentence names people or animals."""
    return bool(kinds_of(canonical(part.split()[-1])) & {"person", "animal"})


def _several(name: str, n: int) -> str:
    """A thing in its number: a dog, two dogs, several dogs."""
    if n <= 1:
        return f"{'an' if re.match('[aeiou]', name) else 'a'} {name}"
    ending = "es" if name.endswith(("s", "x", "ch", "sh")) else "s"
    return f"{NUMBERS[n] if n < len(NUMBERS) else 'several'} {_PLURALS.get(name, name + ending)}"


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
