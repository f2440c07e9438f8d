"""A question in plain words: chats' spellings in full, no question mark, no "please" and no "in the picture"."""

import re

from models.encoders.meanings import Meanings

_SPELT = {
    "what": "wat|wot|waht|whta|wht|wut",
    "what is": "whats|wats|what's|wots",
    "where is": "wheres|where's",
    "who is": "whos|who's",
    "how is": "hows|how's",
    "there is": "theres|there's",
    "is there": "is ther|is thier|is thre|isthere",
    "are there": "are ther|are thier|r there",
    "which": "wich|whcih",
    "how": "hw|hwo",
    "many": "mny|meny",
    "are": "r",
    "you": "u|ya",
    "please": "pls|plz|plese",
    "the": "teh|hte|da",
    "people": "ppl|poeple|peple|pepole",
    "picture": "pic|pics|picutre|pitcure|pictur",
    "colour": "colr|coler|collor|colur|clour|coulour|colos",
    "wearing": "wearin|waering|wering",
    "doing": "doin|dong|diong",
    "holding": "holdin|hodling",
    "animal": "aminal|anmial|animel",
    "beautiful": "beatiful",
    "bicycle": "bycicle|bicycel|bycycle",
    "woman": "womon|wman",
    "it is": "it's",
    "isn't": "isnt",
    "aren't": "arent",
}
_MEANINGS = Meanings(_SPELT)
_MISSPELT = re.compile(rf"(?<![\w'])(?:{_MEANINGS.pattern})(?![\w'])")
_BEFORE = re.compile(
    r"^(?:please|hey|hi|hello|so|and|but|um+|hm+|er+|ok|okay|well|now|then|also|tell me|show me|do you know|"
    r"do you think|would you say|i wonder|i'd like to know|can you (?:tell me|see)|could you tell me|can i ask)[, ]+"
    r"(?=\w+ \w|what$|who$|where$)"
)
_ASIDE = re.compile(
    r",? (?:please|or what|or not|right|do you think|in your opinion|for me|by any chance|or something|tho|lol)$"
)
_TAKEN = re.compile(
    r"^(?:was|were) (?:it|this|that|(?:the|this|that) (?:photo|picture|photograph|image|shot)) (?:taken|made|shot) "
)


def plain(question: str) -> str:
    """Lower case, in full words, without its question mark and what people say around a question, single spaces."""
    text = " ".join(re.sub(r"[?!.]+\s*$", "", question.strip().lower()).replace("’", "'").split()).strip(" ?.!,")
    text = _MISSPELT.sub(_MEANINGS.of, text)
    for _ in range(2):
        # An "and" before a bare thing goes on with what was asked before: see dialog.pictures.referring.
        text = _ASIDE.sub("", _BEFORE.sub("", text)).strip(" ?.!,")
    return _TAKEN.sub("is it ", text)
