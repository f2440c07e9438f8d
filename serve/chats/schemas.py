"""What crosses the wire about live chats."""

from pydantic import BaseModel, Field

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


class MessageReply(MessageOut):
    """The message just added or corrected."""

    chat: str
    model_version: str
    mode: Mode
    warnings: list[CaveatOut] = Field(description="What to know of the label")
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
