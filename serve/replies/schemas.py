"""What crosses the wire about replies: OpenAI's chat completions, and what rapport adds to them under `rapport`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from dialog.labels import LABEL_SETS
from serve.chats.schemas import ChangedMessage
from serve.edge.schemas import Closed, Label, Mode, OneOf, Open
from serve.emotion.schemas import PredictionOut
from serve.pictures.schemas import AnswerOut

Feeling = Annotated[str, OneOf(*LABEL_SETS["ekman"])]


class TextPart(Open):
    """A part of a message in words."""

    type: Literal["text"]
    text: str


class ImageAddress(Open):
    """Where a picture is: in the address itself."""

    url: str = Field(description="`data:image/...;base64,...`; no address is ever fetched")


class ImagePart(Open):
    """A picture in a message."""

    type: Literal["image_url"]
    image_url: ImageAddress


class ChatMessage(Open):
    """A message of the conversation so far."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]
    name: str | None = Field(default=None, description="Who of several users says it")
    emotion: Feeling | None = Field(default=None, description="Its label, where that is known; none is looked for then")


class ReplyOptions(Closed):
    """What OpenAI's API does not know."""

    emotions: bool = Field(default=True, description="Whether messages and reply are labelled")
    to_feel: Feeling | None = Field(default=None, description="The emotion to answer with")
    instead_of: list[str] = Field(default_factory=list, description="Replies that will not do: for another answer")


class ChatRequest(Open):
    """A conversation that wants a reply. Fields of OpenAI's API that are not named here change nothing."""

    model: str | None = Field(
        default=None, description="A responder: one of `data` in GET /v1/models, by default the first"
    )
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = False
    n: Literal[1] | None = Field(default=1, description="One reply at a time; for another one see rapport.instead_of")
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    tools: None = Field(default=None, description="A responder calls no tools")
    rapport: ReplyOptions = Field(default_factory=ReplyOptions)


class ChatAnswerRequest(Closed):
    """An answer that is wanted in a chat."""

    responder: Label | None = Field(default=None, description="One of `data` in GET /v1/models, by default the first")
    another: bool = Field(default=False, description="Whether it takes the place of the last answer")
    total: int | None = Field(
        default=None,
        ge=0,
        lt=2**31,
        description="How many messages the chat is thought to have; 409 where it has others",
    )
    to_feel: Feeling | None = Field(default=None, description="The emotion to answer with")
    max_tokens: int | None = Field(default=None, ge=1)
    stream: bool = False


class ChatAnswerReply(ChangedMessage):
    """The answer, as a message of the chat."""

    chat: str
    mode: Mode
    request_id: str


class AssistantMessage(BaseModel):
    """The reply."""

    role: Literal["assistant"]
    content: str


class ChatChoice(BaseModel):
    """The reply, and why it ended."""

    index: int
    message: AssistantMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class ReplyNotes(BaseModel):
    """What OpenAI's API does not say."""

    messages: list[PredictionOut | None] = Field(description="What each message feels; null where nobody looked")
    reply: PredictionOut | None = Field(description="What the reply feels")
    sure: bool = Field(description="False where the reply is that there is nothing to say")
    picture: AnswerOut | None = Field(default=None, description="The answer about the picture, where it is one")
    responder_version: str


class ChatReply(BaseModel):
    """As OpenAI's `chat.completion`. Streamed it comes as `chat.completion.chunk` events, the first with the notes of
    the messages, the last with all notes, then `[DONE]`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: dict[str, Any] | None = Field(default=None, description="Not counted")
    rapport: ReplyNotes
    request_id: str
