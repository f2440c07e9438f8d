"""What the service gives, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from .answers import Answer
from .conversation import Caveat, Conversation, Prediction, Voice

Mode = Literal["offline", "live"]
State = Literal["queued", "running", "done", "failed"]
Box = tuple[float, float, float, float]
T = TypeVar("T")


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


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerNotes:
    """What is known of an assistant's answer in a chat. `finish` says why it ended: it was said, it was as long as it
    may be, somebody stopped it, or it broke off; `felt` is the emotion it answers."""

    responder: str
    responder_version: str
    finish: Literal["stop", "length", "stopped", "broken"]
    sure: bool
    """False where it says that there is nothing to say."""
    felt: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message of a live chat. `n` counts from 0; `error` says why there is no prediction."""

    n: int
    speaker: str
    text: str
    time: str | None
    prediction: Prediction | None
    error: str | None
    correction: str | None
    warnings: tuple[Caveat, ...] = ()
    reply: AnswerNotes | None = None
    """There where an assistant said it."""

    @property
    def emotion(self) -> str | None:
        """The label to show: a person's where there is one, else the model's."""
        return self.correction or (self.prediction.emotion if self.prediction else None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chat:
    """A live chat. `messages` may be a part of its `total`."""

    id: str
    created: str
    model: str
    model_version: str
    labels: tuple[str, ...]
    total: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangedChat:
    """A chat after a change: its messages from the first changed one on, which were read again."""

    chat: str
    model_version: str
    total: int
    first: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatSummary:
    """A chat in a list. `touched` is when something was last said in it."""

    id: str
    created: str
    touched: str | None
    model: str
    model_version: str
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """A label, and how to show it."""

    name: str
    sentiment: str | None
    symbol: str | None
    colour: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A model the service can use, as its card tells it."""

    name: str
    task: str
    labels: tuple[str, ...]
    label_set: str | None
    summary: str
    scores: Mapping[str, Any]
    default: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchFailure:
    """One item of a log that could not be read or labelled. `line` is where it stands; 0: the whole log."""

    id: str
    line: int | None
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Callback:
    """What became of telling an address that a batch has ended. Times are UTC."""

    url: str
    state: Literal["waiting", "delivered", "failed"]
    tries: int
    tried: str | None
    status: int | None
    error: str | None
    due: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A log that the service labels in the background. Times are UTC; `fraction` is how much of it has been read."""

    id: str
    created: str
    state: State
    filename: str
    input_format: str
    column: tuple[str, ...] = ()
    """Columns that were named, as ROLE=NAME."""
    encoding: str | None = None
    to: str
    model: str
    model_version: str | None
    anonymise: bool
    bytes: int
    started: str | None
    finished: str | None
    fraction: float
    ahead: int
    """How many batches will be begun before this one."""
    conversations: int
    """Labelled so far."""
    failed: int
    utterances: int
    failures: tuple[BatchFailure, ...]
    """The first of them."""
    error: str | None
    """Why all of it failed."""
    callback: Callback | None = None
    output: str | None
    """Where the labelled log is, once it is done."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed")


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedSpeaker:
    """Somebody who speaks in a recording, counted from 0, for so many seconds in so many stretches."""

    n: int
    name: str
    seconds: float
    utterances: int
    voice: str
    """Where he can be heard alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedUtterance:
    """A stretch of one speaker, from `starts` to `ends` in seconds. Without words there is no prediction."""

    n: int
    time: str
    end: str
    starts: float
    ends: float
    speaker: str
    text: str
    confidence: float | None
    edited: bool
    """Whether a person has changed words or speaker."""
    prediction: Prediction | None
    voice: Voice | None = None
    """How the voice sounds, whatever the words; None where that was not heard."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """A recording that the service listens to in the background. Times are UTC; in a list nothing is told of what is
    said in it."""

    id: str
    created: str
    touched: str
    state: State
    filename: str
    bytes: int
    speakers_asked: int | None
    channels: Literal["found", "speakers", "mixed"]
    recogniser: str
    language: str | None
    model: str
    model_version: str | None
    started: str | None
    finished: str | None
    fraction: float
    ahead: int
    """How many recordings will be begun before this one."""
    seconds: float | None
    """How long it is; None before it was listened to."""
    error: str | None
    warnings: tuple[Caveat, ...] = ()
    speakers: tuple[RecordedSpeaker, ...] = ()
    total: int = 0
    utterances: tuple[RecordedUtterance, ...] = ()
    sound: str | None = None
    """Where it can be heard."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state in ("done", "failed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """The loudest sample of a recording in each of so many stretches of equal length, 0 to 1."""

    seconds: float
    peaks: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """A question and its answer. `n` counts from 0."""

    n: int
    question: str
    answer: Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class VisualDialog:
    """A picture, and what was asked about it so far. The size is in pixels, boxes are fractions x0, y0, x1, y1."""

    id: str
    created: str
    width: int
    height: int
    boxes: tuple[Box, ...]
    strangeness: float | None
    """Above 1 the picture is unlike any the model knows."""
    caption: str
    model_version: str
    rounds: tuple[Round, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class VisualDialogSummary:
    """A picture in a list. `touched` is when something was last asked, `total` how many questions were."""

    id: str
    created: str
    touched: str | None
    caption: str
    width: int
    height: int
    model_version: str
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class VisualAnswer:
    """An answer for which everything was sent at once."""

    question: str
    answer: Answer
    width: int
    height: int
    boxes: tuple[Box, ...]
    strangeness: float | None
    model_version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetModel:
    """The model that watches fleets. `limit` is what counts as a failure: channel, value, relative, above."""

    model: str
    model_version: str
    channels: tuple[str, ...]
    time_unit: str
    interval: float
    horizons: tuple[int, ...]
    cap: float
    limit: Mapping[str, Any] | None
    detector: str
    life_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedUnit:
    """A unit, and what to do about it. `outlook` has the forecast, the alarm and the remaining life, None before the
    first sample; `history` the alarms and lives at every sample, where it was asked for."""

    unit: str
    standing: str
    advice: str
    samples: int
    left_out: Mapping[str, int]
    outlook: Mapping[str, Any] | None
    history: Mapping[str, Any] | None = None
    begun_anew: bool = False
    model_version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedFleet:
    """Every unit of a fleet, the worst first."""

    model: str
    model_version: str
    channels: tuple[str, ...]
    time_unit: str
    units: tuple[WatchedUnit, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptUnit:
    """A unit in a list, as of its last samples."""

    unit: str
    created: str
    touched: str
    standing: str
    advice: str
    samples: int
    left: float | None
    model_version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """What a service that watches itself noticed: `why` is `limit` where one comes near, else `change`."""

    what: str
    since: str
    why: str
    left_minutes: float | None
    earliest_minutes: float | None
    latest_minutes: float | None
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthNow:
    """How the service is. `watch` is `learning`, `watching`, `silent`, or None where it does not watch itself; shares
    are of each limit."""

    status: str
    checks: Mapping[str, str]
    watch: str | None
    shares: Mapping[str, float | None]
    advice: tuple[Advice, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A reply in a conversation, whole. `messages` are what each message feels, `prediction` what the reply does; None
    where nobody looked."""

    text: str
    finish: Literal["stop", "length"]
    messages: tuple[Prediction | None, ...]
    prediction: Prediction | None
    sure: bool
    """False where it says that there is nothing to say."""
    picture: Answer | None
    """The answer about the picture, where it is one."""
    responder: str
    responder_version: str


def made(kind: type[T], value: Mapping[str, Any], **read: Any) -> T:
    """A thing of its JSON object; `read` are fields in another shape. What a newer service says beside them is left."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # every one of them is a dataclass
    return kind(**{name: found for name, found in value.items() if name in known} | read)
