"""What a thing, a person, a room, a sport or a place in a picture is called."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dialog.pictures.bounds import no_surer
from dialog.pictures.evidence import Evidence
from dialog.pictures.names import all_kinds, canonical, everyday, imagenet_names, kinds_of
from dialog.pictures.reply import Reply, ranked, softmax
from dialog.pictures.sight import Sight
from dialog.pictures.vocabulary import (
    ANIMALS,
    CLOTHES,
    MAIN_THINGS,
    NOT_DONE,
    PEOPLE,
    PLACE_THINGS,
    PLACES,
    RARE,
    ROOM_THINGS,
    ROOMS,
    SEASONS,
    SPORTS,
    WEATHER,
    sentence,
)

SURE_CLASS = 0.35
"""How likely ImageNet's class must be before its name is preferred to what captions say."""


class Naming:
    """Names for what a picture shows."""

    def __init__(self, sight: Sight) -> None:
        self.sight = sight

    def name(self, evidence: Evidence, noun: str) -> Reply | None:
        """What is there of what a question asks for by `noun`: a room, a sport, the weather, a person, a thing."""
        if noun == "room":
            return self.room(evidence)
        if noun in ("sport", "game"):
            return ranked(self.sports(evidence))
        if noun in ("weather", "season"):
            table = WEATHER if noun == "weather" else SEASONS
            fits = self.sight.witness.fits(evidence, list(table.values()))
            p = (fits - torch.tensor([RARE.get(name, 0.0) for name in table])).softmax(0)
            return ranked(dict(zip(table, p.tolist(), strict=True)))
        if noun == "place":
            return ranked(self.places(evidence))
        if noun == "person" or noun == "people":
            return self.who(evidence)
        kind = canonical(noun) if noun and noun not in ("thing", "object") else ""
        return self.named(evidence, kind)

    def named(self, evidence: Evidence, kind: str) -> Reply | None:
        """What is there of a kind, or at all: ImageNet's classes where they are sure, else things by presence."""
        scores, sums, boxed = dict[str, float](), dict[str, float](), dict[str, float]()
        p = evidence.classes.softmax(-1)
        for i, value in enumerate(p.tolist()):
            if value > 0.004 and (not kind or any(kind in kinds_of(n) for n in imagenet_names()[i])):
                sums[everyday(i)] = sums.get(everyday(i), 0.0) + value
        for name, value in sums.items():
            if value >= SURE_CLASS:
                scores[name] = 0.5 + value / 2
        nouns = self._candidates(kind)
        if nouns:
            for name, value in zip(nouns, self.sight.p_present(evidence, nouns).tolist(), strict=True):
                scores[name] = max(scores.get(name, 0.0), value) + 0.2 * sums.get(name, 0.0)
        for name, value in sorted(self.sight.boxed(evidence)):  # of each name the surest is the last
            if not kind or kind in kinds_of(canonical(name)):
                boxed[name] = value
        for name, value in boxed.items():
            # A box tells a giraffe from a deer, which words and classes do not.
            scores[name] = max(scores.get(name, 0.0), 0.5 + value / 2) + 0.1 * value
        if not scores:
            return None
        if kind in scores and len(scores) > 1:
            del scores[kind]
        best = ranked(scores, cap=True)
        if "animal" in kinds_of(kind):
            # One is looked for: three that are each as likely as not are none to be sure of.
            share = softmax({name: float(torch.logit(torch.tensor(p), eps=1e-3)) for name, p in best.answers})
            best = Reply(tuple((name, p * share[name]) for name, p in best.answers))
        return Reply(best.answers, self.sight.things_of(evidence, best.answers[0][0]))

    def finer(self, evidence: Evidence, noun: str) -> Reply | None:
        """Of a thing its kind, the breed of a dog: by ImageNet's classes alone."""
        kind, found = canonical(noun), dict[str, float]()
        if kind in all_kinds():
            return self.named(evidence, kind)
        for i, p in enumerate(evidence.classes.softmax(-1).tolist()):
            if kind in (names := imagenet_names()[i])[1:]:
                found[names[0]] = found.get(names[0], 0.0) + p
        return ranked(found) if found else None

    def _candidates(self, kind: str) -> list[str]:
        if kind == "animal":
            return ANIMALS
        if kind == "clothing":
            return CLOTHES
        every = sorted({n for some in imagenet_names() for n in some[1:2]} | set(self.sight.witness.words))
        if kind:
            return [n for n in every if kind in kinds_of(canonical(n)) and n != kind and canonical(n) == n][:150]
        return [*PEOPLE[:5], *ANIMALS[:30], *MAIN_THINGS]

    def who(self, evidence: Evidence) -> Reply:
        nouns = PEOPLE[:6]
        scores = dict(zip(nouns, self.sight.p_present(evidence, nouns).tolist(), strict=True))
        if max(scores.values()) < 0.3:
            return Reply((("nobody", 1 - max(scores.values())),))
        name = max(scores, key=scores.__getitem__)
        if (told := no_surer(name, scores)) != name:
            scores[told] = scores[name]
            scores = {told: scores.pop(told), **scores}  # said first
        found = ranked(scores, cap=True)
        return Reply(found.answers, self.sight.things_of(evidence, "person"))

    def sports(self, evidence: Evidence) -> dict[str, float]:
        fits = self.sight.witness.fits(evidence, list(SPORTS.values()))
        words = torch.tensor([self.sight.witness.word(evidence, s.split()[0]) or -6.0 for s in SPORTS])
        return dict(zip(SPORTS, (0.7 * fits + 0.5 * words).softmax(0).tolist(), strict=True))

    def room(self, evidence: Evidence) -> Reply:
        fits = self.sight.witness.fits(evidence, [sentence(room) for room in ROOMS])
        odds = [self._odds(evidence, ROOM_THINGS.get(room, room)) for room in ROOMS]
        scores = (fits + 0.5 * torch.tensor(odds)).softmax(0)
        return ranked(dict(zip(ROOMS, scores.tolist(), strict=True)))

    def places(self, evidence: Evidence) -> dict[str, float]:
        fits = self.sight.witness.fits(evidence, list(PLACES.values()))
        words = torch.tensor([self.sight.witness.word(evidence, place.split()[-1]) or -5.0 for place in PLACES])
        needs = {place: self._odds(evidence, things) for place, things in PLACE_THINGS.items()}
        odds = torch.tensor([needs.get(place, 0.0) for place in PLACES])
        scores = 0.7 * fits + 0.6 * words + 0.5 * odds
        return dict(zip(PLACES, scores.softmax(0).tolist(), strict=True))

    def _odds(self, evidence: Evidence, things: str) -> float:
        """The log-odds of the likeliest of some things being there."""
        return float(torch.logit(self.sight.p_present(evidence, things.split()), eps=1e-3).max())

    def doings(self, evidence: Evidence) -> dict[str, float]:
        """How likely captions would say of somebody that they are doing each of the things there are words for."""
        places = {w: i for w, i in self.sight.witness.words.items() if w.endswith("ing") and len(w) > 4}
        return {w: float(evidence.words[i].sigmoid()) for w, i in places.items() if w not in NOT_DONE}

    def between(self, evidence: Evidence, choices: Sequence[Sequence[str]], sharpness: float = 1.0) -> Tensor:
        """How likely each choice is, told by several sentences each, (C,)."""
        fits = self.sight.witness.fits(evidence, [s for some in choices for s in some])
        means = torch.stack([part.mean() for part in fits.split([len(some) for some in choices])])
        return (sharpness * means).softmax(0)
