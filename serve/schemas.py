"""What crosses the wire. Requests are checked strictly against these; answers are described by them.

Unknown fields of a conversation and of an utterance are welcome and come back; anywhere else they are refused, since
they are most likely a misspelt option.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Mode = Literal["offline", "live"]
Name = Annotated[str | int | float, Field(description="A string; a number is taken as its digits")]
InputFormat = Literal[
    "auto", "jsonl", "csv", "plain", "whatsapp", "parquet", "slack", "discord", "telegram", "srt", "vtt"
]
OutputFormat = Literal["jsonl", "csv", "html", "parquet", "label-studio"]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class _Open(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Closed(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


# What comes in


class UtteranceIn(_Open):
    """One message of one speaker."""

    speaker: Name
    text: str
    emotion: str | None = Field(default=None, description="A label it came with; kept, not used")
    time: Name | None = None


class ConversationIn(_Open):
    """Utterances in order. Further fields survive."""

    id: Name | None = None
    utterances: list[UtteranceIn]


class EmotionOptions(_Closed):
    """How to label."""

    causes: bool = Field(default=True, description="Whether to look for each emotion's causes")
    label_set: Label | None = Field(default=None, description="One of GET /v1/labels; by default that of the model")
    mode: Mode = Field(default="offline", description="offline: a log, read as a whole; live: only backwards")
    model: Label | None = Field(default=None, description="One of GET /v1/models")


class EmotionsRequest(_Closed):
    """Conversations to label."""

    conversations: list[ConversationIn]
    options: EmotionOptions = Field(default_factory=EmotionOptions)


class NewChat(_Closed):
    """A chat to begin."""

    label_set: Label | None = None
    model: Label | None = None


class NewMessage(_Closed):
    """One message in a chat."""

    speaker: Name
    text: str
    time: Name | None = None


class NewCorrection(_Closed):
    """The label a person thinks right."""

    emotion: Label


class BatchOptions(BaseModel):
    """How to label a log."""

    model_config = ConfigDict(extra="forbid")

    filename: str | None = Field(default=None, max_length=400, description="What the log is called; its ending helps")
    input_format: InputFormat = Field(default="auto", description="auto: told from the content")
    to: OutputFormat = Field(default="jsonl", description="The format of the output")
    model: Label | None = Field(default=None, description="One of GET /v1/models")
    label_set: Label | None = Field(default=None, description="One of GET /v1/labels; by default that of the model")
    anonymise: bool = Field(default=False, description="Names, numbers and addresses do not come out")


# What goes out


class CauseOut(BaseModel):
    """An earlier message that caused an emotion, or a latent cause (`utterance` null)."""

    utterance: int | None = Field(description="Counted from 0; null for a cause outside the conversation")
    start: int | None = Field(description="Code points into that utterance's text")
    end: int | None
    span: str | None
    probability: float


class PredictionOut(BaseModel):
    """What the model says of one utterance."""

    emotion: str
    probability: float = Field(description="The calibrated marginal of `emotion`")
    probabilities: dict[str, float]
    sentiment: str
    causes: list[CauseOut]


class UtteranceOut(BaseModel):
    """The utterance as it came, and its prediction."""

    model_config = ConfigDict(extra="allow")

    speaker: str | int | float
    text: str
    prediction: PredictionOut | None = None


class ConversationOut(BaseModel):
    """The conversation as it came, labelled; or as it came, with an `error`."""

    model_config = ConfigDict(extra="allow")

    id: str | int | float
    utterances: list[UtteranceOut]
    error: Any = Field(default=None, description="Why this conversation has no labels; the others have theirs")
    warnings: Any = Field(default=None, description="What to know of the labels")


class EmotionsReply(BaseModel):
    """The conversations in the order they came."""

    conversations: list[ConversationOut]
    model_version: str
    mode: Mode
    warnings: list[str]
    request_id: str


class MessageOut(BaseModel):
    """A message of a chat. `n` counts from 0."""

    n: int
    speaker: str
    text: str
    time: str | None
    prediction: PredictionOut | None
    error: str | None = Field(default=None, description="Why the message has no label")
    correction: str | None = Field(default=None, description="The label a person put in its place")


class MessageReply(MessageOut):
    """The message just added or corrected."""

    chat: str
    model_version: str
    mode: Mode
    warnings: list[str] = Field(description="What to know of the label")
    request_id: str


class ChatReply(BaseModel):
    """A chat, and a page of its messages."""

    id: str
    created: str
    model: str
    model_version: str
    labels: list[str]
    mode: Mode
    total: int = Field(description="How many messages it has; ask for others with `after`")
    messages: list[MessageOut]
    request_id: str


class BatchFailure(BaseModel):
    """One item of a log that could not be read or labelled."""

    id: str
    line: int | None = Field(description="Where it stands, if it could not be read; 0: the whole log")
    error: str


class BatchOut(BaseModel):
    """A log that is labelled in the background. Times are UTC."""

    id: str
    created: str
    state: Literal["queued", "running", "done", "failed"]
    filename: str
    input_format: str
    to: str
    model: str
    model_version: str | None
    anonymise: bool
    bytes: int
    started: str | None
    finished: str | None
    fraction: float = Field(description="How much of the log has been read, 0 to 1")
    ahead: int = Field(description="How many batches will be begun before this one")
    conversations: int = Field(description="Labelled so far")
    failed: int
    utterances: int
    failures: list[BatchFailure] = Field(description="The first of them")
    error: str | None = Field(description="Why all of it failed")
    output: str | None = Field(description="Where the labelled log is, once it is done")


class BatchReply(BatchOut):
    """One batch."""

    request_id: str


class BatchesReply(BaseModel):
    """Batches, the newest first."""

    batches: list[BatchOut]
    request_id: str


class ModelCard(BaseModel):
    """A model of this service."""

    name: str
    task: str
    labels: list[str]
    label_set: str | None
    summary: str
    scores: dict[str, Any]
    default: bool = Field(description="Answers where none is named")


class ModelsReply(BaseModel):
    """Every model this service can use."""

    models: list[ModelCard]
    request_id: str


class LabelOut(BaseModel):
    """A label, and how to show it."""

    name: str
    sentiment: str | None
    symbol: str | None
    colour: str | None


class LabelSet(BaseModel):
    """Labels that belong together."""

    name: str
    labels: list[LabelOut]


class LabelsReply(BaseModel):
    """Every label set that a model of this service has."""

    label_sets: list[LabelSet]
    request_id: str


class HealthReply(BaseModel):
    """`ok`: alive, or ready to label."""

    status: Literal["ok"]
    request_id: str
