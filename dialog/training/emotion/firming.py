"""A last short round for the small model, on what must not change a label: an exclamation mark, a word for a person.

Plain lines come with a mark behind them, lines about a man or a woman with a word for what that person is, and both
with the answer to the line as it was; our chats and some of everything keep the rest in place.
"""

import random
import re
from collections.abc import Sequence

import torch

from dialog.labels import TAGS
from dialog.training.emotion.decorations import STATES, state_words
from dialog.training.emotion.distil import Answers
from dialog.training.emotion.messages import LABELS, Message

_NEUTRAL = LABELS.index("neutral")
_PERSON = re.compile(
    r"\b(a|the|this|that|an old|another) (man|woman|guy|girl|boy|lady|kid|person|couple|neighbour|friend)\b"
)


def firm(
    messages: Sequence[Message], said: Answers, rng: random.Random, *, plain: int = 6000, others: int = 6000
) -> tuple[list[Message], Answers]:
    """The messages of the last round, and the answers they keep."""
    order = rng.sample(range(len(messages)), len(messages))
    calm = [i for i in order if said.emotion[i, _NEUTRAL] > 0.75 and not messages[i].text.rstrip().endswith("?")]
    rows = [(_marked(messages[i].text, rng), i) for i in calm[:plain]]
    rows += [(text, i) for i in order for text in _with_state(messages[i].text, rng)]
    rows += [(messages[i].text, i) for i in order[:others]]
    rows += [(m.text, i) for i, m in enumerate(messages) if m.corpus == "chats" for _ in range(2)]
    drawn = [Message(text, messages[i].corpus, messages[i].emotion, weight=messages[i].weight) for text, i in rows]
    answers = [t[[i for _, i in rows]] for t in said]
    made = state_words(1500, rng)
    felt = torch.tensor([m.emotion for m in made])
    extra = (felt, torch.full((len(made), len(TAGS)), 0.01), torch.zeros(len(made), 2))
    return drawn + made, Answers(*(torch.cat([a, e]) for a, e in zip(answers, extra, strict=True)))


def _marked(text: str, rng: random.Random) -> str:
    return re.sub(r"[.!\s]+$", "", text) + rng.choice(("!", "!", "!", "!!", "!!!"))


def _with_state(text: str, rng: random.Random) -> list[str]:
    found = _PERSON.search(text)
    if found is None:
        return []
    state = rng.choice(STATES)
    article = "a" if found[1] in ("a", "an old") else found[1]
    told = f"{text[: found.start()]}{article} {state} {found[2]}{text[found.end() :]}"
    return [re.sub(r"\ba ([aeiouAEIOU])", r"an \1", told)]
