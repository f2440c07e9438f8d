"""What every capability's schemas share. Requests are checked strictly against them; answers are described by them.

Unknown fields of a conversation and of an utterance are welcome and come back; anywhere else they are refused, since
they are most likely a misspelt option.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema

from serve.edge.limits import Limits

Mode = Literal["offline", "live"]
Name = Annotated[str | int | float, Field(description="A string; a number is taken as its digits")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class OneOf:
    """`Annotated[str, OneOf(*TABLE)]` is one of a table's names, as a Literal is one of those that are written down."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(list(self.names))


class Open(BaseModel):
    """A body whose unknown fields are kept."""

    model_config = ConfigDict(strict=True, extra="allow")


class Closed(BaseModel):
    """A body whose unknown fields are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")


class CaveatOut(BaseModel):
    """What to know of labels."""

    code: str = Field(description="Its kind; stable: `foreign`, `truncated`, `left-out`, `note` and others")
    text: str = Field(description="The same for people, in a sentence")
    utterances: list[int] = Field(description="Those it is about, counted from 0; empty where it is about all")


class LimitsReply(BaseModel):
    """The limits of this service."""

    limits: Limits
    request_id: str


class ReadyReply(BaseModel):
    """`ok`: ready to label. `checks` are `models`, `disk` and `database`."""

    status: Literal["ok"]
    checks: dict[str, Literal["ok"]]
    request_id: str


class HealthReply(BaseModel):
    """`ok`: alive."""

    status: Literal["ok"]
    request_id: str
