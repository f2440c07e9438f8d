"""What crosses the wire about live chats."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from serve.edge.paging import Next
from serve.edge.schemas import CaveatOut, Closed, Label, Mode, Name
from serve.emotion.schemas import PredictionOut


class NewChat(Closed):
    """A chat to begin."""

    label_set: Label | None = None
    model: Label | None = None


class NewMessage(Closed):
    """One message in a chat."""

    speaker: Name
    text: str
    time: Name | None = None


class MessagePatch(Closed):
    """What is to be another in a message; what is not named stays."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    speaker: Name = ""
    text: str = ""
    time: Name | None = Field(default=None, description="null takes it away")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing", "expected a speaker, a text or a time")
        return self


class AnswerNotes(Closed):
    """What is known of an assistant's answer."""

    responder: Label = Field(description="Who answered: one of `data` in GET /v1/models")
    responder_version: Label
    finish: Literal["stop", "length", "stopped", "broken"] = Field(
        description="Why it ended: it was said, it was as long as it may be, somebody stopped it, or it broke off"
    )
    sure: bool = Field(description="False where the answer is that there is nothing to say")
    felt: Label | None = Field(default=None, description="The emotion it answers: that of the message before it")


class SaidMessage(NewMessage):
    """A message as it is to have been said, with the label a person gave it."""

    correction: Label | None = None
    reply: AnswerNotes | None = None


class SaidMessages(Closed):
    """All that is to have been said."""

    messages: list[SaidMessage]


class NewCorrection(Closed):
    """The label a person thinks right."""

    emotion: Label


class MessageOut(BaseModel):
    """A message of a chat. `n` counts from 0."""

    n: int
    speaker: str
    text: str
    time: str | None
    prediction: PredictionOut | None
    error: str | None = Field(default=None, description="Why the message has no label")
    correction: str | None = Field(default=None, description="The label a person put in its place")
    reply: AnswerNotes | None = Field(default=None, description="Where an assistant said it")


class MessageReply(MessageOut):
    """The message just added or corrected."""

    chat: str
    model_version: str
    mode: Mode
    warnings: list[CaveatOut] = Field(description="What to know of the label")
    request_id: str


class ChangedMessage(MessageOut):
    """A message that was changed, or comes after one that was."""

    warnings: list[CaveatOut] = Field(description="What to know of the label")


class ChangedReply(BaseModel):
    """A chat after a change."""

    chat: str
    model_version: str
    mode: Mode
    total: int = Field(description="How many messages it has now")
    first: int = Field(description="The first message that is another now")
    messages: list[ChangedMessage] = Field(description="Those from `first` on, read again where what was said changed")
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


class ChatSummary(BaseModel):
    """A chat in a list."""

    id: str
    created: str
    touched: str | None = Field(description="When something was last said in it")
    model: str
    model_version: str
    total: int = Field(description="How many messages it has")


class ChatsReply(BaseModel):
    """A page of chats, the newest first."""

    chats: list[ChatSummary]
    next: Next
    request_id: str
