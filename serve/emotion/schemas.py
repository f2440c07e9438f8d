"""What crosses the wire about emotions: conversations, models, labels."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serve.edge.schemas import CaveatOut, Closed, Label, Mode, Name, Open


class UtteranceIn(Open):
    """One message of one speaker."""

    speaker: Name
    text: str
    emotion: str | None = Field(default=None, description="A label it came with; kept, not used")
    time: Name | None = None


class ConversationIn(Open):
    """Utterances in order. Further fields survive."""

    id: Name | None = None
    utterances: list[UtteranceIn]


class EmotionOptions(Closed):
    """How to label."""

    causes: bool = Field(default=True, description="Whether to look for each emotion's causes")
    label_set: Label | None = Field(default=None, description="One of GET /v1/labels; by default that of the model")
    mode: Mode = Field(default="offline", description="offline: a log, read as a whole; live: only backwards")
    model: Label | None = Field(default=None, description="One of GET /v1/models")


class EmotionsRequest(Closed):
    """Conversations to label."""

    conversations: list[ConversationIn]
    options: EmotionOptions = Field(default_factory=EmotionOptions)


class CauseOut(BaseModel):
    """An earlier message that caused an emotion, or a latent cause (`utterance` null)."""

    utterance: int | None = Field(description="Counted from 0; null for a cause outside the conversation")
    start: int | None = Field(description="Code points into that utterance's text")
    end: int | None
    span: str | None
    probability: float
    emotion: str | None = Field(
        default=None,
        description="What it is a cause of: the label, or of a message that may be neutral the likeliest feeling",
    )


class TagOut(BaseModel):
    """What may be said beside the one label, any number of them."""

    tag: str
    probability: float


class VoiceOut(BaseModel):
    """How somebody sounds, whatever the words: a guess, learned from German actors."""

    emotion: str | None = Field(description="The acted emotion that the voice is likest; null: not sure")
    probability: float = Field(description="Of the likeliest one")
    probabilities: dict[str, float]


class PredictionOut(BaseModel):
    """What the model says of one utterance."""

    emotion: str | None = Field(description="null where the text cannot be read, with a `reason`")
    probability: float = Field(description="The calibrated marginal of `emotion`")
    probabilities: dict[str, float]
    sentiment: str
    second: str | None = Field(default=None, description="The next likely label")
    valence: float | None = Field(default=None, description="How pleasant, 1 to 5, 3 is neutral; null: not said")
    arousal: float | None = Field(default=None, description="How stirred, 1 to 5, 3 is neutral; null: not said")
    tags: list[TagOut] = Field(default=[], description="Any number of GoEmotions' 27, likeliest first")
    unsure: bool = Field(default=False, description="Whether the label is no more than a guess")
    care: bool = Field(
        default=False,
        description="Whether a phrase speaks of self-harm: a person should read it. A list, no risk detector",
    )
    reason: str | None = Field(default=None, description="Why there is no emotion")
    causes: list[CauseOut]
    voice: VoiceOut | None = Field(
        default=None, description="How the voice sounds, where it was heard; apart from all the words say"
    )


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
    warnings: list[CaveatOut]
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


class NamedResponder(BaseModel):
    """A responder of this service, as OpenAI's API lists its models."""

    id: str = Field(description="The `model` of POST /v1/chat/completions")
    object: Literal["model"] = "model"
    created: int = Field(default=0, description="Not known")
    owned_by: Literal["rapport"] = "rapport"


class ModelsReply(BaseModel):
    """Every model this service can use, and under `data` its responders, as clients of OpenAI's API expect them."""

    models: list[ModelCard]
    object: Literal["list"] = "list"
    data: list[NamedResponder]
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
