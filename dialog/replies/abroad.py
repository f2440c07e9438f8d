"""Messages in other languages, which nobody here understands: they are told so, a greeting with a greeting."""

import re

from dialog.language import unfamiliar

GREETED = (
    "Hello! I only understand English, I'm afraid. Shall we go on in English?",
    "Hello again! English is the only language I understand.",
)
THANKED = ("You're welcome! I only understand English, though.", "You're welcome!")
LEFT = ("Goodbye! I only understand English, but that much I know.", "Goodbye!")
ONLY_ENGLISH = (
    "I only understand English, I'm afraid. Could you say it in English?",
    "I'm sorry, English is the only language I understand.",
)

_GREETINGS = (
    r"hola|[çc]a va|buenos d[ií]as|buenas (?:tardes|noches)|bonjour|bonsoir|salut|coucou|ciao|buon ?giorno|"
    r"buona ?sera|salve|"
    r"hallo|moin|servus|gr(?:ü|ue)(?:ß|ss) (?:dich|gott)|guten (?:tag|morgen|abend)|ol[áa]|bom dia|boa (?:tarde|"
    r"noite)|hej|hei|hejsan|god (?:dag|morgen|morgon|kveld)|goedemorgen|goedendag|hoi|cze[śs][ćc]|dzie[ńn] dobry|"
    r"ahoj|dobr[ýy] den|szia|merhaba|selam|salaam|(?:as-?)?sala+m[u ]?alai?kum|namaste|namaskar|shalom|sawubona|"
    r"jambo|"
    r"habari|привет|здравствуй(?:те)?|добрый (?:день|вечер)|доброе утро|привіт|здраво|γ(?:ε|ει)[άα] (?:σου|σας)|γεια|"
    r"καλημέρα|你好|您好|嗨|早上好|こんにちは|おはよう(?:ございます)?|こんばんは|안녕(?:하세요)?|مرحبا|السلام عليكم|"
    r"שלום|नमस्ते|สวัสดี|xin chào"
)
_THANKS = (
    r"gracias|muchas gracias|merci|merci beaucoup|danke|danke (?:schön|schoen|sehr)|vielen dank|grazie|grazie mille|"
    r"obrigad[oa]|dank (?:je|u)(?: wel)?|bedankt|tack s[åa] mycket|takk|kiitos|dzi[ęe]kuj[ęe]|d[ěe]kuji|"
    r"k[öo]sz[öo]n[öo]m|te[şs]ekk[üu]rler|спасибо|дякую|ευχαριστώ|谢谢|謝謝|ありがとう(?:ございます)?|감사합니다|"
    r"고마워|شكرا|תודה|धन्यवाद"
)
_GOODBYES = (
    r"adi[óo]s|hasta (?:luego|la vista|ma[ñn]ana)|au revoir|tsch(?:ü|ue)ss|auf wiedersehen|arrivederci|tchau|tot "
    r"ziens|hej d[åa]|farvel|n[äa]kemiin|do widzenia|na shledanou|пока|до свидания|再见|さようなら|안녕히 계세요|"
    r"sayonara"
)
_COURTESIES = tuple(
    (re.compile(rf"[\s¡¿]*(?:{words})(?!\w)(?P<rest>.*)", re.IGNORECASE | re.DOTALL), most, sentences)
    for words, most, sentences in ((_GREETINGS, 4, GREETED), (_THANKS, 2, THANKED), (_GOODBYES, 2, LEFT))
)
"""What such a message begins with, and how many words may follow."""
_FEW = 3
"""Words of a message so short that its language cannot be told by its letters, only by what words it has."""
_TELLING = frozenset(
    re.findall(
        r"\S+",
        "ich nicht bist wir sind habe hast heute sehr auch aber geht geht's gehts danke traurig müde genau warum "
        "schlecht dich je suis c'est j'ai t'aime n'ai très oui avec mais pourquoi quel quelle toi triste fatigué "
        "que qué está estoy estás tengo tienes muy gusta quiero gustaría pero porque cómo sí "
        "sono bene molto perché stai sto voglio você voce não nao muito estou tenho tudo ik niet gaat goed maar waarom "
        "jij jag är inte och jestem dobrze çok nasılsın evet değil",
    )
)
"""Of the commonest words of some languages those that nobody writes in English."""


def words_abroad(text: str) -> tuple[str, ...]:
    """The sentences that answer a message in another language, any of them; none for English, or what may be.

    >>> words_abroad("Hola!") == GREETED, words_abroad("Hi!")
    (True, ())
    """
    for opening, most, sentences in _COURTESIES:
        found = opening.fullmatch(text)
        if found and len(found["rest"].split()) <= most:
            return sentences
    words = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text.lower())
    brief = len(words) <= _FEW and any(word.replace("’", "'") in _TELLING for word in words)
    return ONLY_ENGLISH if brief or unfamiliar([text]) else ()
