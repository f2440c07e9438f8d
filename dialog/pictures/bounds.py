"""What a claim about a photograph needs: the likelihood it cannot pass, by what must be there for it to be true.

A sentence fits a picture that shows half of it: `there is a dog on the boat` fits a boat. So a claim that something is
there, is worn, or is done by somebody is no likelier than the thing, the garment or a person is.
"""

import re
from collections.abc import Callable, Sequence

from dialog.pictures.names import canonical
from dialog.pictures.questions import Asked
from dialog.pictures.vocabulary import CLOTHES, ON_HEADS

RIVALS = {
    "man": "woman", "woman": "man", "boy": "girl", "girl": "boy", "bicycle": "motorcycle", "motorcycle": "bicycle",
    "bus": "train", "train": "bus", "helicopter": "airplane", "skateboard": "surfboard", "surfboard": "skateboard",
}  # fmt: skip
"""Who or what is taken for whom: the eyes see that a child is there sooner than whether it is a boy."""
EITHER = {"man": "person", "woman": "person", "boy": "child", "girl": "child"}
"""What is said where it may be either."""
NEARLY = 0.12
"""By how much one may be likelier than its rival and be no surer."""
_ANYBODY = re.compile(r"^(?:someone|somebody|anyone|anybody)\b")
_WORN = re.compile(r"\bwearing (?:an? |any |the |some )?(?:\w+ )?(\w+)$")
_GARMENTS = frozenset(map(canonical, (*CLOTHES, *ON_HEADS)))


def needed(asked: Asked) -> list[str]:
    """What must be in the picture for a claim to be true."""
    names = list[str]()
    first = canonical((asked.claim.split() or [""])[0])
    if asked.noun and (asked.claim.startswith("there is ") or first == asked.noun):
        names.append(canonical(asked.noun))
    if _ANYBODY.match(asked.claim):
        names.append("person")
    if (worn := _WORN.search(asked.claim)) is not None and canonical(worn[1]) in _GARMENTS:
        names.append(canonical(worn[1]))
    return names


def beside_its_rival(noun: str, p_present: Callable[[Sequence[str]], Sequence[float]]) -> float | None:
    """How likely a boy is a boy and no girl, by how likely each is there; None of what has no rival."""
    if noun not in RIVALS:
        return None
    own, other = p_present([noun, RIVALS[noun]])
    return own / max(1e-6, own + other)


def no_surer(name: str, scores: dict[str, float]) -> str:
    """The name, or the common one of it and its rival where that is nearly as likely."""
    rival = scores.get(RIVALS.get(name, ""), 0.0)
    return EITHER[name] if name in EITHER and scores[name] - rival < NEARLY else name
