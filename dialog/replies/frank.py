"""What a program says for itself, where a reply that people wrote would pass it off as one of them, or as able.

Rules by the words of a message: who asks what it is, or wants something done, or hits the keys at random, is told the
truth in one of a few fixed sentences.
"""

import re
from collections.abc import Collection

from dialog.correction.lexicon import Lexicon
from dialog.correction.pieces import pieces

NOTHING_TO_SAY = ("I don't know what to say to that.", "I don't know what to say to that either, I'm afraid.")
"""What is said where no reply is near."""
NO_COUNSELLOR = (
    "I'm a program, and cannot help with that. Please talk to somebody you trust, or call your emergency number."
)
"""What is said where a message may speak of self-harm."""
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
BRIEF = ("Go on, I'm listening.", "Tell me more, if you like.", "I'm still listening.")
"""Told no more than yes or no."""
HARMED = (
    "I'm so sorry. Nobody should be treated like that. Please talk to somebody you trust; in danger, call your "
    "emergency number.",
    "That is not your fault. Please tell somebody who can help.",
)
"""Told of blows or threats by somebody."""

_ITSELF = re.compile(
    r"\b(?:are|r) (?:you|u) (?:an? )?(?:really )?(?:an? )?(?:robot|bot|chat ?bot|human|person|ai|a\.i\.|machine|"
    r"program|computer|real|alive|conscious|sentient|there)\b"
    r"|\b(?:who|what) (?:are|r) (?:you|u)(?: really| exactly)?\W*$|\bwhat(?:'?s| is) your name\b|\bhow old are you\b"
    r"|\bwhere (?:do you live|are you from)\b|\bwho (?:made|built|created|trained) you\b"
    r"|\b(?:do|can) you (?:really )?(?:(?:have|feel|like|love|hate|miss|want|need|sleep|eat|dream|remember)\b)"
    r"|\bam i (?:talking|speaking|chatting|writing) (?:to|with) (?:an? )?(?:robot|bot|human|person|machine|ai)\b"
    r"|\btell me (?:something |more )?about (?:you|yourself)\b",
)
_TO_DO = re.compile(
    r"^(?:please |hey,? |ok(?:ay)?,? )*(?:(?:can|could|would|will) (?:you|u) (?:please )?)?"
    r"(?:tell me (?:a|another|some) (?:joke|story|jokes|stories|riddle)|sing\b|translate\b|summari[sz]e\b|calculate\b|"
    r"google\b|look up\b|search (?:for|the)\b|write (?:me )?(?:an?|some|the|my)\b|draw (?:me )?\b|"
    r"play (?:me |some |a )|order (?:me )?|book (?:me )?an?\b|set (?:an?|the) (?:alarm|timer|reminder)|remind me\b|"
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

_EDITS = 2
"""The feature of a candidate that says how many edits away it is, in halves."""

_BRIEFLY = re.compile(
    r"(?:yes|yeah|yep|yup|no|nope|nah|maybe|perhaps|ok(?:ay|ey)?|k+|sure|right|fine|true|hm+|mhm|mm+|uh ?huh|"
    r"lol|haha(?:ha)*|i see|i guess|i do(?:n't| not) know|idk|dunno|nothing(?: much)?|not much|not really|same|well|so)"
    r"[\s.!,…]*",
)


def own_words(text: str, lexicon: Lexicon) -> tuple[str, ...]:
    """The sentences that answer such a message, any of them; none where it is not for the program to speak of itself.

    >>> own_words("Are you a robot?", lexicon) == OF_ITSELF, own_words("I won!", lexicon)
    (True, ())
    """
    lowered = text.lower().replace("’", "'").strip()
    if _HARM.search(lowered):
        return HARMED
    if _ITSELF.search(lowered):
        return OF_ITSELF
    if _TO_DO.search(lowered):
        return NOT_ABLE
    if _BRIEFLY.fullmatch(lowered):
        return BRIEF
    return NOT_WORDS if _is_noise(text, lexicon) else ()


def unsaid(sentences: Collection[str], said: Collection[str]) -> str:
    """The first that was not said of late, or the last."""
    *_, last = sentences
    return next((s for s in sentences if s not in said), last)


def _is_noise(text: str, lexicon: Lexicon) -> bool:
    """Whether no word of it is one that people write. Names, laughter and numbers are no noise, nor is one letter."""
    parts = pieces(text)
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
