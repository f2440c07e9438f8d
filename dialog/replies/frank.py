"""What a program says for itself, where a reply that people wrote would pass it off as one of them, or as able.

Rules by the words of a message: who asks what it is, or wants something done, or hits the keys at random, is told the
truth in one of a few fixed sentences.
"""

import re
from collections.abc import Callable, Collection, Sequence

from dialog.correction.lexicon import Lexicon
from dialog.correction.pieces import Piece, pieces
from models.encoders.faces import has_face

NOTHING_TO_SAY = ("I don't know what to say to that.", "I don't know what to say to that either, I'm afraid.")
"""What is said where no reply is near."""
OF_ITSELF = (
    "I'm a program. I answer with things that people once wrote, and have no life or feelings of my own.",
    "I'm only a program, so there is nothing to tell about me. What about you?",
)
"""Asked who or what it is."""
NOT_ABLE = (
    "I can't do that: I only listen, and answer with things that people once wrote.",
    "That's beyond me, I'm afraid. I can only listen.",
)
"""Asked to do something, or to know it."""
NOT_WORDS = ("I didn't understand that. Could you say it in other words?", "I didn't understand that either, sorry.")
"""Told nothing that it knows a word of."""
LOVED = ("That's kind of you, but I'm only a program.", "Thank you. I'm a program, so I can't say the same.")
"""Told that it is loved, or good."""
NAMED = ("Nice to meet you! What would you like to talk about?", "Pleased to meet you. I have no name to tell you.")
"""Told a name."""
ODD = ("I may have said something odd: I answer with things that people once wrote.", "Never mind. What about you?")
"""Asked what it meant."""
LEFT_ALONE = ("All right. I'm here if you want to go on.", "All right.")
"""Told to stop."""
URGENT = ("I'm a program, and cannot call anybody. Please call your emergency number yourself, now.",)
"""Asked to call for help."""
IN_JOKE = ("Ha, you had me there.", "All right, I'll laugh then.")
"""Told that something was no more than a joke."""
NO_WORDS = ("I can't tell what that is about. Could you say a word or two?", "What is that about?")
"""Sent a link or a number alone."""
BRIEF = ("Go on, I'm listening.", "Tell me more, if you like.", "I'm still listening.")
"""Told no more than yes or no."""
HARMED = (
    "I'm so sorry. Nobody should be treated like that. Please talk to somebody you trust; in danger, call your "
    "emergency number.",
    "That is not your fault. Please tell somebody who can help.",
)
"""Told of blows or threats by somebody."""
SEEN = {
    "joy": ("You seem happy. What happened?", "That's a cheerful sight. What is it about?"),
    "sadness": ("You seem sad. Do you want to tell me about it?", "I'm sorry you're sad. What is it about?"),
    "anger": ("You seem upset. What happened?", "Something has made you angry. What was it?"),
    "disgust": ("That looks like something unpleasant. What was it?", "What was so unpleasant?"),
    "fear": ("You seem worried. What is it?", "What are you worried about?"),
    "surprise": ("You seem surprised. What happened?", "What is it that surprised you?"),
}
"""Sent emoji alone, by what they feel."""
AT_A_LOSS = (NOTHING_TO_SAY, NOT_ABLE, NOT_WORDS, NO_WORDS)
"""Those that say there is nothing to say."""

_ITSELF = re.compile(
    r"\b(?:are|r) (?:you|u) (?:an? )?(?:really )?(?:an? )?(?:robot|bot|chat ?bot|human|person|ai|a\.i\.|machine|"
    r"program|computer|real|alive|conscious|sentient|there)\b"
    r"|\b(?:who|what) (?:are|r) (?:you|u)(?: really| exactly)?\W*$|\bwhat(?:'?s| is) your name\b|\bhow old are you\b"
    r"|\bwhere (?:do you live|are you from)\b|\bwho (?:made|built|created|trained) you\b"
    r"|\b(?:do|can) you (?:really )?(?:(?:have|feel|like|love|hate|miss|want|need|sleep|eat|dream|remember)\b)"
    r"|\bam i (?:talking|speaking|chatting|writing) (?:to|with) (?:an? )?(?:robot|bot|human|person|machine|ai)\b"
    r"|^you (?:still )?there\b|\btell me (?:something |more )?about (?:you|yourself)\b",
)
_TO_DO = re.compile(
    r"^(?:please |hey,? |ok(?:ay)?,? )*(?:(?:can|could|would|will) (?:you|u) (?:please )?)?"
    r"(?:tell me (?:a|another|some) (?:joke|story|jokes|stories|riddle)|sing\b|translate\b|summari[sz]e\b|"
    r"calculate\b|"
    r"recommend\b|suggest\b|google\b|look up\b|search (?:for|the)\b|write (?:me )?(?:an?|some|the|my)\b|"
    r"draw (?:me )?\b|play (?:me |some |a )|order (?:me )?|book (?:me )?an?\b|set (?:an?|the) (?:alarm|timer|"
    r"reminder)|"
    r"remind me\b|"
    r"send (?:an?|the|my)\b|call (?:my|the|an?)\b|(?:help|assist) me (?:with|to|write|find)\b|explain\b)"
    r"|\bwhat can you do\b|\bwhat(?:'?s| is) the (?:weather|time|date|capital)\b"
    r"|\bhow (?:many|much|far|tall|old|long) (?:is|are|was|were|does|do) (?:the|an?)\b",
)
_HARM = re.compile(
    r"\b(?:he|she|they|my (?:husband|wife|boyfriend|girlfriend|partner|dad|father|mom|mum|mother|brother|stepdad|"
    r"step ?father|boss|teacher|uncle|ex))(?: just| always| often| sometimes| still| has| have)*"
    r" (?:hits?|beats?|slaps?|punch(?:es|ed)?|kicks?|chok(?:es|ed)|threatens?|threatened|abus(?:es|ed)|rap(?:es|ed)|"
    r"molest(?:s|ed)|beaten|slapped|kicked)(?: up)? me\b(?! (?:at|in|to|by|for|with|home|out)\b)",
)
_LOVE = re.compile(
    r"^(?:and |but |hey,? |oh,? )*i (?:really |just |do |so )*(?:love|adore|like|miss) (?:you|u)\b(?: (?:so|very) "
    r"much| a lot| too| bot)*\W*$|^(?:\W|wow|aww?|haha)*you(?:'re| are) (?:so |very |really |just )*(?:the best|"
    r"great|awesome|"
    r"amazing|kind|nice|sweet|wonderful|lovely|funny|a good (?:bot|listener|friend))\W*$|^good bot\W*$"
)
_NAME = re.compile(
    r"^(?:(?:hi|hello|hey),? )?(?:my name(?:'s| is)|i(?:'m| am) called|"
    r"call me) [a-z]+(?: [a-z]+)?\W*$"
)
_WHAT = re.compile(
    r"^(?:(?:sorry|wait),? )?(?:what|huh|pardon|what do you mean|i (?:don't|do not) (?:understand|"
    r"get it))\W*$"
)
_STOP = re.compile(r"^(?:please )?(?:stop|stop it|stop that|enough|leave me alone|go away)(?: please)?\W*$")
_CALL = re.compile(
    r"^(?:please |can you |could you )*call (?:911|112|999|the (?:police|cops|fire brigade|ambulance)|"
    r"an ambulance)\b|"
    r"\bi need an ambulance\b|\bi(?:'ve| have) been (?:stabbed|shot)\b"
)
_JOKING = re.compile(
    r"^(?:(?:i'm |i was |no,? |haha,? |lol,? )*(?:just |only )*(?:kidding|joking)|j/?k)\b(?: with you)?\W*(?:ha\w*|"
    r"lol)?\W*$"
)

_ONE_LETTER = re.compile(r"(\w)\1{5,}", re.IGNORECASE)

_EDITS = 2
"""The feature of a candidate that says how many edits away it is, in halves."""

_BRIEFLY = re.compile(
    r"(?:yes|yeah|yep|yup|no|nope|nah|maybe|perhaps|ok(?:ay|ey)?|k+|sure|right|fine|true|hm+|mhm|mm+|uh ?huh|"
    r"lol|haha(?:ha)*|i see|i guess|i do(?:n't| not) know|idk|dunno|guess what|nothing(?: much)?|not much|not really|"
    r"same|well|so)"
    r"[\s.!,…]*",
)
_BY_WORDS: tuple[tuple[Callable[[str], object], tuple[str, ...]], ...] = (
    (_HARM.search, HARMED),
    (_CALL.search, URGENT),
    (_ITSELF.search, OF_ITSELF),
    (_NAME.search, NAMED),
    (_WHAT.search, ODD),
    (_STOP.search, LEFT_ALONE),
    (_LOVE.search, LOVED),
    (_TO_DO.search, NOT_ABLE),
    (_JOKING.search, IN_JOKE),
    (_BRIEFLY.fullmatch, BRIEF),
)


def own_words(text: str, lexicon: Lexicon, felt: str | None = None) -> tuple[str, ...]:
    """The sentences that answer such a message, any of them; none where it is not for the program to speak of itself.
    What is felt, in Ekman's words, answers a message of emoji alone.

    >>> own_words("Are you a robot?", lexicon) == OF_ITSELF, own_words("I won!", lexicon)
    (True, ())
    """
    lowered = text.lower().replace("’", "'").strip()
    for found, sentences in _BY_WORDS:
        if found(lowered):
            return sentences
    if not any(c.isalnum() for c in text):
        return SEEN.get(felt or "", BRIEF) if has_face(text) else ()
    parts = pieces(text)
    if all(p.kind != "word" and not p.text.isalpha() for p in parts):
        return NO_WORDS
    return NOT_WORDS if _is_noise(parts, lexicon) else ()


def unsaid(sentences: Collection[str], said: Collection[str]) -> str:
    """The first that was not said of late, or the last."""
    *_, last = sentences
    return next((s for s in sentences if s not in said), last)


def _is_noise(parts: Sequence[Piece], lexicon: Lexicon) -> bool:
    """Whether no word is one that people write. Names, laughter and numbers are no noise, nor is one letter."""
    if len(parts) == 1 and _ONE_LETTER.fullmatch(parts[0].text):
        return True
    if any(p.kind == "protected" for p in parts):
        return False
    words = [p.text.lower().replace("’", "'") for p in parts if p.kind == "word" and len(p.text) > 2]
    return any(len(w) > 3 for w in words) and not any(_known(w, lexicon) for w in words)


def _known(word: str, lexicon: Lexicon) -> bool:
    """Whether people write the word, or with a slip or two a long one that they write."""
    slips = 0 if len(word) < 5 else 1 if len(word) < 7 else 2
    return word in lexicon or any(
        2 * c.features[_EDITS] <= slips and " " not in c.text for c in lexicon.candidates(word)
    )
