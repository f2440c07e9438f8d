"""The label sets, and how each label is shown: its sentiment, its symbol, its colour.

Colours are Okabe and Ito's palette (Color Universal Design, 2008), with a grey for neutral: within one label set no
two look alike to people who are colour-blind. A colour is still never the only sign: word and symbol stand beside it.
"""

from types import MappingProxyType
from typing import Literal

Sentiment = Literal["positive", "neutral", "negative"]

LABEL_SETS = MappingProxyType(
    {
        "ekman": ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"),
        "meld": ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"),
        "emorynlp": ("joyful", "mad", "neutral", "peaceful", "powerful", "sad", "scared"),
        "dailydialog": ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
        "iemocap": ("anger", "excitement", "frustration", "happiness", "neutral", "sadness"),
    }
)
"""The labels of each corpus, in alphabetical order, which is the order of every model's outputs."""

_SHOWN: dict[str, tuple[Sentiment, str, str]] = {
    "anger": ("negative", "😠", "#D55E00"),
    "disgust": ("negative", "🤢", "#009E73"),
    "excitement": ("positive", "🤩", "#F0E442"),
    "fear": ("negative", "😨", "#CC79A7"),
    "frustration": ("negative", "😤", "#CC79A7"),
    "happiness": ("positive", "😊", "#E69F00"),
    "joy": ("positive", "😊", "#E69F00"),
    "joyful": ("positive", "😊", "#E69F00"),
    "mad": ("negative", "😠", "#D55E00"),
    "neutral": ("neutral", "😐", "#8A8F98"),
    "peaceful": ("positive", "😌", "#56B4E9"),
    "powerful": ("positive", "💪", "#F0E442"),
    "sad": ("negative", "😢", "#0072B2"),
    "sadness": ("negative", "😢", "#0072B2"),
    "scared": ("negative", "😨", "#CC79A7"),
    # Good and bad surprises both exist, and the label does not say which.
    "surprise": ("neutral", "😮", "#F0E442"),
}

SENTIMENT = MappingProxyType({label: shown[0] for label, shown in _SHOWN.items()})
SYMBOLS = MappingProxyType({label: shown[1] for label, shown in _SHOWN.items()})
COLOURS = MappingProxyType({label: shown[2] for label, shown in _SHOWN.items()})

VOICE_SOUNDS = MappingProxyType(
    {
        "anger": "angry",
        "boredom": "bored",
        "disgust": "disgusted",
        "fear": "afraid",
        "joy": "happy",
        "neutral": "calm",
        "sadness": "sad",
    }
)
"""How a voice sounds, by the acted emotion that it is likest."""

TAGS = (
    *("admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire"),
    *("disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy"),
    *("love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise"),
)
"""What may be said beside the one label, any number of them: GoEmotions' 27 (Demszky et al. 2020), in its order."""

UNSURE_BELOW = 0.5
"""A label less likely than this is shown as a guess, everywhere."""
