"""What a question about a picture asks for: yes or no, a choice, a name, a colour, a number, a place, something done.

By its first words and a few patterns; what fits none of them is open and left to the reasoner. Questions that no
picture answers (why, when, what will be), and what is no question at all, are told apart here too.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from dialog.pictures.around import THERE
from dialog.pictures.names import canonical, coco_names, imagenet_names, singular
from dialog.pictures.refusals import asks, refused, says
from dialog.pictures.vocabulary import ANIMALS, CLOTHES, NOUNS, PEOPLE
from dialog.pictures.wording import plain

NO_QUESTION = "that is no question about the picture that I understand"
FOREIGN_QUESTION = "the question is not in English, the language the model understands"
NOT_IN_PICTURES = "that is nothing a picture shows"

NOT_READ = "I cannot read what is written in a picture"

Kind = str
"""presence, claim, either, describe, name, colour, count, where, doing, wearing, open, or one of the four refusals."""

_SHOWN = (
    r"(?:the |this |that |your |my )?(?:picture|photo|photograph|image|pic|scene|frame|shot|background|foreground|"
    r"back|distance)"
)
_IN_PICTURE = re.compile(
    rf"\s*\b(?:in|on|of|within|inside|from) {_SHOWN}\b|\s+\b(?:here|around|anywhere|visible|present)\b$"
)
_DESCRIBE = re.compile(
    r"^(?:please |can you |could you )*(?:describe|caption|summari[sz]e|tell me (?:what|about)|explain)\b(?!.*\bwhy\b)|"
    r"^what (?:do you see|can you see|can be seen|is (?:there|shown|happening|going on|depicted|pictured|visible|seen)|"
    r"are we looking at|am i looking at|does (?:it|this|the \w+) (?:show|depict))\b|"
    r"^what(?: is|'s|s) (?:this|the|that) (?:picture|photo|photograph|image) (?:of|about|showing)\b|"
    r"^what(?: is|'s) it (?:a )?(?:picture|photo) of\b|^what(?:'s| is) (?:in|on) " + _SHOWN + r"\s*$|"
    r"^what (?:things|objects) (?:are|do you see|can you see)\b"
)
_AUX = re.compile(r"^(?:is|are|isn't|aren't|does|do|has|have|can|am|(?:got )?any)\b")
_ACTING = re.compile(r"^((?:\w+ )?\w+) ([a-z]{2,}ing\b.*)$")
"""Somebody and what they do."""
_THING = re.compile(r"^(?:(?:an?|the|some|any|other|more) )*([a-z]+)$")
_THERE = re.compile(
    r"^(?:is|are|isn't|aren't) there (?:only |really |also )?(?:(?:an?|any|some|one|the|no|at least one|more than one|"
    r"(?:\w+ )?pictures? of) )?(.+)$|^(?:do|can|could) you see (?:(?:an?|any|some|the) )?(.+)$|"
    r"^does (?:this|the|that|it) ?(?:picture|photo|photograph|image)? ?(?:have|contain|show|include|depict) "
    r"(?:(?:an?|any|some|the) )?(.+)$|^(?:any|got an?|got any) (\w+(?: \w+)?)$|"
    r"^can (?:an?|any|the) (.+) be seen$|^(?:is|are) (?:an? |any |some )(\w+(?: \w+)?)$"
)
_IS_A = re.compile(r"^(?:is|are|was) (?:it|this|that|these|those|they|he|she|the (?:animal|thing|object|person|"
                   r"picture)) "
                   r"(?:really |actually )?(?:an? (?:picture |photo )?(?:of )?(?:an? )?)?(.+)$")  # fmt: skip
_PLURAL = re.compile(r"^(?:men|women|children|people|(?!indoors|outdoors)[a-z]+[^su\s]s)$")
_EITHER = re.compile(r"\b(?:an? |the )?([a-z][a-z ]*?),? or (?:is (?:it|this|he|she) )?(?:an? |the )?([a-z][a-z ]*)$")
_COLOUR = re.compile(r"^(?:what|which)(?:'s| is| are)? (?:the )?colou?rs?(?: is| are| of| does| do)?\s*(.*)$|"
                     r"^what (?:is|are) (.+?)'s? colou?r$|^(?:of )?what colou?r (.*)$")  # fmt: skip
_COUNT = re.compile(r"^how many (?:different )?(.+?)(?: (?:are|is|do|does|can|have|has|were|in|on|sit|stand|"
                    r"you)\b.*)?$|"
                    r"^(?:what is )?the number of (.+?)(?: (?:in|on) .*)?$|^count (?:the |all )*(.+)$")  # fmt: skip
_WHERE = re.compile(r"^where\b|^what (?:kind of |type of )?(?:place|location|setting|scenery|environment)\b|"
                    r"^(?:in|on) (?:what|which) (?:place|room)\b")  # fmt: skip
_DOING = re.compile(
    r"\b(?:what|which)\b.*\b(?:doing|up to|activity|action)\b|^what (?:does|do) .+ do$|^what is happening"
)
_WEARING = re.compile(
    r"\bwhat\b.*\b(?:wear|wearing|dressed in|have on|got on)\b|^what clothes\b|^what is (?:on|covering) .*\bhead$"
)
_STATEMENT = re.compile(r"^there (?:is|are) |^(?:an? |the |two |three |four |some |people |men |women |children "
                        r"|it is |this is |"
                        r"someone |nobody |he is |she is |they are )"
                        r"(?=.*\b(?:is|are|has|have|\w+s|\w+ing)\b)")  # fmt: skip
_WHO = re.compile(r"^who(?:'s| is| are)?\b")
_NAME = re.compile(
    r"^(?:what|which) (?:kind of |type of |sort of |breed of )?(animals?|room|sport|game|furniture|vehicles?|"
    r"food|fruit|"
    r"bird|dog|instrument|objects?|things?|clothes|building|plant|weather|season|person|people|place)\b|"
    r"^what(?:'s| is) (?:the )?(weather|season)(?: like)?\s*$|^how is the (weather)\s*$|"
    r"^what(?:'s| is| are|s)? (?:it|this|that|these|those|they|he|she|there)\s*$"
)
_FINER = re.compile(r"^(?:what|which) (?:kind|type|sort|breed|make|species) of (?:an? )?([a-z]+)\b|"
                    r"^what breed\b")  # fmt: skip
_UPON = re.compile(r"^what (?:is|are) .+ (?:sitting|lying|laying|standing|sleeping|resting) (on|in)$|"
                   r"^what (?:is|are) (?:it|he|she|they|the \w+) (on|in)$")  # fmt: skip
_ON_A_PLACE = re.compile(rf"^what(?:'s| is| are) (?:on|in) the ({'|'.join(THERE)})$")
_BEHIND = re.compile(
    r"^what(?:'s| is| are) (?:(?:there )?in the (?:background|distance)|behind (?:him|her|it|them|the \w+))$"
)
_OTHERS = re.compile(
    r"^(?:is|are|isn't|aren't|does|do) .*?\b(?:(?:any|some|no) ?(?:one|body) else|another (\w+)|"
    r"(?:any |some )?other (\w+)|alone|by (?:him|her|it)self)\b"
)
_WHO_IS_THERE = re.compile(
    r"^what is (?:sitting|lying|standing|swimming|running|jumping|flying|sleeping|walking|playing)\b|"
    r"^what (?:is|are) (?:on|in) the (?:water|grass|bed|sea|snow)$"
)
_NOT_FINER = ("place", "location", "setting", "weather", "room", "sport", "game", "food", "clothes", "thing", "object",
              "person", "scenery", "environment", "season", "animal", "music", "building")  # fmt: skip
_OBJECT = re.compile(r"^what (?:is|are) .+ (playing|riding|holding|eating|drinking|using|throwing|catching|"
                     r"carrying|driving|climbing|chasing|pulling|pushing|kicking|reading|jumping over)\b(?: with| on)?"
                     r"|^what is in (?:his|her|its|their|the \w+'s) (?:hands?|(mouth))$"
                     r"|^what (?:does|do) .+ have in (?:his|her|its|their) (?:hands?|(mouth))$")  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question read: its kind, what it is about, the choices it names, and as a claim what it would mean if true."""

    kind: Kind
    text: str
    """Plain: lower case, no question mark, no "in the picture"."""
    noun: str = ""
    options: tuple[str, ...] = ()
    claim: str = ""
    negated: bool = False


def read(question: str) -> Asked:
    """The question read. It never fails: what is not understood is `open`."""
    text = plain(question)
    why = refused(question, text)
    if why in ("foreign", "nonsense"):
        return Asked(kind=why, text=text)
    if _BEHIND.match(text):
        return Asked(kind="there", text=text, noun="background")
    if _DESCRIBE.search(text):
        return Asked(kind="describe", text=text)
    if why:
        return Asked(kind=why, text=text)
    short = " ".join(_IN_PICTURE.sub("", text).split())
    if _AUX.match(short):
        return _closed(short)
    if found := _COUNT.match(short):
        return Asked(kind="count", text=short, noun=_noun(_first(found)))
    if found := _COLOUR.match(short):
        return Asked(kind="colour", text=short, noun=_noun(_first(found)))
    if _STATEMENT.match(short) and not question.rstrip().endswith("?"):
        return Asked(kind="claim", text=short, claim=short)
    if _WEARING.search(short):
        return Asked(kind="wearing", text=short, noun=_subject(short))
    if found := _UPON.match(short):
        return Asked(kind="upon", text=short, noun=_first(found))
    if found := _ON_A_PLACE.match(short):
        return Asked(kind="there", text=short, noun=found[1])
    if _WHO_IS_THERE.match(short):
        return Asked(kind="name", text=short)
    if (found := _FINER.match(short)) and _first(found) not in _NOT_FINER:
        return Asked(kind="finer", text=short, noun=_noun(_first(found) or "dog"))
    if found := _OBJECT.match(short):
        return Asked(kind="object", text=short, noun=_first(found) or "holding")
    if _DOING.search(short):
        return Asked(kind="doing", text=short, noun=_subject(short))
    if _WHERE.search(short):
        return Asked(kind="where", text=short)
    if _EITHER.search(short) and re.match(r"^(?:which|what|who)\b", short):
        return _either(short) or Asked(kind="open", text=short)
    if _WHO.match(short):
        return Asked(kind="name", text=short, noun="person")
    if found := _NAME.match(short):
        return Asked(kind="name", text=short, noun=singular(_first(found)) if _first(found) else "")
    return _unasked(short)


def _unasked(text: str) -> Asked:
    """What has no form of a question that is known: a thing alone is asked for, a saying may be true or not."""
    if found := _THING.match(text):
        noun = canonical(found[1])
        if noun in things():
            return Asked(kind="presence", text=text, noun=noun, claim=f"there is a {noun}")
    return Asked(kind="open" if asks(text) or says(text) else "nonsense", text=text)


@lru_cache(maxsize=1)
def things() -> frozenset[str]:
    """What is known by one word, by its canonical name."""
    names = {n for some in imagenet_names() for n in some if " " not in n}
    every = (*NOUNS, *ANIMALS, *PEOPLE, *CLOTHES, *coco_names(), *names)
    return frozenset({canonical(n) for n in every} - {"picture"})


def _subject(text: str) -> str:
    """Of whom it is asked what is done or worn."""
    found = re.search(
        r"\b(?:is|are|does|do) (?:the |a |this |that |these |those )?(.+?) (?:doing|do|up|wear|wearing|have|dressed)\b",
        text,
    )
    return _noun(found[1]) if found else ""


def _closed(text: str) -> Asked:
    """A question for yes or no, or for one of two things."""
    negated = bool(re.match(r"^(?:isn't|aren't)\b", text))
    if (either := _either(text)) is not None:
        return either
    if found := _OTHERS.match(text):
        return Asked(kind="others", text=text, noun=canonical(_first(found) or "person"), claim=text, negated=negated)
    if re.match(r"^(?:is|are) (?:any|some)(?:body|one|people) (?:in|on|at|there|around)\b", text):
        return Asked(kind="presence", text=text, noun="person", claim="there is a person")
    if found := _THERE.match(text):
        noun = _first(found)
        if (acting := _ACTING.match(noun)) is not None:
            said = f"{acting[1]} {'are' if canonical(acting[1]) != acting[1] else 'is'} {acting[2]}"
            return Asked(kind="claim", text=text, noun=_noun(acting[1]), claim=said, negated=negated)
        if " " not in noun.strip() or len(noun.split()) <= 2:
            return Asked(kind="presence", text=text, noun=_noun(noun), claim=f"there is a {noun}", negated=negated)
        return Asked(kind="claim", text=text, noun=_noun(noun), claim=f"there is {noun}", negated=negated)
    if found := _IS_A.match(text):
        noun = _first(found)
        named = re.match(r"^(?:is|are) \w+ (?:\w+ )?(?:an?|the) ", text) or _PLURAL.match(noun)
        if named and len(noun.split()) <= 2:
            return Asked(kind="presence", text=text, noun=_noun(noun), claim=f"this is a {noun}", negated=negated)
    return Asked(kind="claim", text=text, claim=claim(text), negated=negated)


def claim(text: str) -> str:
    """A question for yes or no as the sentence it asks about: `is the man smiling` -> `the man is smiling`."""
    words = text.split()
    if len(words) < 3:
        return text
    aux, rest = words[0].replace("n't", ""), words[1:]
    n = 1 if rest[0] in ("it", "he", "she", "they", "this", "that", "these", "those", "anyone", "someone") else 2
    if (
        rest[0] in ("this", "that", "these", "those")
        and len(rest) > 2
        and rest[1] not in ("a", "an", "the", "in", "at", "on")
    ):
        n = 2
    elif rest[0] not in ("the", "a", "an", "his", "her", "their", "any") and n == 2:
        n = 1
    subject, predicate = rest[:n], rest[n:]
    if aux in ("do", "does", "can", "am"):
        return " ".join([*subject, *predicate])
    return " ".join([*subject, aux, *predicate])


_BEFORE_CHOICE = re.compile(
    r"^(?:is|are|does|do|which|what|who) .*?\b(?:is |are )?"
    r"(?:it |this |that |he |she |they |there |the \w+ |someone |animal |one )(?:an? |the )?"
)


def _either(text: str) -> Asked | None:
    found = _EITHER.search(text)
    if found is None:
        return None
    left = text[: found.end(1)] if _AUX.match(text) else found[1]
    left = _BEFORE_CHOICE.sub("", left)
    left = re.sub(r"^(?:an? |the |more |a picture of |in |at |on )+", "", left.strip())
    right = re.sub(r"^(?:an? |the |more |in |at |on )+", "", found[2].strip())
    left = " ".join(left.split()[-2:])
    return Asked(kind="either", text=text, options=(left, right)) if left and right else None


def _first(found: "re.Match[str]") -> str:
    return next((g for g in found.groups() if g), "").strip()


_DROPPED_TEXT = (
    "the a an any some of is are in on at his her its their this that it he she they them there your my more than one "
    "what does do wearing doing other else left right standing sitting lying shown visible seen big small large little "
    "red blue green black white yellow brown young old"
)
_DROPPED = frozenset(_DROPPED_TEXT.split())


def _noun(phrase: str) -> str:
    """The last noun before what follows it: `man's shirt on the left` -> `shirt`."""
    head = re.split(
        r"\b(?:in|on|at|of|with|that|which|who|wearing|holding|near|next|behind|under|is|are|does|do|made)\b",
        phrase.strip(),
    )[0]
    words = [w for w in re.findall(r"[a-z']+", head or phrase) if w not in _DROPPED]
    words = [re.sub(r"'s?$", "", w) for w in words]
    return canonical(" ".join(words[-1:])) if words else ""
