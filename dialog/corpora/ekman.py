"""The corpora's own labels, and what they are in Ekman's (anger, disgust, fear, joy, neutral, sadness, surprise)."""

from collections.abc import Mapping

from dialog.labels import LABEL_SETS

_GOEMOTIONS: dict[str, tuple[str, ...]] = {
    # The mapping published with GoEmotions (Demszky et al. 2020, section 5 and the data set's ekman_mapping).
    "anger": ("anger", "annoyance", "disapproval"),
    "disgust": ("disgust",),
    "fear": ("fear", "nervousness"),
    "joy": (
        *("joy", "amusement", "approval", "excitement", "gratitude", "love", "optimism", "relief", "pride"),
        *("admiration", "desire", "caring"),
    ),
    "neutral": ("neutral",),
    "sadness": ("sadness", "disappointment", "embarrassment", "grief", "remorse"),
    "surprise": ("surprise", "realization", "confusion", "curiosity"),
}

_EMPATHETIC: dict[str, tuple[str, ...]] = {
    "anger": ("angry", "annoyed", "furious"),
    "disgust": ("disgusted",),
    "fear": ("afraid", "anxious", "apprehensive", "terrified"),
    "joy": ("caring", "content", "excited", "grateful", "hopeful", "impressed", "joyful", "proud"),
    "sadness": ("ashamed", "devastated", "disappointed", "embarrassed", "guilty", "lonely", "sad"),
    "surprise": ("surprised",),
}

TO_EKMAN: dict[str, Mapping[str, str]] = {
    "meld": {label: label for label in LABEL_SETS["meld"]},
    "ecf": {label: label for label in LABEL_SETS["meld"]},
    "dailydialog": {label: "joy" if label == "happiness" else label for label in LABEL_SETS["dailydialog"]},
    # Peaceful and powerful have no counterpart: those utterances count as not labelled.
    "emorynlp": {"joyful": "joy", "mad": "anger", "neutral": "neutral", "sad": "sadness", "scared": "fear"},
    # "Others" is what is none of the three; nearly all of it is neutral.
    "emocontext": {"angry": "anger", "happy": "joy", "sad": "sadness", "others": "neutral"},
    "goemotions": {fine: coarse for coarse, many in _GOEMOTIONS.items() for fine in many},
    # Ours, after GoEmotions' (embarrassment is sadness there, caring joy). Anticipating, confident, faithful, jealous,
    # nostalgic, prepared, sentimental and trusting have no counterpart.
    "empathetic_dialogues": {fine: coarse for coarse, many in _EMPATHETIC.items() for fine in many},
    "iemocap": {
        **{"anger": "anger", "excitement": "joy", "frustration": "anger"},
        **{"happiness": "joy", "neutral": "neutral", "sadness": "sadness"},
    },
}
"""By corpus: its labels in Ekman's. A label left out has no counterpart there."""

OWN_LABELS: dict[str, tuple[str, ...]] = {
    **{corpus: LABEL_SETS[corpus] for corpus in ("meld", "emorynlp", "dailydialog", "iemocap")},
    "ecf": LABEL_SETS["meld"],
    **{corpus: tuple(sorted(TO_EKMAN[corpus])) for corpus in ("emocontext", "goemotions", "empathetic_dialogues")},
}
"""By corpus: its own labels, in the order of a classifier's outputs."""


def in_ekman(emotion: str | None) -> str | None:
    """A label of a corpus of causes (RECCON takes DailyDialog's or IEMOCAP's, ECF MELD's) in Ekman's words."""
    known: Mapping[str, str] = {**TO_EKMAN["iemocap"], **TO_EKMAN["dailydialog"], **TO_EKMAN["meld"]}
    return known.get(emotion) if emotion else None
