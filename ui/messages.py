"""A message as the page shows it, and how emotions are shown: in words and symbols, with colour only beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from dialog.conversation import Caveat, Conversation, Prediction, Voice
from dialog.labels import COLOURS, SENTIMENT, SYMBOLS, VOICE_SOUNDS
from serve.client import AnswerNotes

UNKNOWN_SYMBOL, UNKNOWN_COLOUR = "•", "#8A8F98"
"""For labels of a model that is not one of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownMessage:
    """One message. With neither prediction nor error it is still being read. `correction` is a person's label."""

    n: int
    speaker: str
    text: str
    prediction: Prediction | None = None
    correction: str | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    reply: AnswerNotes | None = None
    """There where an assistant said it."""
    voice: Voice | None = None
    """How it sounds, where it was spoken."""

    @classmethod
    def of(cls, answered: Any) -> Self:
        """The page's message from the client's."""
        return cls(
            n=answered.n,
            speaker=answered.speaker,
            text=answered.text,
            prediction=answered.prediction,
            correction=answered.correction,
            error=answered.error or (None if answered.prediction else "not labelled"),
            warnings=tuple(warning.text for warning in answered.warnings),
            reply=getattr(answered, "reply", None),
        )

    @property
    def pending(self) -> bool:
        """Sent, not answered yet."""
        return self.prediction is None and self.error is None

    @property
    def emotion(self) -> str | None:
        """The label that counts: the person's, else the model's."""
        return self.correction or (self.prediction.emotion if self.prediction else None)


def messages_of(conversation: Conversation) -> tuple[ShownMessage, ...]:
    """The messages of a labelled log; one without a prediction carries the conversation's error."""
    error = conversation.error or "not labelled"
    return tuple(
        ShownMessage(
            n=n,
            speaker=u.speaker,
            text=u.text,
            prediction=u.prediction,
            error=None if u.prediction else error,
            voice=u.voice,
        )
        for n, u in enumerate(conversation.utterances)
    )


def counted_from_one(warning: str) -> str:
    """A warning in the words of the page, where messages count from 1."""
    return Caveat.of(warning).said_of("message", 1)


def symbol(label: str) -> str:
    """The sign beside a label."""
    return SYMBOLS.get(label, UNKNOWN_SYMBOL)


def colour(label: str) -> str:
    """The hex colour of a label."""
    return COLOURS.get(label, UNKNOWN_COLOUR)


def number(n: int, what: str) -> str:
    """`1 message`, `1,200 messages`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def percent(probability: float) -> str:
    """`93 %`; never `100 %` or `0 %`, which a model cannot know."""
    if probability >= 0.995:
        return "> 99 %"
    return "< 1 %" if probability < 0.005 else f"{probability:.0%}".replace("%", " %")


def sounding(voice: Voice | None) -> str:
    """How a voice sounds: `voice sounds angry, 81 %`; empty where none was heard."""
    if voice is None:
        return ""
    if voice.emotion is None:
        return "voice: not sure how it sounds"
    return f"voice sounds {VOICE_SOUNDS.get(voice.emotion, voice.emotion)}, {percent(voice.probability)}"


def mood(probabilities: Mapping[str, float]) -> float:
    """From -1, surely unhappy, to 1, surely happy: the probability of positive labels less that of negative ones."""
    signs = {"positive": 1.0, "negative": -1.0}
    return sum(signs.get(SENTIMENT.get(label, "neutral"), 0.0) * p for label, p in probabilities.items())
