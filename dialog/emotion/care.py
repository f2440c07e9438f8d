"""Messages that speak of self-harm: a short list of phrases, so that a report can say where to look first.

This is no risk detector. It finds some plain phrases and misses all that is said in other words; what it finds may be
a figure of speech or a line of a song. It says that a person should read the message, and nothing else.
"""

import re

_PHRASES = (
    r"(kill|hurt|harm|cut|hang|shoot|drown)(ing)? myself",
    r"(end|ending|take|taking) my (own )?life",
    r"end(ing)? it all",
    r"commit(ting|ted)? suicide|suicidal|thinking (of|about) suicide|thoughts of suicide",
    r"self[- ]?harm(ing|ed)?",
    r"(want|wanted|wanna|going|gonna|ready) (to )?die\b(?! (of|from|laughing|for|in))",
    r"(do not|don'?t|dont|didn'?t|never) (want|wanna) to (live|be alive|wake up|be here anymore|exist)( any ?more)?",
    r"(do not|don'?t|dont) wanna (live|be alive|wake up|exist)",
    r"no (reason|point) (to|in) (live|living|going on|being alive)",
    r"(better off|easier) (without me|if i (was|were|am) (dead|gone))",
    r"(can'?t|cannot|cant) (go on|do this) any ?more and (i )?(want|wish)",
    r"wish(ed)? i (was|were|had) (dead|never (been )?born|never woken up)",
    r"kms\b",
    r"(took|taken|taking|swallowed) (all (of )?)?(my|the) (pills|tablets) (to|so)",
    r"(i )?(have|wrote|am writing|'?m writing) (a|my) suicide note",
    r"nobody would (even )?(care|notice|miss me) if i (was|were) (dead|gone)",
)
_CARE = re.compile(r"\b(" + "|".join(_PHRASES) + ")", re.IGNORECASE)


def speaks_of_self_harm(text: str) -> bool:
    """Whether one of the phrases stands in the text."""
    return _CARE.search(text.replace("\u2019", "'")) is not None
