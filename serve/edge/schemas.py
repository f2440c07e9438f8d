"""What every capability's schemas share. Requests are checked strictly against them; answers are described by them.

Unknown fields of a conversation and of an utterance are welcome and come back; anywhere else they are refused, since
they are most likely a misspelt option.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Mode = Literal["offline", "live"]
Name = Annotated[str | int | float, Field(description="A string; a number is taken as its digits")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Open(BaseModel):
    """A body whose unknown fields are kept."""

    model_config = ConfigDict(strict=True, extra="allow")


class Closed(BaseModel):
    """A body whose unknown fields are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")


class CaveatOut(BaseModel):
    """What to know of labels."""

    code: str = Field(description="Its kind; stable: `foreign`, `truncated`, `note`")
    text: str = Field(description="The same for people, in a sentence")
    utterances: list[int] = Field(description="Those it is about, counted from 0; empty where it is about all")


class HealthReply(BaseModel):
    """`ok`: alive, or ready to label."""

    status: Literal["ok"]
    request_id: str
