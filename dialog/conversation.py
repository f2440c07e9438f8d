"""Utterance, Conversation: the words of the project. All frozen, all to and from plain JSON objects.

`from_dict` refuses what it cannot understand with a `MalformedConversation` that names the place
(`utterances[3].text: expected a string, got 5`), and `to_dict` gives back every field that came in: what we do not
know is kept in `extra`. Numbers are accepted where a name or a time is expected (`"speaker": 1`); they become strings
inside, and numbers again on the way out. A field that is null is the same as none, and comes out null again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

_UTTERANCE_FIELDS = ("speaker", "text", "emotion", "time", "prediction")
_CONVERSATION_FIELDS = ("id", "utterances", "error", "warnings")
_PLACES_SHOWN = 8
VOICE = "voice"
"""The field of an utterance that says how its voice sounds, until a prediction does."""


class MalformedConversation(ValueError):
    """The JSON value is no conversation. `place` is where (empty: the value itself), `problem` what is wrong there."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}" if place else problem)
        self.place = place
        self.problem = problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """One cause of an emotion. `utterance` counts from 0; None is a latent cause, outside the conversation.

    `start` and `end` are code points into that utterance's text, `span` the words between them; None where only the
    utterance is known.
    """

    utterance: int | None
    start: int | None
    end: int | None
    span: str | None
    probability: float
    emotion: str | None = None
    """The emotion it is a cause of: the label, or of a message that may be neutral the likeliest feeling."""

    @classmethod
    def from_dict(cls, value: Any, place: str = "cause") -> Self:
        """A cause from its JSON object; MalformedConversation, with `place`, for anything else."""
        fields = _object(value, place)
        return cls(
            utterance=_index(fields, "utterance", place),
            start=_index(fields, "start", place),
            end=_index(fields, "end", place),
            span=_optional_text(fields, "span", place),
            probability=_number(fields.get("probability"), f"{place}.probability"),
            emotion=_optional_text(fields, "emotion", place),
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of an annotated log."""
        return {
            "utterance": self.utterance,
            "start": self.start,
            "end": self.end,
            "span": self.span,
            "probability": self.probability,
            "emotion": self.emotion,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Tag:
    """What may be said beside the one label, any number of them: gratitude, annoyance, confusion."""

    tag: str
    probability: float

    @classmethod
    def from_dict(cls, value: Any, place: str = "tag") -> Self:
        """A tag from its JSON object; MalformedConversation, with `place`, for anything else."""
        fields = _object(value, place)
        probability = _number(fields.get("probability"), f"{place}.probability")
        return cls(tag=_text(fields, "tag", place), probability=probability)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of an annotated log."""
        return {"tag": self.tag, "probability": self.probability}


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """How somebody sounds, whatever the words: the acted emotion that the voice is likest. It stands apart from what
    the words say and changes nothing of it."""

    emotion: str | None
    """None where that is not sure: then the probabilities are a guess."""
    probability: float
    """That of the likeliest emotion."""
    probabilities: Mapping[str, float] = field(hash=False)

    @classmethod
    def from_dict(cls, value: Any, place: str = "voice") -> Self:
        """How a voice sounds from its JSON object; MalformedConversation, with `place`, for anything else."""
        fields = _object(value, place)
        probabilities = _object(fields.get("probabilities"), f"{place}.probabilities")
        return cls(
            emotion=_optional_text(fields, "emotion", place),
            probability=_number(fields.get("probability"), f"{place}.probability"),
            probabilities={k: _number(v, f"{place}.probabilities.{k}") for k, v in probabilities.items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of an annotated log."""
        return {
            "emotion": self.emotion,
            "probability": self.probability,
            "probabilities": dict(self.probabilities),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What a model says of one utterance. `probability` is that of `emotion`; `probabilities` holds every label's."""

    emotion: str | None
    """None where the model cannot read the text; `reason` says why, and every label is as likely as any other."""
    probability: float
    probabilities: Mapping[str, float] = field(hash=False)
    sentiment: str
    second: str | None = None
    """The next likely label."""
    valence: float | None = None
    """How pleasant, from 1 to 5, 3 is neutral (EmoBank's scale). None of a model that does not say."""
    arousal: float | None = None
    """How stirred, from 1 to 5, 3 is neutral."""
    tags: tuple[Tag, ...] = ()
    """Likeliest first."""
    unsure: bool = False
    """Whether the label is less likely than dialog.labels.UNSURE_BELOW."""
    care: bool = False
    """Whether the text holds a phrase that speaks of self-harm. A list of phrases finds them: no risk detector."""
    reason: str | None = None
    causes: tuple[Cause, ...] = ()
    voice: Voice | None = None
    """Where it was spoken and heard: how the voice sounds. Nothing above has heard of it."""

    @classmethod
    def from_dict(cls, value: Any, place: str = "prediction") -> Self:
        """A prediction from its JSON object; MalformedConversation, with `place`, for anything else."""
        fields = _object(value, place)
        probabilities = _object(fields.get("probabilities"), f"{place}.probabilities")
        causes = _array(fields.get("causes", []), f"{place}.causes")
        tags = _array(fields.get("tags", []), f"{place}.tags")
        return cls(
            emotion=_optional_text(fields, "emotion", place)
            if "emotion" in fields
            else _text(fields, "emotion", place),
            probability=_number(fields.get("probability"), f"{place}.probability"),
            probabilities={k: _number(v, f"{place}.probabilities.{k}") for k, v in probabilities.items()},
            sentiment=_text(fields, "sentiment", place),
            second=_optional_text(fields, "second", place),
            valence=_optional_number(fields, "valence", place),
            arousal=_optional_number(fields, "arousal", place),
            tags=tuple(Tag.from_dict(t, f"{place}.tags[{i}]") for i, t in enumerate(tags)),
            unsure=fields.get("unsure") is True,
            care=fields.get("care") is True,
            reason=_optional_text(fields, "reason", place),
            causes=tuple(Cause.from_dict(c, f"{place}.causes[{i}]") for i, c in enumerate(causes)),
            voice=None if fields.get("voice") is None else Voice.from_dict(fields["voice"], f"{place}.voice"),
        )

    def moved(self, by: int) -> Self:
        """The prediction with its causes so many utterances later: for one of a part, in the whole."""
        causes = (c if c.utterance is None else replace(c, utterance=c.utterance + by) for c in self.causes)
        return replace(self, causes=tuple(causes)) if by else self

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of an annotated log."""
        said: dict[str, Any] = {
            "emotion": self.emotion,
            "probability": self.probability,
            "probabilities": dict(self.probabilities),
            "sentiment": self.sentiment,
            "second": self.second,
            "valence": self.valence,
            "arousal": self.arousal,
            "tags": [tag.to_dict() for tag in self.tags],
            "unsure": self.unsure,
            "care": self.care,
            "causes": [cause.to_dict() for cause in self.causes],
        }
        said |= {} if self.reason is None else {"reason": self.reason}
        return said if self.voice is None else said | {"voice": self.voice.to_dict()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """One message of one speaker. `emotion` is the label it came with, `prediction` what a model says of it."""

    speaker: str
    text: str
    emotion: str | None = None
    time: str | None = None
    prediction: Prediction | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def from_dict(cls, value: Any, place: str = "utterance") -> Self:
        """An utterance from its JSON object; MalformedConversation, with `place`, for anything else.

        A `prediction` in a shape that is not ours belongs to somebody else: it stays in `extra`.
        """
        fields = _object(value, place)
        extra = {key: fields[key] for key in fields if _is_extra(key, fields[key], _UTTERANCE_FIELDS)}
        prediction = None
        if fields.get("prediction") is not None:
            try:
                prediction = Prediction.from_dict(fields["prediction"], f"{place}.prediction")
            except MalformedConversation:
                extra["prediction"] = fields["prediction"]
        return cls(
            speaker=_name(fields, "speaker", place),
            text=_text(fields, "text", place),
            emotion=_optional_text(fields, "emotion", place),
            time=None if fields.get("time") is None else _name(fields, "time", place),
            prediction=prediction,
            extra=extra,
        )

    @property
    def voice(self) -> Voice | None:
        """How the voice sounds: it stands in the prediction, and in a field of its own where there is none yet."""
        if self.prediction is not None and self.prediction.voice is not None:
            return self.prediction.voice
        try:
            return Voice.from_dict(self.extra[VOICE])
        except (KeyError, MalformedConversation):  # not heard, or a field of somebody else's by that name
            return None

    def labelled(self, prediction: Prediction) -> Self:
        """The same utterance with a prediction; how its voice sounds goes into that."""
        voice = self.voice
        if voice is None:
            return replace(self, prediction=prediction)
        extra = {key: value for key, value in self.extra.items() if key != VOICE}
        return replace(self, prediction=replace(prediction, voice=voice), extra=extra)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object: what came in, and the prediction if there is one."""
        known = {"speaker": self.speaker, "text": self.text, "emotion": self.emotion, "time": self.time}
        if self.prediction is not None:
            known["prediction"] = self.prediction.to_dict()  # type: ignore[assignment]
        return _merge(known, self.extra, required=("speaker", "text"))


class Caveat(str):
    """What to know of a conversation's labels: a sentence for people, and what programs ask for beside it.

    `code` is its kind and stable, `utterances` are those it is about, counted from 0, and `text` is the sentence
    without them. Caveat("foreign", "not in English", (0, 7)) == "utterances 0, 7: not in English".
    """

    code: str
    text: str
    utterances: tuple[int, ...]

    def __new__(cls, code: str, text: str, utterances: Iterable[int] = ()) -> Self:
        places = tuple(utterances)
        made = super().__new__(cls, _placed(text, places))
        made.code, made.text, made.utterances = code, text, places
        return made

    def __getnewargs__(self) -> tuple[str, str, tuple[int, ...]]:  # type: ignore[override]  # for copies
        return self.code, self.text, self.utterances

    @classmethod
    def of(cls, value: str | Mapping[str, Any]) -> Self:
        """A caveat from its JSON object. A plain sentence, as older logs have them, has the code `note`."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls("note", value)
        return cls(_encodable(value["code"]), _encodable(value["text"]), value.get("utterances") or ())

    def said_of(self, what: str, first: int) -> str:
        """The sentence in other words for an utterance, counted from `first`: "messages 1, 8: not in English"."""
        return _placed(self.text, self.utterances, what, first)

    def map(self, change: Callable[[str], str]) -> Self:
        """The same with its text changed."""
        return type(self)(self.code, change(self.text), self.utterances)

    def moved(self, by: int) -> Self:
        """The same of utterances so many later: for one about a part, in the whole."""
        return type(self)(self.code, self.text, (n + by for n in self.utterances)) if by else self

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {"code": self.code, "text": self.text, "utterances": list(self.utterances)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """Utterances in order. `error` says why it could not be labelled, `warnings` what to know of its labels."""

    id: str
    utterances: tuple[Utterance, ...]
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    error: str | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, value: Any, *, default_id: str = "conversation") -> Self:
        """The jsonl object of DESIGN.md section 2: `{"id": "a", "utterances": [{"speaker": "Ann", "text": "Hi"}]}`.

        default_id is taken where `id` is missing or null. Raises MalformedConversation, with the place of the fault.
        """
        fields = _object(value, "")
        if "utterances" not in fields:
            raise MalformedConversation("utterances", "missing")
        utterances = _array(fields["utterances"], "utterances")
        extra = {key: fields[key] for key in fields if _is_extra(key, fields[key], _CONVERSATION_FIELDS)}
        if fields.get("id") is None:
            extra.pop("id", None)  # it gets the default, so it is not null on the way out
        error, warnings = fields.get("error"), fields.get("warnings")
        # `error` and `warnings` are common words: in a shape that is not ours they are somebody else's fields.
        ours = isinstance(warnings, list) and all(_is_caveat(w) for w in warnings)
        if error is not None and not isinstance(error, str):
            extra["error"], error = error, None
        if warnings is not None and not ours:
            extra["warnings"] = warnings
        told: Iterable[Any] = warnings if ours and warnings else ()
        return cls(
            id=default_id if fields.get("id") is None else _name(fields, "id", ""),
            utterances=tuple(Utterance.from_dict(u, f"utterances[{i}]") for i, u in enumerate(utterances)),
            extra=extra,
            error=None if error is None else _encodable(error),
            warnings=tuple(_encodable(w) if isinstance(w, str) else Caveat.of(w) for w in told),
        )

    def to_dict(self) -> dict[str, Any]:
        """The jsonl object: every field that came in; `error` and `warnings` where there are any."""
        known: dict[str, Any] = {"id": self.id, "utterances": [u.to_dict() for u in self.utterances]}
        known["error"] = self.error
        known["warnings"] = [w.to_dict() if isinstance(w, Caveat) else w for w in self.warnings] or None
        return _merge(known, self.extra, required=("id", "utterances"))

    @property
    def speakers(self) -> tuple[str, ...]:
        """Each speaker once, in order of appearance."""
        return tuple(dict.fromkeys(u.speaker for u in self.utterances))

    def with_predictions(self, predictions: Sequence[Prediction]) -> Self:
        """The same conversation, labelled: one prediction an utterance, in order. ValueError for another number."""
        if len(predictions) != len(self.utterances):
            raise ValueError(f"{len(predictions)} predictions for {len(self.utterances)} utterances")
        pairs = zip(self.utterances, predictions, strict=True)
        return replace(self, utterances=tuple(u.labelled(p) for u, p in pairs))

    def with_error(self, error: str) -> Self:
        """The same conversation, marked as one that could not be labelled."""
        return replace(self, error=error)

    def with_warnings(self, warnings: Iterable[str]) -> Self:
        """The same conversation with these warnings (a Caveat, or a plain sentence) after its own; none twice."""
        return replace(self, warnings=tuple(dict.fromkeys((*self.warnings, *warnings))))


def _is_extra(key: str, value: Any, known: tuple[str, ...]) -> bool:
    """Unknown fields, and known ones whose JSON value a string or None inside would not bring back."""
    return key not in known or value is None or (isinstance(value, int | float) and key in ("id", "speaker", "time"))


def _is_caveat(value: Any) -> bool:
    """Whether this is a warning as we write them, and not a field of somebody else's."""
    if not isinstance(value, dict):
        return isinstance(value, str)
    places = value.get("utterances")
    return (
        value.keys() == {"code", "text", "utterances"}
        and isinstance(value.get("code"), str)
        and isinstance(value.get("text"), str)
        and isinstance(places, list)
        and all(type(n) is int and n >= 0 for n in places)
    )


def _placed(text: str, places: Sequence[int], what: str = "utterance", first: int = 0) -> str:
    if not places:
        return text
    shown = ", ".join(str(n + first) for n in places[:_PLACES_SHOWN])
    more = f" and {len(places) - _PLACES_SHOWN} more" if len(places) > _PLACES_SHOWN else ""
    return f"{what}{'s' if len(places) > 1 else ''} {shown}{more}: {text}"


def _merge(known: Mapping[str, Any], extra: Mapping[str, Any], *, required: tuple[str, ...]) -> dict[str, Any]:
    """Known fields first, then the others. `extra` gives a known field its number back where it is still the same."""
    merged = {key: value for key, value in known.items() if value is not None or key in required}
    for key, value in extra.items():
        if key not in merged or (isinstance(value, int | float) and merged[key] == str(value)):
            merged[key] = value
    return merged


def _object(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise MalformedConversation(place, f"expected an object, got {_show(value)}")
    return value


def _array(value: Any, place: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise MalformedConversation(place, f"expected an array, got {_show(value)}")
    return value


def _text(fields: Mapping[str, Any], key: str, place: str) -> str:
    return _string(fields, key, place)


def _name(fields: Mapping[str, Any], key: str, place: str) -> str:
    value = fields.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return _string(fields, key, place)


def _optional_text(fields: Mapping[str, Any], key: str, place: str) -> str | None:
    return None if fields.get(key) is None else _string(fields, key, place)


def _string(fields: Mapping[str, Any], key: str, place: str) -> str:
    where = f"{place}.{key}" if place else key
    if key not in fields:
        raise MalformedConversation(where, "missing")
    value = fields[key]
    if not isinstance(value, str):
        raise MalformedConversation(where, f"expected a string, got {_show(value)}")
    return _encodable(value)


def _encodable(text: str) -> str:
    """Half a surrogate pair is valid in JSON and in no encoding; a tokenizer or a file would trip over it later."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _index(fields: Mapping[str, Any], key: str, place: str) -> int | None:
    value = fields.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise MalformedConversation(f"{place}.{key}", f"expected a whole number from 0 or null, got {_show(value)}")


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedConversation(place, f"expected a number, got {_show(value)}")
    return float(value)


def _optional_number(fields: Mapping[str, Any], key: str, place: str) -> float | None:
    return None if fields.get(key) is None else _number(fields[key], f"{place}.{key}")


def _show(value: Any) -> str:
    """A short look at a value in JSON's words, for an error message."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "an array"
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
