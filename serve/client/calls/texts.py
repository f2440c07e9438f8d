"""Emotions in conversations, and slips in texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from ..conversation import Caveat, Conversation
from .kinds import Call, made

Mode = Literal["offline", "live"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EmotionsAnswer:
    """Labelled conversations, in the order they were sent."""

    conversations: tuple[Conversation, ...]
    model_version: str
    mode: Mode
    warnings: tuple[Caveat, ...]
    request_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """A part of a text, text[start:end], that was meant otherwise."""

    start: int
    end: int
    typed: str
    meant: str
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """A whole word a text may end with."""

    word: str
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """A text as it was typed and as it was meant."""

    text: str
    corrected: str
    edits: tuple[Edit, ...]
    completions: tuple[Completion, ...]


def emotions(
    conversations: Sequence[Conversation],
    *,
    causes: bool = True,
    label_set: str | None = None,
    mode: Mode = "offline",
    model: str | None = None,
) -> Call[EmotionsAnswer]:
    """The conversations with a prediction on every utterance; one that could not be labelled has an `error`."""
    options = {"causes": causes, "label_set": label_set, "mode": mode, "model": model}
    body = {"conversations": [c.to_dict() for c in conversations], "options": options}
    return Call(method="POST", path="/emotions", content=orjson.dumps(body), read=_emotions)


def mend(texts: Sequence[str], *, keep: Sequence[str] = (), completions: int = 0) -> Call[tuple[Correction, ...]]:
    """What was meant by texts as they were typed, but for words to `keep`; and so many ways each may end."""
    body = orjson.dumps({"texts": list(texts), "keep": list(keep), "completions": completions})
    return Call(method="POST", path="/corrections", content=body, read=_corrections)


def _emotions(value: Mapping[str, Any]) -> EmotionsAnswer:
    return EmotionsAnswer(
        conversations=tuple(Conversation.from_dict(c) for c in value["conversations"]),
        model_version=value["model_version"],
        mode=value["mode"],
        warnings=tuple(Caveat.of(w) for w in value["warnings"]),
        request_id=value["request_id"],
    )


def _corrections(value: Mapping[str, Any]) -> tuple[Correction, ...]:
    return tuple(
        made(
            Correction,
            c,
            edits=tuple(made(Edit, e) for e in c["edits"]),
            completions=tuple(made(Completion, w) for w in c["completions"]),
        )
        for c in value["corrections"]
    )
