"""Statements about a photograph, made from captions: true ones and false ones in pairs, for training only.

True is what was written about the picture, or what two of its captions say in short. False is what was written about
another picture that shares hardly a word with it, or a true one in which one word is exchanged for another of its kind
that none of the picture's captions uses. A caption that is silent is no proof, so a few of these may be true after all.
"""

import random
import re
import zlib
from collections.abc import Sequence

from dialog.corpora.derived.caption_questions import ANIMALS, COLOURS, PRONOUNS, Facts, Made, facts

_KINDS = """\
two three four five
man woman boy girl dog cat horse bird
men women boys girls dogs cats horses birds
running sitting sleeping swimming standing jumping climbing riding eating walking reading dancing
runs sits sleeps swims stands jumps climbs rides eats walks reads dances
beach snow grass street water field mountain kitchen room pool park forest sand road bed
ball bike car boat skateboard surfboard frisbee guitar book camera stick rope
shirt jacket coat dress hat helmet shorts sweater vest suit
outside inside
outdoors indoors"""
KINDS = (COLOURS, *(tuple(line.split()) for line in _KINDS.splitlines()))
"""Words of a kind: where one is true of a thing, another is hardly so."""
_KIND = {word: kind for kind in KINDS for word in kind}
_SMALL = "a an the in on of is are and with at to his her their its by from for two while"
_COMMON = frozenset(_SMALL.split())


def caption_statements(image: str, captions: Sequence[str], others: Sequence[Sequence[str]]) -> list[Made]:
    """A true statement and a false one in turn, of all captions of a picture; `others` are captions of any pictures."""
    rng = random.Random(zlib.crc32(image.encode()))
    own = set().union(*(words(c) for c in captions))
    made = list[Made]()
    for i, caption in enumerate(rng.sample(list(captions), len(captions))):
        false = exchanged(caption, captions, rng) if i % 2 else None
        false = false or _foreign(own, others, rng)
        if false:
            made += [Made(caption, "yes", "caption"), Made(false, "no", "caption")]
    for short in shorts(facts(captions)):
        false = exchanged(short, captions, rng)
        if false:
            made += [Made(short, "yes", "caption"), Made(false, "no", "caption")]
    return made


def shorts(found: Facts) -> list[str]:
    """What two captions agree on, said in a few words."""
    if len(found.subjects) != 1:
        return []
    (head,) = found.subjects
    said = [f"a {head} is {found.doing} ."] if found.doing else []
    if found.worn and head not in ANIMALS:
        said.append(f"the {head} is wearing a {found.worn} .")
    return [f"there is a {head} .", *said] if head in PRONOUNS else said


def exchanged(statement: str, captions: Sequence[str], rng: random.Random) -> str | None:
    """The statement with one word exchanged for another of its kind that no caption has; None where none can be."""
    said = set(re.findall(r"[a-z]+", " ".join(captions).lower()))
    tokens = statement.split()
    places = [i for i, token in enumerate(tokens) if token.lower() in _KIND]
    rng.shuffle(places)
    for i in places:
        rest = [w for w in _KIND[tokens[i].lower()] if w not in said]
        if rest:
            return " ".join([*tokens[:i], rng.choice(rest), *tokens[i + 1 :]])
    return None


def words(caption: str) -> set[str]:
    """The words of a caption that say something."""
    return set(re.findall(r"[a-z]+", caption.lower())) - _COMMON


def _foreign(own: set[str], others: Sequence[Sequence[str]], rng: random.Random) -> str | None:
    for _ in range(20):
        caption = rng.choice(others[rng.randrange(len(others))])
        if len(words(caption) & own) <= 1:
            return caption
    return None
