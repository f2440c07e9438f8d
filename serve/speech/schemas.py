"""What crosses the wire about recordings."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from dialog.speech.names import Channels
from serve.edge.paging import Next, Paged
from serve.edge.schemas import CaveatOut, Closed, Label, Name
from serve.emotion.schemas import PredictionOut, VoiceOut
from serve.leased.rows import State


class RecordingOptions(BaseModel):
    """How to listen to a recording."""

    model_config = ConfigDict(extra="forbid")

    filename: str | None = Field(default=None, max_length=400, description="What the recording is called")
    speakers: int | None = Field(default=None, ge=1, lt=2**31, description="How many people speak; by default found")
    channels: Channels = Field(
        default="found", description="What two channels are: a speaker each, or one recording twice; by default found"
    )
    recogniser: Label | None = Field(default=None, description="Who hears the words; one of the service's own")
    language: str | None = Field(
        default=None, pattern="^[a-z]{2,3}$", description="What is spoken, as in ISO 639 (`de`); by default found"
    )
    model: Label | None = Field(default=None, description="One of GET /v1/models")
    label_set: Label | None = Field(default=None, description="One of GET /v1/labels; by default that of the model")


class RecordingsAsked(Paged):
    """Which recordings are wanted."""

    state: State | None = Field(default=None, description="Only those in this state")
    filename: str | None = Field(default=None, min_length=1, max_length=120, description="Only those with this in it")


_NOT_BLANK: dict[str, JsonValue] = {"pattern": r"\S"}


class PartPatch(Closed):
    """What is to be another in an utterance; what is not named stays."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    text: str = Field(default="", description="The words; none takes them away")
    speaker: Name = Field(
        default="", description="A speaker of this recording by name, or a new one", json_schema_extra=_NOT_BLANK
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing", "expected a text or a speaker")
        return self


class SpeakerPatch(Closed):
    """What a speaker is called from now on. The name of another one makes both the same."""

    name: Name = Field(json_schema_extra=_NOT_BLANK)


class SpeakerOut(BaseModel):
    """Somebody who speaks in a recording."""

    n: int = Field(description="Counted from 0")
    name: str
    seconds: float = Field(description="How long he speaks")
    utterances: int = Field(description="In how many stretches")
    voice: str = Field(description="Where he can be heard alone")


class RecordedUtterance(BaseModel):
    """A stretch of one speaker. `n` counts from 0."""

    n: int
    time: str = Field(description="When it begins: hours, minutes, seconds")
    end: str
    starts: float = Field(description="The same in seconds")
    ends: float
    speaker: str
    text: str = Field(description="Empty where no words were heard; then there is no prediction")
    confidence: float | None = Field(description="How sure the recogniser is of the words; null where it does not say")
    edited: bool = Field(description="Whether a person has changed words or speaker")
    prediction: PredictionOut | None
    voice: VoiceOut | None = Field(description="How the voice sounds, where there is no prediction to say so")


class RecordingOut(BaseModel):
    """A recording that is listened to and labelled in the background. Times are UTC."""

    id: str
    created: str
    touched: str = Field(description="When it was sent, done or last changed")
    state: Literal["queued", "running", "done", "failed"]
    filename: str
    bytes: int
    speakers_asked: int | None = Field(description="How many people were said to speak")
    channels: Channels
    recogniser: str
    language: str | None
    model: str
    model_version: str | None
    started: str | None
    finished: str | None
    fraction: float = Field(description="How much of the work is done, 0 to 1")
    ahead: int = Field(description="How many recordings will be begun before this one")
    seconds: float | None = Field(description="How long it is; null before it was listened to")
    error: str | None = Field(description="Why it has failed")


class RecordingReply(RecordingOut):
    """One recording, and a page of what is said in it."""

    warnings: list[CaveatOut]
    speakers: list[SpeakerOut]
    total: int = Field(description="How many utterances it has; ask for others with `after`")
    utterances: list[RecordedUtterance]
    sound: str | None = Field(description="Where it can be heard, once it was listened to")
    request_id: str


class RecordingsReply(BaseModel):
    """A page of recordings, the newest first."""

    recordings: list[RecordingOut]
    next: Next
    request_id: str


class EnvelopeReply(BaseModel):
    """How loud a recording is."""

    seconds: float
    peaks: list[float] = Field(description="Its loudest sample in each of so many stretches of equal length, 0 to 1")
    request_id: str
