"""Questions made from what people wrote about a picture, by fixed rules; every one says by which.

After the COCO-QA manner. A fact is taken when at least two of a picture's captions say it and none says otherwise.
These are for training and for one diagnostic, never for a reported score: how they are asked is ours.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

PRONOUNS = {
    **dict.fromkeys(("man", "boy", "guy"), "he"),
    **dict.fromkeys(("woman", "girl", "lady"), "she"),
    **dict.fromkeys(("dog", "cat", "horse", "bird", "cow", "bike", "boat", "car"), "it"),
    **dict.fromkeys(("child", "person", "baby", "toddler", "kid", "player"), "this one"),
}
"""What a picture is about, and the pronoun it goes by."""
ANIMALS = frozenset({"dog", "cat", "horse", "bird", "cow"})
COLOURS = ("black", "white", "brown", "red", "blue", "green", "yellow", "orange", "pink", "purple", "tan", "gray")
_CLOTHES = "shirt jacket coat dress hat cap helmet shorts jeans sweater uniform vest suit hoodie skirt outfit"
CLOTHES = tuple(_CLOTHES.split())
NUMBERS = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6"}
_NOT_VERBS = (
    "during clothing building wearing wedding evening morning railing ceiling string spring king ring thing something "
    "nothing bathing boxing fishing swing wing looking holding using being having going"
)
_NOT_DOING = frozenset(_NOT_VERBS.split())
"""Words that end like it and name nothing done, or nothing told apart in a picture."""
_COLOUR = re.compile(rf"\b({'|'.join([*COLOURS, 'grey'])}) (\w+)")
_SUBJECT = re.compile(rf"^(?:a|an|the|one) (?:\w+ ){{0,3}}?({'|'.join(PRONOUNS)}) (?:is )?(\w+ing .+)$")
_GERUND = re.compile(r"\b(\w{2,}ing)\b")
_MANY = (*(f"{animal}s" for animal in sorted(ANIMALS)), "men", "women", "boys", "girls", "people", "children", "kids")
_COUNTED = re.compile(rf"\b({'|'.join(NUMBERS)}) (?:\w+ )?({'|'.join(_MANY)})\b")
_NOT_NOUNS = "and or with in on striped haired colored spotted old long short wet water snow"
_PEOPLE = "man men woman women boy boys girl girls guy guys lady child children kid kids baby person people male female"
_NO_THING = frozenset([*_NOT_NOUNS.split(), *_PEOPLE.split()])
"""What follows a colour and is not the thing that has it; and people, of whom no colour is asked."""
MOST_THINGS = 3
"""Of one picture that one chain goes through."""


class Made(NamedTuple):
    """A made question, its answer, and the rule it is made by."""

    question: str
    answer: str
    rule: str


class Facts(NamedTuple):
    """What at least two captions agree on."""

    subjects: dict[str, str]  # what it is about -> what it does, in the words of one caption
    colours: dict[str, str]  # a thing -> its one colour
    counts: dict[str, str]  # a plural -> the one number said, in digits as DAQUAR writes them
    doing: str | None  # the one thing done
    worn: str | None  # the one piece of clothing


def facts(captions: Sequence[str]) -> Facts:
    """The facts of one picture's captions."""
    # Everything is counted once a caption and in the order said: that of a set would differ from run to run.
    texts = [" ".join(re.sub(r"[^a-z\s]", " ", c.lower()).split()) for c in captions]
    named = Counter(head for t in texts for head in PRONOUNS if re.search(rf"\b{head}\b", t))
    subjects = dict[str, str]()
    for t in texts:
        found = _SUBJECT.match(t)
        if found and named[found[1]] >= 2 and len(found[2].split()) >= 2:
            subjects.setdefault(found[1], found[2])
    pairs = Counter[tuple[str, str]]()
    for t in texts:
        said_of = [("gray" if c == "grey" else c, n) for c, n in _COLOUR.findall(t) if n not in _NO_THING]
        pairs.update(dict.fromkeys(said_of, 1))
    of = dict[str, list[str]]()
    for colour, noun in pairs:
        of.setdefault(noun, []).append(colour)
    colours = {
        noun: some[0]
        for noun, some in of.items()
        if len(some) == 1 and pairs[some[0], noun] >= 2 and noun not in COLOURS
    }
    counted = Counter(pair for t in texts for pair in dict.fromkeys(_COUNTED.findall(t)))
    said = {n for t in texts for n in NUMBERS if re.search(rf"\b{n}\b", t)}
    counts = {noun: NUMBERS[number] for (number, noun), n in counted.items() if n >= 2 and said == {number}}
    done = Counter(g for t in texts for g in dict.fromkeys(_GERUND.findall(t)) if g not in _NOT_DOING)
    often = [g for g, n in done.items() if n >= 2]
    worn = [w for w in CLOTHES if sum(bool(re.search(rf"\b{w}\b", t)) for t in texts) >= 2]
    return Facts(subjects, colours, counts, often[0] if len(often) == 1 else None, worn[0] if len(worn) == 1 else None)


def questions(found: Facts) -> list[Made]:
    """Every question the facts allow, each by itself."""
    made = [Made(f"{_who(head)} is {does} ?", head, "rule-1") for head, does in found.subjects.items()]
    made += [Made(f"how many {noun} are there ?", number, "rule-2") for noun, number in found.counts.items()]
    made += [Made(f"what color is the {noun} ?", colour, "rule-3") for noun, colour in found.colours.items()]
    head = _only(found.subjects)
    if head and found.doing:
        made.append(Made(f"what is the {head} doing ?", found.doing, "doing"))
    if head and found.worn and head not in ANIMALS:
        made.append(Made(f"what is the {head} wearing ?", found.worn, "wearing"))
    return made


def chains(found: Facts) -> list[tuple[Made, ...]]:
    """Rounds that belong together (rule 5): a noun that was the answer before goes by its pronoun after it."""
    rounds = _tours(found)
    head = _only(found.subjects)
    if head is None:
        return rounds
    does, pronoun = found.subjects[head], PRONOUNS[head]
    first = Made(f"{_who(head)} is {does} ?", head, "rule-1")
    after = list[Made]()
    if head in found.colours:
        after.append(Made(f"what color is {pronoun} ?", found.colours[head], "rule-5"))
    if found.doing and found.doing not in does.split():
        after.append(Made(f"what is {pronoun} doing ?", found.doing, "rule-5"))
    if found.worn and head not in ANIMALS and found.worn not in does.split():
        after.append(Made(f"what is {pronoun} wearing ?", found.worn, "rule-5"))
        if found.worn in found.colours:
            after.append(Made("what color is it ?", found.colours[found.worn], "rule-5"))
    if after:
        rounds.append((first, *after))
    if found.worn and found.worn in found.colours and head not in ANIMALS:
        worn = Made(f"what is the {head} wearing ?", found.worn, "wearing")
        rounds.append((worn, Made("what color is it ?", found.colours[found.worn], "rule-5")))
    return rounds


def _tours(found: Facts) -> list[tuple[Made, ...]]:
    """From thing to thing, each gone by a pronoun once it is named, so that only what was said before tells which is
    meant; one chain beginning with each thing. Only of a picture whose things differ in colour."""
    things = list(found.colours)[:MOST_THINGS]
    if len({found.colours[thing] for thing in things}) < 2:
        return []
    rounds = list[tuple[Made, ...]]()
    for i in range(len(things)):
        chain = list[Made]()
        for thing in things[i:] + things[:i]:
            it, colour = "are they" if _plural(thing) else "is it", found.colours[thing]
            other = next(c for c in (found.colours[t] for t in reversed(things)) if c != colour)
            asked = "what else is in the picture ?" if chain else "what is in the picture ?"
            chain.append(Made(asked, thing, "rule-1"))
            # Its colour is asked openly, or tried: of two colours each is a yes for one thing and a no for another.
            if (len(chain) // 2 + i) % 2 == 0:
                chain.append(Made(f"what color {it} ?", colour, "rule-5"))
            else:
                tried = colour if (len(thing) + len(things)) % 2 else other
                chain.append(Made(f"{it} {tried} ?", "yes" if tried == colour else "no", "rule-5"))
        rounds.append(tuple(chain))
    return rounds


def _plural(thing: str) -> bool:
    return thing.endswith("s") and not thing.endswith("ss")


def _only(subjects: dict[str, str]) -> str | None:
    return next(iter(subjects)) if len(subjects) == 1 else None


def _who(head: str) -> str:
    return "what" if PRONOUNS[head] == "it" else "who"
