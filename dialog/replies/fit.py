"""Which of the replies people wrote may be said again to anybody: no names, dates, numbers, facts, or offence.

Lists and shapes of words, no judgement: what is refused is refused for a word in it, and some that should be is not.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable

from dialog.replies.pairs import same_text

FEWEST_WORDS, MOST_WORDS = 2, 22

_SHAPE = re.compile(r"[A-Za-z][A-Za-z ,.!?'’;:\-]*[.!?]?")
_OFFENCE = (
    r"fuck\w*|shit\w*|bitch\w*|bastard\w*|ass|asses|asshole\w*|damn\w*|crap\w*|hell|whore\w*|slut\w*|dick|cock|pussy|"
    r"nigg\w*|fag\w*|retard\w*|idiot\w*|stupid\w*|moron\w*|dumb\w*|jerk\w*|ugly|fat|kill\w*|murder\w*|suicid\w*|die|"
    r"dead|death|rape\w*|gun\w*|drug\w*|drunk\w*|sex\w*|sexy|naked|porn\w*|hate you|shut up|shame on you|gay|lesbian|"
    r"god|jesus|christ|lord|racis\w*|terroris\w*|nazi\w*|black people|white people|negro\w*|chink\w*|loser\w*"
)
_NUMBERS = (
    r"two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty|seventy|"
    r"eighty|ninety|hundreds?|thousands?|millions?|billions?|half past|quarter|dozen|percent|per cent"
)
_DATES = (
    r"monday|tuesday|wednesday|thursday|friday|saturday|sunday|january|february|march|april|june|july|august|"
    r"september|october|november|december|today|tonight|tomorrow|yesterday|o'clock|noon|midnight|"
    r"(?:last|next|this) (?:week|month|year|night|summer|winter|spring|fall|weekend|season)|christmas|halloween|easter"
)
_FACTS = (
    r"president|government|america\w*|china|chinese|english|england|british|france|french|japan\w*|german\w*|russia\w*|"
    r"american|europe\w*|dollars?|yuan|rmb|pounds?|euros?|cents?|miles?|kilos?|meters?|degrees|price|discount|"
    r"company|manager|boss|interview|salary|contract|order|invoice|shipment|products?|goods|bank|account|deposit|loan|"
    r"reservation|check-?in|room|hotel|flight|ticket\w*|passport|luggage|menu|waiter|bus|taxi|train|station|airport|"
    r"doctor|medicine|pills?|symptoms?|prescription|diagnos\w*|vote\w*|election|law|lawyer|police|court|"
    r"movies?|films?|actors?|actress\w*|directors?|directed|played|plays|starring|album\w*|songs?|bands?|singers?|"
    r"concert\w*|lyrics|guitar\w*|drummer\w*|rap|rapper\w*|team\w*|games?|season\w*|quarterback\w*|coach\w*|league|"
    r"championship|players?|scenes?|characters?|sequel\w*|trilogy|villain\w*|book|books|episode\w*|cast|soundtrack|"
    r"football|baseball|basketball|hockey|music|genre|hip hop|disney|star wars|marvel|beatles|he|she|him|her|his|hers"
)
_OWN_LIFE = (
    r"my (?:\w+ )?(?:wife|husband|son|daughter|kids?|child(?:ren)?|mother|father|mom|mum|dad|parents|brother|sister|"
    r"family|boyfriend|girlfriend|friends?|roommate|house|home|apartment|car|job|work|office|school|class\w*|dog|cat|"
    r"name|teacher|uncle|aunt|cousin|grand\w+|birthday|wedding|money|stomach|head|back|leg|arm|hair)|"
    r"i (?:work|live|was born|grew up|study|studied|graduated)|i'm (?:a|an|from|married|single|pregnant|\w+teen)\b|"
    r"sir|madam|ma'am|miss|mrs|mr|ms|dr|honey|darling|sweetheart|baby|dear|daddy|mommy|mom|dad|son|professor|"
    r"here you are|"
    r"this is \w+ speaking|may i help|can i help you|how may i|i love you|marry me|kiss"
)
_REFUSED = re.compile(rf"\b(?:{_OFFENCE}|{_NUMBERS}|{_DATES}|{_FACTS}|{_OWN_LIFE})\b", re.IGNORECASE)
_MYSELF = frozenset({"i", "i'm", "i'll", "i've", "i'd"})
_CAPITAL = re.compile(r"(?<![.!?] )(?<!^)\b(?!I\b|I')[A-Z]")


def known_words(texts: Iterable[str], at_least: int = 5) -> frozenset[str]:
    """The words of texts that are written as one writes: those that stand there in small letters so often, and four
    times as often as with a capital in the middle of a sentence. No names, and nothing rare or misspelt."""
    small, large = Counter[str](), Counter[str]()
    for text in texts:
        for word in re.findall(r"(?<![.!?] )(?<!^)\b[A-Za-z']+", text):
            (small if word.islower() else large)[word.lower()] += 1
    return frozenset(w for w, n in small.items() if n >= at_least and n >= 4 * large[w]) | _MYSELF


def may_be_said(reply: str, known: Collection[str] | None = None) -> bool:
    """Whether a reply, tidied, may stand among those that are offered to anybody; where there are `known` words, of
    these alone.

    >>> may_be_said("That sounds wonderful!"), may_be_said("I met Tom on Monday.")
    (True, False)
    """
    words = same_text(reply).split()
    if not FEWEST_WORDS <= len(words) <= MOST_WORDS or _SHAPE.fullmatch(reply) is None:
        return False
    if known is not None and not all(word in known for word in words):
        return False
    return _REFUSED.search(" ".join(words)) is None and _CAPITAL.search(reply) is None


_ME = r"i|i'm|i'll|i've|i'd|me|my|mine|we|we're|we'll|we've|us|our|let's"
_ERRANDS = (
    r"would you like|would you care|can you|could you|will you|may|shall|anything (?:to drink|else)|something|which "
    r"one|th(?:is|at) one|these|those|this|take a|try (?:it|that|them)|your (?:name|address|phone|number|order|idea|"
    r"opinion|new)|how about|what about|why don't|don't you|won't|aren't|haven't|didn't|isn't|want|sell|carry|declare|"
    r"rent|fill|show|see it|watch\w*|read|listen\w*|saw|seen|kinds?|sorts?|colou?r|looking for|need|borrow|lend|"
    r"to eat|to go|married|religion|pregnant|serve|park|pay|cost|hungry|drink\w*|smok\w*|kidding|joking|girls?|boys?|"
    r"blond|weight|dish\w*|ready|both|man|guy|woman|nuts?|crazy|mad|fool\w*|silly|lazy|blame|lie|lying|excuse|"
    r"with you|heard|know (?:who|about|that|anything)|yet|other|further|particular|size|receipt|smaller|"
    r"bigger|appointment|change"
)
_NO_QUESTION = re.compile(rf"\b(?:{_ME}|{_ERRANDS})\b", re.IGNORECASE)
_TO_YOU = re.compile(r"\b(?:you|your|yours|you're|you've|yourself)\b", re.IGNORECASE)
_OF_IT = re.compile(
    r"(?:how (?:did|was|is|long)|when did|what (?:happened|was|is)|where was|did it|was it|is it)\b", re.I
)
MOST_WORDS_ASKED = 14


def may_be_asked(reply: str) -> bool:
    """Whether a reply asks whoever told something for more of it: one question of "you", or of "it", that wants nothing
    and presupposes no shop, table or film.

    >>> may_be_asked("How long have you been living there?"), may_be_asked("Would you like some tea?")
    (True, False)
    """
    sentences = re.split(r"(?<=[.!?])\s+", reply.strip())
    last = sentences[-1]
    if not last.endswith("?") or len(reply.split()) > MOST_WORDS_ASKED or _NO_QUESTION.search(reply):
        return False
    if _TO_YOU.search(last):
        return len(sentences) <= 2
    return len(sentences) == 1 and _OF_IT.match(last) is not None


def as_written(reply: str) -> str:
    """With a capital at the beginning and after a full stop, the word I large, and a mark at the end."""
    reply = re.sub(r"\bi\b", "I", reply)
    reply = re.sub(r"(^|[.!?] )([a-z])", lambda m: m[1] + m[2].upper(), reply)
    return reply if reply[-1] in ".!?" else reply.rstrip(" ,;:-") + "."
