"""What kind of message is to be answered, as far as its words and its emotion say, and which replies answer that kind.

Rules, in the order of how sure they are: courtesies by their words, a question by its mark, what is told by what it
feels. They say what may be answered; which reply it is, the towers say.
"""

import re
from collections.abc import Callable

from dialog.labels import UNSURE_BELOW

KINDS = (
    *("thanks", "sorry", "hello", "how", "bye", "help", "hurt", "asked"),
    *("good", "bad", "loss", "said", "future"),
)
"""Thanks, an apology, a greeting, a question how one is, a farewell, a request for help, an insult and a question; good
or bad news, a death or as grave a thing, other things told, and plans."""
ASKS = "asks"
"""Beside these kinds: a question that may be asked of whoever tells something, where it lies near enough."""
_GOOD, _BAD = frozenset({"joy"}), frozenset({"sadness", "anger", "fear", "disgust"})

_COURTESIES: tuple[tuple[str, int, str], ...] = (
    (
        "thanks",
        12,
        r"\b(?:thank you(?! for nothing)|thanks(?! for nothing)|thank u|thx|i (?:really |do |so )*appreciate (?:it|"
        r"that|this|you|your)|much "
        r"appreciated)\b",
    ),
    ("sorry", 14, r"^(?:oh,? |no,? |i'm |i am |so |really |very )*sorry\b(?! to hear)|\bapologi[sz]e\b"),
    (
        "hello",
        4,
        r"^(?:hi+|he+y+a?|hell?o+|yo|s?up|wassup|what'?s up|howdy|hiya|greetings|good (?:morning|afternoon|"
        r"evening|day))\b",
    ),
    ("how", 12, r"\bhow (?:are|r) (?:you|u)\b|\bhow(?:'s| is) it going\b|\bhow do you do\b|\bhow have you been\b"),
    (
        "bye",
        10,
        r"\b(?:good ?night|bye|goodbye|good-bye|see (?:you|ya)|cya|ttyl|(?:talk|speak) (?:to you )?(?:later|soon)|"
        r"take care)\b|\b(?:gotta|(?:got|have|need) to|must|should) (?:go|run|leave)(?: now)?\W*$",
    ),
    (
        "help",
        16,
        r"^(?:please,? )?help(?: me)?(?:,? please)?\W*$|\b(?:can|could|would|will) you (?:please )?(?:help|"
        r"do me a favou?r)\b|\bi need (?:your|some) help\b",
    ),
    (
        "hurt",
        14,
        r"\byou(?:'re| are)? (?:so |really |just |an? |such an? |very )*(?:useless|stupid|dumb|idiot|boring|annoying|"
        r"terrible|liar|rude|worthless|horrible|ugly|awful|pathetic|the worst)\b|\bi hate (?:you|this (?:bot|program|"
        r"thing))\b|\bshut up\b|\b(?:you|this|bot) sucks?\b|\b(?:screw|fuck|damn) (?:you|off|u)\b|\b(?:piss|bugger) "
        r"off\b|\bgo to hell\b|\bget lost\b|\b(?:thanks|thank you) for nothing\b|\byou(?:'re| are) not (?:very |so |"
        r"really )*(?:smart|clever|"
        r"helpful|nice|listening)\b|\byou (?:don't|do not|never) (?:understand|listen|help)\b|\b(?:worst|stupid|dumb|"
        r"useless|terrible) (?:bot|chat ?bot|program|robot|"
        r"machine)\b",
    ),
)
"""A kind, the most words such a message has, and what it says."""
_FOUND: tuple[tuple[str, int, Callable[[str], object]], ...] = tuple(
    (kind, most, re.compile(pattern).search) for kind, most, pattern in _COURTESIES
)
_QUESTION = re.compile(
    r"\?[\s\"')]*$|^(?:how|what|why|when|where|who|which)(?:'s)? (?:do|does|did|is|are|was|were|can|could|should|"
    r"would|will) (?:i|you|we|they|he|she|it|people|the|my|your|this|that)\b"
    r"|^(?:is|are|was|were|can|could|will|would|should|has|have|do|does|did) (?:i|you|we|they|he|she|there|anybody|"
    r"anyone)\b|^(?:is|was|will|does|did|has) (?:it|this|that|the|my|your)\b"
)
_OF_YOU = re.compile(r"\b(?:you|your|yours|yourself)\b")
_OPINION = re.compile(r"\b(?:do you think|would you do|would you say|what's your opinion)\b")
_ADVICE = re.compile(
    r"\b(?:should|shall|what if|why|ought|worth|how (?:do|can|could) (?:i|we|one|people)|is it (?:normal|ok|okay|bad|"
    r"wrong|right|possible|true))\b"
)
_LOSS = re.compile(
    r"(?<!phone )(?<!battery )(?<!laptop )(?<!computer )(?<!car )(?<!just )(?<!almost )(?<!nearly )\b(?:died|dies|is "
    r"dying|passed away|is dead)\b(?! (?:laughing|of laughter|down|out|inside))|\b(?:i|we) lost (?:my|our|"
    r"the) (?:\w+ "
    r")?(?:mother|mom|mum|father|dad|brother|sister|son|daughter|baby|child|wife|husband|partner|friend|grand\w+|"
    r"aunt|"
    r"uncle|dog|cat|pet)\b|\bmiscarriage\b|\bfuneral\b|\b(?:has|have|got|with|had) (?:\w+ )?(?:cancer|leuk(?:a)?emia|"
    r"a (?:brain )?tumou?r|dementia|alzheimer's)\b|\bterminally ill\b|\bstill ?born\b|\bput (?:\w+ )?(?:dog|cat|him|"
    r"her) (?:down|to sleep)\b|\bhad a (?:stroke|heart attack)\b"
)
_MOST_WORDS_PLANNED = 14
_PLANS = re.compile(
    r"\b(?:tomorrow|next (?:week|month|year|weekend)|going to|gonna|i'm going|i'll|i will|we'll|we will)\b"
)
_WORD = re.compile(r"[a-z']+")
_EMPTY = frozenset(
    re.findall(
        r"\S+",
        "a about all also am an and any anybody anyone anything are as at be been but by can could did do does doing "
        "done ever for from get getting go going got had happen happened has have having how i if in is it it's its "
        "just know like long make makes may me more much my no not of on or out over really say said so some "
        "something than that that's the their them then there these they thing things think this to too up was we "
        "well were what what's when where which who why will with would yes you your you're ",
    )
)
"""Words that say little by themselves."""


def kinds_of(text: str, emotion: str | None, probability: float | None = None) -> frozenset[str]:
    """The kinds of reply that answer a message which feels so, in Ekman's words; none where it asks for a fact, or
    about whoever is to answer, who knows none and has no life to tell of. Where the emotion is unsure, what answers any
    other thing told may answer it too.

    >>> kinds_of("I won!", "joy", 0.9), kinds_of("Do you like me?", None)
    (frozenset({'good'}), frozenset())
    """
    lowered = text.lower().replace("’", "'").strip()
    n = len(_WORD.findall(lowered))
    for kind, most, found in _FOUND:
        if n <= most and found(lowered):
            return frozenset({kind})
    if _QUESTION.search(lowered):
        opinion = _OPINION.search(lowered) or (_ADVICE.search(lowered) and not _OF_YOU.search(lowered))
        return frozenset({"asked"}) if opinion else frozenset()
    if emotion not in _GOOD and _LOSS.search(lowered):
        return frozenset({"loss"})
    kind = "good" if emotion in _GOOD else "bad" if emotion in _BAD else "said"
    found_kinds = {kind} if probability is None or probability >= UNSURE_BELOW else {kind, "said"}
    if n <= _MOST_WORDS_PLANNED and _PLANS.search(lowered) and (kind != "bad" or emotion == "fear"):
        found_kinds.add("future")
    return frozenset(found_kinds)


def asks_anew(question: str, said: str) -> bool:
    """Whether a question asks for something that has not just been told.

    >>> asks_anew("Have you got a headache?", "I have a headache."), asks_anew("Why are you nervous?", "I shake.")
    (False, True)
    """
    told = {_stem(w) for w in _words(said)}
    return any(_stem(w) not in told for w in _words(question))


def _words(text: str) -> list[str]:
    return [w for w in _WORD.findall(text.lower()) if w not in _EMPTY]


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s", "ly"):
        if len(word) > len(ending) + 2 and word.endswith(ending):
            return word.removesuffix(ending)
    return word
