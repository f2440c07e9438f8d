"""A conversation as a model that writes reads it: who spoke twice in a row said it at once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from dialog.conversation import Utterance
from dialog.replies.pairs import tidy
from models.responder.pieces import Pieces


class Turn(NamedTuple):
    """What somebody said until somebody else spoke, and what it feels, if that is known."""

    text: str
    emotion: str | None


def felt(utterance: Utterance) -> str | None:
    """What was predicted of it, else its label."""
    return utterance.prediction.emotion if utterance.prediction else utterance.emotion


def turns_of(utterances: Sequence[Utterance], emotion_of: Callable[[Utterance], str | None] = felt) -> list[Turn]:
    """The turns, of which the last thing said gives the emotion; what has no text is passed over."""
    turns: list[Turn] = []
    speaker: str | None = None
    for u in utterances:
        text = tidy(u.text)
        if not text:
            continue
        if turns and u.speaker == speaker:
            turns[-1] = Turn(f"{turns[-1].text} {text}", emotion_of(u) or turns[-1].emotion)
        else:
            turns.append(Turn(text, emotion_of(u)))
        speaker = u.speaker
    return turns


def as_tokens(turns: Sequence[Turn], pieces: Pieces) -> list[int]:
    """The whole conversation."""
    texts = pieces.ids([t.text for t in turns])
    ids = [pieces.dialogue]
    for turn, said in zip(turns, texts, strict=True):
        ids += [pieces.mark(turn.emotion), *said, pieces.end]
    return ids
