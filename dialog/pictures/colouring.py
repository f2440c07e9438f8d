"""What colour a thing is: by its pixels, a sentence's fit, captions' words, and what such things mostly are."""

from collections.abc import Callable

import torch
from torch import Tensor

from dialog.pictures import around
from dialog.pictures.colours import COLOURS, apart, shares, within
from dialog.pictures.evidence import Evidence, Witness
from dialog.pictures.names import canonical
from dialog.pictures.reply import Reasoned
from dialog.pictures.vocabulary import CLOTHES
from models.detector.model import Found

COLOUR_WEIGHTS = (0.46, 0.23, 0.67)
"""Of what colours are told by: the logarithm of their share of the pixels, a sentence's fit, a word's logit. Fitted on
261 things of one colour in Flickr8k's dev pictures, right of 58 per cent there (of 56 among 163 of test)."""
ODDS_OF_A_COLOUR = 3.0
"""Who asks whether a thing is red has seen some red: so much likelier is a colour that is asked for than any."""
REASONER_WEIGHT = 0.5
USUAL = {
    "grass": ("green",),
    "tree": ("green",),
    "leaf": ("green",),
    "plant": ("green",),
    "sky": ("blue", "gray", "white"),
    "snow": ("white",),
    "cloud": ("white", "gray"),
    "road": ("gray", "black"),
    "street": ("gray", "black"),
    "sand": ("brown", "yellow"),
}
"""The colours some things mostly have."""
USUAL_ODDS = 1.2
"""By how much, in log-odds, their usual colours are likelier: a lawn is green though its pixels are half yellow."""
_LEGS, _HEAD = (0.5, 0.85), (0.0, 0.18)
WORN_AT = {"jeans": _LEGS, "pants": _LEGS, "shorts": _LEGS, "skirt": _LEGS, "hat": _HEAD, "cap": _HEAD, "helmet": _HEAD}
"""Where on a person's box it is worn, from the top."""


class Colouring:
    """Colours of things. `things_of` finds the boxes that hold one."""

    def __init__(self, witness: Witness, things_of: Callable[[Evidence, str], tuple[Found, ...]]) -> None:
        self.witness, self.things_of = witness, things_of

    def colours(self, evidence: Evidence, noun: str, reasoned: Reasoned) -> dict[str, float]:
        """How likely each colour is, the reasoner's answer being one more witness."""
        log = self.features(evidence, noun or "thing") @ torch.tensor(COLOUR_WEIGHTS)
        log = log + torch.tensor([USUAL_ODDS * (c in USUAL.get(canonical(noun), ())) for c in COLOURS])
        if reasoned:
            gray = {"gray": reasoned.get("grey", 0.0)}
            said = torch.tensor([reasoned.get(c, 0.0) + gray.get(c, 0.0) for c in COLOURS])
            log = log + REASONER_WEIGHT * (said / said.sum().clamp(min=1e-6) + 0.02).log()
        return dict(zip(COLOURS, log.softmax(0).tolist(), strict=True))

    def features(self, evidence: Evidence, noun: str) -> Tensor:
        """(11, 3): of each colour the logarithm of its share of the thing's pixels (of its box, else of where such a
        thing is, else of the middle), the fit of a sentence that names it with the thing, its word's logit."""
        if noun == "background":
            pixels = around.rim(evidence.small)
        else:
            pixels = apart(within(evidence.small, self._where_is(evidence, canonical(noun))), evidence.small)
        measured = shares(pixels)
        fits = self.witness.fits(evidence, [f"a {colour} {noun}" for colour in COLOURS])
        words = torch.tensor([w if (w := self.witness.word(evidence, c)) is not None else -5.0 for c in COLOURS])
        return torch.stack([(measured + 0.03).log(), fits - fits.max(), words], -1)

    def _where_is(self, evidence: Evidence, noun: str) -> tuple[float, float, float, float]:
        """The part of the picture whose colour a thing's is."""
        if noun in ("sky", "ceiling"):
            return (0.0, 0.0, 1.0, 0.3)
        if noun in ("grass", "ground", "floor", "snow", "sand", "road", "carpet", "field"):
            return (0.0, 0.7, 1.0, 1.0)
        if noun in ("water", "sea", "ocean", "lake", "river", "pond", "pool", "wave"):
            return (0.0, 0.5, 1.0, 1.0)
        if noun in ("wall", "picture"):
            return (0.0, 0.0, 1.0, 1.0)
        boxes = self.things_of(evidence, noun)
        if not boxes:
            return (0.2, 0.2, 0.8, 0.8)
        x0, y0, x1, y1 = boxes[0].box
        top, bottom = WORN_AT.get(noun, (0.2, 0.55) if noun in CLOTHES else (0.0, 1.0))
        return (x0, y0 + top * (y1 - y0), x1, y0 + bottom * (y1 - y0))

    def is_of(self, colour: str, evidence: Evidence, noun: str, reasoned: Reasoned) -> float:
        """How likely a thing is of the colour that is asked for: it is measured and not guessed from a sentence."""
        p = self.colours(evidence, noun, reasoned)[colour]
        return p / (p + (1 - p) / ODDS_OF_A_COLOUR)
