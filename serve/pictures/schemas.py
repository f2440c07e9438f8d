"""What crosses the wire about pictures."""

from typing import Annotated

from pydantic import BaseModel, Field

from serve.edge.paging import Next, Paged
from serve.edge.schemas import Closed

Picture = Annotated[
    str,
    Field(
        description="A JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP or TIFF as `data:image/...;base64,...`; never an address",
        min_length=1,
    ),
]
Words = Annotated[str, Field(max_length=1000)]
Question = Annotated[str, Field(min_length=1, max_length=1000)]
Box = Annotated[list[float], Field(description="x0, y0, x1, y1 as fractions of the picture, y downwards")]


class NewVisualDialog(Closed):
    """A picture to ask about."""

    picture: Picture
    caption: Words = Field(default="", description="What is known of it already")


class NewQuestion(Closed):
    """One question. It may speak of what was said before: what is *it* doing?"""

    question: Question


class RoundIn(Closed):
    """A question and its answer, as history."""

    question: Question
    answer: Question


class VisualQuestion(Closed):
    """A question with everything that came before it."""

    picture: Picture
    caption: Words = ""
    rounds: list[RoundIn] = Field(default_factory=list)
    question: Question


class CandidateOut(BaseModel):
    """One possible answer."""

    text: str
    probability: float | None = Field(description="Calibrated; null where the engine gives none")


class ThingOut(BaseModel):
    """Something found in the picture."""

    name: str
    probability: float
    box: Box = Field(description="Its corners x0, y0, x1, y1 as fractions")


class AnswerOut(BaseModel):
    """What is answered, and what that rests on."""

    text: str = Field(description="The likeliest answer, or that it is not known")
    answers: list[CandidateOut] = Field(description="The likeliest first, also where the answer is not known")
    known: bool
    why: str = Field(description="Where it is not known, the reason")
    written: str | None = Field(description="In words of the engine's own, where it writes as well as chooses")
    regions: list[float] = Field(description="How much each of the boxes was looked at; sums to 1, or is empty")
    rounds: list[float] = Field(description="How much each earlier round was used; empty where that is not known")
    things: list[ThingOut] = Field(default=[], description="What was found that the answer is about, where things are")
    retrieved: bool = Field(default=False, description="It is a caption that people wrote about a similar picture")


class RoundOut(BaseModel):
    """A question and its answer. `n` counts from 0."""

    n: int
    question: str
    answer: AnswerOut


class LookOut(BaseModel):
    """What was seen before any question."""

    width: int = Field(description="Pixels, after the picture was turned upright and made smaller")
    height: int
    boxes: list[Box] = Field(description="The regions looked at; empty where the engine has none")
    strangeness: float | None = Field(description="Above 1 the picture is unlike any the model knows")


class VisualDialogReply(LookOut):
    """A picture, and what was asked about it so far."""

    id: str
    created: str
    caption: str
    model_version: str
    total: int
    rounds: list[RoundOut]
    request_id: str


class VisualDialogSummary(BaseModel):
    """A picture in a list."""

    id: str
    created: str
    touched: str | None = Field(description="When something was last asked about it")
    caption: str
    width: int
    height: int
    model_version: str
    total: int = Field(description="How many questions were asked about it")


class VisualDialogsReply(BaseModel):
    """A page of pictures, the newest first."""

    visual_dialogs: list[VisualDialogSummary]
    next: Next
    request_id: str


class PicturesAsked(Paged):
    """Which pictures are wanted."""

    caption: str | None = Field(default=None, min_length=1, max_length=120, description="Only those with this in it")


class RoundReply(RoundOut):
    """The round just added."""

    dialog: str
    model_version: str
    request_id: str


class VisualAnswerReply(LookOut):
    """The answer to a question that came with everything before it."""

    question: str
    answer: AnswerOut
    model_version: str
    request_id: str
