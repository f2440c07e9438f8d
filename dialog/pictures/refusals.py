"""Which questions no picture answers, and what is no question at all: commands, code, greetings, other languages.

By patterns. What is let through is a question or a saying about a picture by its form; whether the picture answers it
is another matter.
"""

import re
from functools import lru_cache

from dialog.language import COMMON_ENGLISH, unfamiliar
from dialog.pictures.names import COCO, IMAGENET, singular

_NEVER = re.compile(
    r"^(?:why|when|whose|whom)\b|"
    r"^how (?!many\b|(?:are|is) (?:the|this|that|it|he|she|they|his|her|their)\b|does (?:the|this) \w+ look)|"
    r"^what (?:time|year|month|date|day|will|would|should|could|happened|happens|did|was|were|"
    r"is (?:the|his|her|its|their|your|my) (?:name|age|name of|price|phone|address|meaning|reason|story|brand|password|"
    r"nationality|religion|job|score|temperature))\b|"
    r"^(?:in )?(?:what|which) (?:make|model|brand|airline|company|country|city|town|language|"
    r"nationality|race|religion|team|"
    r"song|movie|film|book|street|software)\b|"
    r"^(?:will|would|should|could|did|was|were|had|may|might|shall)\b|"
    r"^who (?:took|made|won|will|owns|wrote|did|was|works|lives|wins|is (?:winning|losing|right|wrong|"
    r"the (?:best|winner)))\b|"
    r"^where .*\b(?:from|going|headed|heading|bound|live|lives|born|buy|bought|go)\b|"
    r"\b(?:tomorrow|yesterday|next (?:week|year|month|day)|last (?:week|year|month|night)|ago|in the future|later|"
    r"going to|gonna|will (?:he|she|it|they|the|happen))\b|"
    r"\b(?:thinking|feel(?:ing)? about|called|name of|named|mean|means)\b|'?s (?:names?|age)$|"
    r"\b(?:capital of|meaning of|president|does a \w+ (?:have|need|eat|cost|weigh))\b|^who (?:am i|are you)\b|"
    r"^(?:can|do|what do|how do|where do) (?!you |they |these |those |people )[a-z]+s "
    r"(?:eat|fly|live|like|bark|swim|talk|speak|need|weigh|cost|die|think|feel|dream|drink|sleep)\b|"
    r"\b(?:god|heaven|hell|universe|economy|government|politics|bitcoin|wifi|password|internet|prime number)\b|"
    r"\b(?:sqrt|plus|minus|times|divided by) [\da-z]+$|\d\s*[-+*/x^=]\s*\d|"
    r"^(?:is|are|does|do) .*\b(?:married|divorced|famous|rich|poor|expensive|cheap|worth|delicious|tasty|yummy|edible|"
    r"sweet|salty|spicy|poisonous|venomous|dangerous|friendly|friends|related|brothers?|sisters?|twins|siblings|single|"
    r"american|german|french|english|chinese|japanese|hungry|thirsty|lucky|loud|smart|clever|intelligent|legal|haunted|"
    r"hot|taste|smell|weigh|cost|bite|real|fake|true)$|\bcalories\b"
)
"""Of causes, times, names, what is felt, owned, wanted or to come, and of what is known and not seen."""
_MINE = re.compile(r"\bmy (?=(?:own )?[a-z]+\b)")
_YOU_SEE = re.compile(
    r"^(?:(?:can|could|do|would|did) (?:you|i|we)|you can|i can|what (?:can|do|would|could) (?:you|i|we)) "
    r"(?:please )?(?:see|spot|find|recogni[sz]e|identify|say|think|guess|make out|describe|name|count|notice|call)\b|"
    r"\b(?:do|would) you (?:see|think|say|call)\b|\b(?:am i|are we) looking at\b|\bcan you (?:tell|describe|see)\b"
)
_PERSONAL = re.compile(r"\b(?:i|i'm|im|me|myself|mine|we|us|our|you|your|yours|yourself|u)\b")
_TEXT = re.compile(
    r"^what (?:does|do) .+ (?:say|read)$|^what (?:does|do) (?:it|the \w+|this|that) say\b|\b(?:written|spelled)\b|"
    r"^what (?:is|are) (?:the|his|her|their|its) (?:jersey |shirt |bib )?(?:number|letter|word|text|"
    r"licen[cs]e plate)s? (?:on|of)\b|"
    r"^what (?:number|letter|word|text)s?\b|\bread the\b"
)
_CODE = re.compile(
    r"https?:|www\.|\w@\w+\.\w|[{}<>\\;=|`~^]|\w\(.*\)|--|//|^\s*/|\.(?:com|org|net|jpe?g|png|py|exe)\b|"
    r"\b(?:select|insert|drop|delete) (?:\*|table|into|from)\b|^(?:sudo|git|rm|cd|ls|curl|pip|npm|import|def|return)\b"
)
_QUESTION = re.compile(
    r"\b(?:what|which|who|where|how|why|when)\b|"
    r"^(?:(?:and|or|but) )?(?:is|are|isn't|aren't|does|do|doesn't|don't|has|have|can|am|any|got|are there|is there)\b"
)
_ASKS = re.compile(
    r"^(?:please )?(?:count|name|list|identify|guess|describe|caption|tell|show|find|spot|see|number of|colou?rs? of|"
    r"the (?:colou?r|number) of|anybody|anyone|somebody|someone)\b"
)
_COMMAND = re.compile(
    r"^(?:please )?(?:delete|remove|erase|open|close|send|make|draw|paint|zoom|turn|rotate|crop|"
    r"translate|write|ignore|print|"
    r"forget|pretend|act|answer|repeat|stop|start|save|edit|change|add|generate|create|buy|help|come|"
    r"let|speak|sing|play|"
    r"move|click|search|google|upload|download|share|post|set|put|give|say|call|go|run|kill|"
    r"tell (?:me )?an? |show me how)\b"
)
_TALK = re.compile(
    r"^(?:hi|hey|hello|yo|thanks|thank|thx|ok|okay|yes|no|yeah|nope|yep|sure|lol|haha\w*|wow|nice|"
    r"cool|good|great|bad|bye|"
    r"sorry|please|damn|shit|wtf|omg)\b|\b(?:fuck|stupid|idiot|sucks?|shut up|dumb|moron|asshole|bitch)\b"
)
_SAYING = re.compile(
    r"\b(?:is|are|has|have|in|on|at|with|near|behind|by|under|over|through|of|there|[a-z]{2,}ing|[a-z]{3,}(?<![su])s)\b"
)
"""What a saying has beside its thing."""
_BARE = re.compile(r"(?:is|are|am|do|does|has|have|can)(?: (?:it|this|that|he|she|they|there|the|an?))?|what")
_OTHER_TONGUES_TEXT = """\
ist sind das der die ein eine einen wo wer wie viele welche welcher hund katze und auf dem den mann frau nicht es gibt
le la les un une des est sont qui quoi quel quelle combien où chien chat homme femme c'est qu'est il y-a dans
sur couleur
el los las una hay qué que es está donde dónde cuantos cuántos perro gato hombre mujer color quién
il lo gli uno che cosa c'è sono quanti dove cane gatto uomo donna colore
o os as um uma há onde cachorro gato homem mulher quantos cor é
een het waar wat hond kat hoeveel zijn er kleur"""
_OTHER_TONGUES = frozenset(_OTHER_TONGUES_TEXT.split())
_BOTH_TEXT = "die den color chat no a on as is was wat la o il er um es"
_BOTH = frozenset(_BOTH_TEXT.split())
"""Words of other languages that English has too, or that are English misspelt."""
WORDS_OF_QUESTIONS = (
    "what who where which how is are does do can there it this that he she they the a an picture photo describe"
)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


def refused(question: str, text: str) -> str:
    """Why a question is not looked for in a picture: `foreign`, `nonsense`, `never` or `text`; empty where it is.
    `text` is the question as it is read, in lower case."""
    if unfamiliar([question]) or _foreign(question):
        return "foreign"
    if not understood(text) or _CODE.search(question.lower()) or _TALK.search(text):
        return "nonsense"
    if _YOU_SEE.search(text):
        return ""
    if _COMMAND.match(text):
        return "nonsense"
    own = _MINE.sub("the ", text)
    if _NEVER.search(own):
        return "never"
    if _PERSONAL.search(own):
        return "never" if _QUESTION.search(text) else "nonsense"
    return "text" if _TEXT.search(own) else ""


def asks(text: str) -> bool:
    """Whether a text has the form of a question, or of what is asked in other words: count the dogs."""
    return bool(_QUESTION.search(text) or _ASKS.match(text))


def says(text: str) -> bool:
    """Whether a text that asks nothing may be a saying about a picture: several words with a verb or a preposition."""
    return len(text.split()) >= 2 and bool(_SAYING.search(text)) and not re.match(r"^(?:of|in|on|is|are)\b", text)


def understood(text: str) -> bool:
    """Whether the text has the words of a question or of a sentence: something we know of, and letters."""
    words = re.findall(r"[a-z']+", text)
    if _BARE.fullmatch(text):
        return False
    if not words or (len(text) > 3 and sum(map(len, words)) < len(text) / 3):
        return False
    if len(words) > 3 and len(set(words)) * 2 < len(words):
        return False  # said over and over
    known = sum(w in _english() or singular(w) in _english() for w in words)
    return known >= 1 if len(words) <= 3 else known * 5 >= len(words)


def _foreign(question: str) -> bool:
    """Whether a short question is in one of the languages next door, by its commonest words and signs."""
    if "¿" in question or "¡" in question:
        return True
    words = [w.replace("’", "'") for w in _WORD.findall(question.lower())]
    theirs = sum(w in _OTHER_TONGUES for w in words)
    surely = sum(w in _OTHER_TONGUES and w not in _BOTH and w not in _english() for w in words)
    ours = sum(w in _english() and w not in _OTHER_TONGUES for w in words)
    return surely >= 1 and theirs * 2 >= len(words) and ours < theirs


@lru_cache(maxsize=1)
def _english() -> frozenset[str]:
    names = {w.lower() for name in (*IMAGENET, *COCO) for w in re.findall(r"[A-Za-z]+", name)}
    return frozenset(COMMON_ENGLISH | names | set(WORDS_OF_QUESTIONS.split()))
