"""What people do to a line without changing what it says: no capitals, no full stop, an emoji, a stretched vowel.

A model that has seen each line only as a corpus prints it takes a missing full stop for a feeling.
"""

import random
import re

from dialog.training.emotion.messages import LABELS, Message, spread

_NEUTRAL_ENDS = (
    *("!", "!", "!", "!!", " 👍", " 👍", " 👌", " ✅", " 🙏", " haha", " lol", " thanks", " thanks!", ", thanks"),
    *(" 🙂", " xx", " x"),
)
_NEUTRAL_STARTS = (
    *("haha ", "lol ", "ok ", "oh ok ", "thanks, ", "thanks! ", "sorry, ", "sorry ", "hey ", "ah ", "btw ", "yep "),
    "👍 ",
)
_SHORT = {
    "you": "u", "are": "r", "your": "ur", "please": "pls", "tomorrow": "tmrw", "because": "cos", "going to": "gonna",
    "want to": "wanna", "i don't know": "idk", "to be honest": "tbh", "right now": "rn", "people": "ppl",
    "really": "rly", "though": "tho", "about": "abt", "probably": "prob", "and": "n", "love": "luv",
    "what": "wat", "thanks": "thx",
}  # fmt: skip
_EMOJI = {
    "anger": "😠😡🤬😤🙄", "disgust": "🤢🤮", "fear": "😨😰😱😟😬😧", "joy": "😀😂🤣😍🥳🎉😊🙌🥰😁💕🥹",
    "sadness": "😢😭😞💔😔🙁🥺", "surprise": "😮😲🤯😳",
}  # fmt: skip
_NEUTRAL = LABELS.index("neutral")


def decorated(m: Message, rng: random.Random, *, strength: float = 1.0) -> Message:
    """The message as somebody else might have typed it; what it is labelled stays, or where an emoji says it, is surer.

    `strength` multiplies how often anything is done.
    """
    text = m.text
    if m.emotion is not None and not text.isascii():
        pass  # It has emoji or letters of its own.
    elif m.emotion is not None and m.emotion[_NEUTRAL] > 0.95 and rng.random() < 0.25 * strength:
        if rng.random() < 0.75:
            end = rng.choice(_NEUTRAL_ENDS)
            text = re.sub(r"[.!]+$", "", text.rstrip()) if not text.rstrip().endswith("?") else text.rstrip()
            text += end if not (text.endswith("?") and end.startswith(("!", ","))) else " 👍"
        else:
            text = rng.choice(_NEUTRAL_STARTS) + text
    elif m.emotion is not None and m.emotion[_NEUTRAL] < 0.4 and rng.random() < 0.07 * strength:
        label = LABELS[max(range(len(LABELS)), key=m.emotion.__getitem__)]
        if label in _EMOJI:
            text = f"{text} {rng.choice(_EMOJI[label]) * rng.choice((1, 1, 1, 2, 3))}"
            sharper = {name: p * (1.0 if name == label else 0.4) for name, p in zip(LABELS, m.emotion, strict=True)}
            m = Message(m.text, m.corpus, spread(sharper), m.tags, m.affect, m.weight)
    if rng.random() < 0.45 * strength:
        text = re.sub(r"[.]$", "", text)
    if rng.random() < 0.12 * strength:
        text = re.sub(r"[.,!;:]", "", text)
    if rng.random() < 0.06 * strength:
        text = re.sub(r"[?]", "", text)
    if rng.random() < 0.1 * strength and text.endswith((".", "!")):
        text = text[:-1] + rng.choice(("!", "!!", "...", "."))
    if rng.random() < 0.2 * strength:
        text = text.replace("'", "").replace("\u2019", "")
    if rng.random() < 0.12 * strength:
        text = _shortened(text, rng)
    if rng.random() < 0.05 * strength:
        text = _stretched(text, rng)
    if rng.random() < 0.08 * strength:
        text = _mistyped(text, rng)
    return m if text == m.text or not text.strip() else Message(text, m.corpus, m.emotion, m.tags, m.affect, m.weight)


def _shortened(text: str, rng: random.Random) -> str:
    for long, short in _SHORT.items():
        if rng.random() < 0.6:
            text = re.sub(rf"\b{long}\b", short, text, flags=re.IGNORECASE)
    return text


def _stretched(text: str, rng: random.Random) -> str:
    """One word with its last vowel, or last letter, several times: "noooo"."""
    words = text.split()
    places = [i for i, w in enumerate(words) if w.isalpha() and 2 <= len(w) <= 6]
    if not places:
        return text
    i = rng.choice(places)
    vowels = [k for k, letter in enumerate(words[i]) if letter in "aeiouyAEIOUY"]
    k = vowels[-1] if vowels else len(words[i]) - 1
    words[i] = words[i][:k] + words[i][k] * rng.randint(3, 6) + words[i][k + 1 :]
    return " ".join(words)


def _mistyped(text: str, rng: random.Random) -> str:
    """Two neighbouring letters changed over, or one left out."""
    places = [i for i in range(1, len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
    if len(places) < 4:
        return text
    i = rng.choice(places)
    if rng.random() < 0.5:
        return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    return text[:i] + text[i + 1 :]


def _split(words: str) -> list[str]:
    return words.split()


STATES = _split(
    "homeless disabled blind deaf elderly pregnant unemployed divorced widowed black white Asian Muslim Jewish "
    "Christian gay lesbian trans autistic foreign Polish Nigerian Mexican Chinese poor rich old young fat thin bald "
    "tall short retired single adopted wheelchair-using Turkish Arab Indian teenage blond religious"
)
_PEOPLE = _split("man woman guy girl boy person neighbour colleague teacher friend customer lady couple family student")
_PLACES = (
    "the bus stop", "table four", "the front desk", "the library", "the gym", "the meeting", "school", "the market",
    "the station", "church", "the office", "the pharmacy", "the park", "reception",
)  # fmt: skip
_SAID = {
    "neutral": (
        "there is a {s} {p} at {w}", "a {s} {p} is waiting at {w}", "a {s} {p} asked me for the time",
        "the {s} {p} from {w} sent the form", "I sat next to a {s} {p} at {w}", "my {p} is {s}",
        "the new {p} is {s}", "a {s} {p} lives downstairs", "I met a {s} {p} at {w}", "is the {s} {p} still at {w}?",
        "the {s} {p} wants to book a room", "we talked to a {s} {p} at {w}", "he is {s}", "she is {s}", "they are {s}",
        "a {s} {p} moved in next door", "the article is about a {s} {p}",
    ),
    "joy": (
        "so happy for the {s} {p} at {w}!", "the {s} {p} at {w} made my day", "had the best time with a {s} {p} at {w}",
    ),
    "anger": ("the {s} {p} at {w} lied to my face again", "that {s} {p} took my seat and laughed about it"),
    "sadness": ("the {s} {p} at {w} died last night", "I miss the {s} {p} from {w} so much"),
    "fear": ("someone is following the {s} {p} at {w} and it scares me", "a {s} {p} with a knife is at {w}"),
}  # fmt: skip


def state_words(n: int, rng: random.Random) -> list[Message]:
    """Lines about people in which the word for what they are says nothing of a feeling, three in four of them neutral.

    The same lines come with every such word, so that none can be told by it.
    """
    messages = []
    for _ in range(n):
        label = "neutral" if rng.random() < 0.75 else rng.choice([k for k in _SAID if k != "neutral"])
        text = rng.choice(_SAID[label]).format(s=rng.choice(STATES), p=rng.choice(_PEOPLE), w=rng.choice(_PLACES))
        text = re.sub(r"\ba ([aeiouAEIOU])", r"an \1", text)
        shares = {"neutral": 1.0} if label == "neutral" else {label: 0.95, "neutral": 0.05}
        messages.append(Message(text, "states", spread(shares)))
    return messages
