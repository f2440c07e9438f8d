"""Whether something asked for is so: a thing that is there, a sentence that is true, one of two that it is."""

import re

import torch
from torch import Tensor

from dialog.pictures import around
from dialog.pictures.bounds import beside_its_rival, needed
from dialog.pictures.colouring import Colouring
from dialog.pictures.colours import COLOURS
from dialog.pictures.evidence import Evidence
from dialog.pictures.names import canonical, coco_classes, imagenet_classes, imagenet_names, kinds_of
from dialog.pictures.naming import SURE_CLASS, Naming
from dialog.pictures.questions import Asked
from dialog.pictures.reply import Reasoned, Reply, ranked, yes_or_no
from dialog.pictures.sight import Sight
from dialog.pictures.vocabulary import AGAINST, GAMES, OPPOSITES, PLACES, ROOMS, SHOWN

PLACE_NAMES = frozenset(place.split()[-1] for place in PLACES)
_BEING_AT = re.compile(r"^(?:this|it|he|she|they|the \w+) (?:is|are) (?:an? |at |in |on |inside |the )")
_OF_A_SORT = re.compile(r"\b(?:baby|young|old|toy|real|fake|stuffed|tiny|huge|broken|empty) \w+$")
"""What is there of a sort, which the thing's name alone does not tell."""
ODDS_OF_A_PLACE = 3.0
"""So much likelier is a place that is asked for than the likeliest other."""
_SMALL_TEXT = """\
a an the is are of in on at to and his her their its with there this that it he she they someone picture photo by for
from"""
_SMALL = frozenset(_SMALL_TEXT.split())


class Claims:
    """Answers with yes or no, and choices."""

    def __init__(self, sight: Sight, naming: Naming, colouring: Colouring) -> None:
        self.sight, self.naming, self.colouring = sight, naming, colouring

    def presence(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        del reasoned
        noun = asked.noun or canonical(asked.claim.split()[-1])
        if noun in OPPOSITES:
            return self.statement(asked, evidence, {})
        p = float(self.sight.p_present(evidence, [noun])[0])
        if (share := self._among(evidence, asked.claim)) is not None:
            p = min(p, share)
        if _OF_A_SORT.search(asked.claim):
            p = min(p, self.claim(evidence, asked.claim, 0.5))
        if asked.claim.startswith("this is "):
            p = min(p, 1 - self._something_else(evidence, noun))
            share = beside_its_rival(noun, lambda nouns: self.sight.p_present(evidence, nouns).tolist())
            p = p if share is None else min(p, share)
        return yes_or_no(1 - p if asked.negated else p, self.sight.things_of(evidence, noun))

    def _something_else(self, evidence: Evidence, noun: str) -> float:
        """How surely a picture is of one other thing than is asked for: a saxophone is no guitar."""
        p, best = evidence.classes.softmax(-1).max(0)
        own = imagenet_names()[int(best)]
        names = {kind for name in own for kind in kinds_of(canonical(name))} | set(" ".join(own).split())
        name = canonical(noun)
        # A rhino is no class and no word of a caption's: what is surely an elephant is none.
        unheard = not self.sight.witness.words_for(noun) and not coco_classes(name)
        known = (bool(imagenet_classes(name)) or unheard) and "person" not in kinds_of(name)
        return float(p) if known and name not in names and float(p) >= SURE_CLASS else 0.0

    def statement(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        words = asked.claim.split()
        if "black and white" in asked.claim:
            p = around.black_and_white(evidence.small)
            return yes_or_no(1 - p if asked.negated else p)
        if (colour := words[-1].replace("grey", "gray") if words else "") in COLOURS and len(words) <= 5:
            return self._coloured(asked, colour, evidence, reasoned)
        turned = next((OPPOSITES[w] for w in reversed(words) if w in OPPOSITES), None)
        if turned is not None and len(words) <= 6:
            other = AGAINST.get(turned, ("a photo",))
            p = float(self.naming.between(evidence, [turned, other])[0])
            if needed_too := [SHOWN[w] for w in words if w in SHOWN]:
                p = min(p, float(self.sight.p_present(evidence, needed_too).min()))
            return yes_or_no(1 - p if asked.negated else p)
        p_said = reasoned.get("yes", 0.0) / max(1e-6, reasoned.get("yes", 0.0) + reasoned.get("no", 0.0))
        p = self.claim(evidence, asked.claim, p_said if reasoned else 0.5)
        if (share := self._among(evidence, asked.claim)) is not None:
            p = min(p, share)
        if must := needed(asked):
            p = min(p, float(self.sight.p_present(evidence, must).min()))
        return yes_or_no(1 - p if asked.negated else p)

    def _coloured(self, asked: Asked, colour: str, evidence: Evidence, reasoned: Reasoned) -> Reply:
        noun = canonical(asked.claim.split()[-3]) if len(asked.claim.split()) >= 3 else ""
        noun = "" if noun in ("it", "this", "that") else noun
        p = self.colouring.is_of(colour, evidence, noun, reasoned)
        return yes_or_no(1 - p if asked.negated else p, self.sight.things_of(evidence, noun))

    def claim(self, evidence: Evidence, text: str, p_said: float) -> float:
        """How likely a sentence about the picture is true, given how likely the reasoner finds it."""
        features = self.claim_features(evidence, text, p_said)
        return float(self.sight.presence.claim_p(features))

    def _among(self, evidence: Evidence, text: str) -> float | None:
        """How likely the game or the room that a text ends with is among all games or rooms; None where it names none.
        Of two that look alike one is there."""
        words = text.split()
        for name in (" ".join(words[-2:]), *words[-1:]):
            if name in GAMES:
                return self.naming.sports(evidence)[name]
            if name in ROOMS:
                return dict(self.naming.room(evidence).answers).get(name, 0.0)
            if name in PLACE_NAMES and _BEING_AT.match(text):
                shares = self.naming.places(evidence)
                own = max(p for place, p in shares.items() if place.endswith(f" {name}"))
                return own / (own + max(p for place, p in shares.items() if not place.endswith(name)) / ODDS_OF_A_PLACE)
        return None

    @torch.inference_mode()
    def claim_features(self, evidence: Evidence, text: str, p_said: float) -> Tensor:
        """(5,): the reasoner's log-odds, the sentence's fit, the least and the mean logit of its words, whether it has
        any such words."""
        fit = float(self.sight.witness.fits(evidence, [text])[0])
        logits = [w for word in text.lower().replace(".", "").split() if word not in _SMALL
                  and (w := self.sight.witness.word(evidence, word)) is not None]  # fmt: skip
        low, mean = (min(logits), sum(logits) / len(logits)) if logits else (0.0, 0.0)
        odds = float(torch.logit(torch.tensor(p_said), eps=0.01))
        return torch.tensor([odds, fit, low, mean, float(bool(logits))])

    def either(self, asked: Asked, evidence: Evidence, reasoned: Reasoned) -> Reply | None:
        del reasoned
        options = asked.options
        if all(o.split()[-1] in OPPOSITES for o in options):
            p = self.naming.between(evidence, [OPPOSITES[o.split()[-1]] for o in options])
        elif all(o in COLOURS or o == "grey" for o in options):
            found = self.colouring.colours(evidence, asked.noun, {})
            p = torch.tensor([found.get(o.replace("grey", "gray"), 0.0) for o in options]) + 1e-6
            p = p / p.sum()
        elif all(o.endswith("ing") for o in options):
            p = torch.tensor([self._done(evidence, o) for o in options]).softmax(0)
        else:
            nouns = [canonical(o.split()[-1]) if len(o.split()) > 2 else o for o in options]
            odds = torch.logit(self.sight.p_present(evidence, nouns), eps=1e-4)
            p = odds.softmax(0)
            if float(odds.max()) < -3.5:  # neither is there
                p = p * 0.5
        return ranked(dict(zip(options, p.tolist(), strict=True)))

    def _done(self, evidence: Evidence, gerund: str) -> float:
        fit = float(self.sight.witness.fits(evidence, [f"someone is {gerund}"])[0])
        word = self.sight.witness.word(evidence, gerund)
        return word if word is not None else fit
