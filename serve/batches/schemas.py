"""What crosses the wire about batches."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from dialog.formats import READERS, WRITERS
from dialog.formats.encodings import known
from dialog.formats.table import COLUMNS, chosen_columns
from serve.edge.paging import Next, Paged
from serve.edge.schemas import Label, OneOf
from serve.leased.rows import State

InputFormat = Annotated[str, OneOf("auto", *READERS)]
OutputFormat = Annotated[str, OneOf(*WRITERS)]


class BatchOptions(BaseModel):
    """How to label a log."""

    model_config = ConfigDict(extra="forbid")

    filename: str | None = Field(default=None, max_length=400, description="What the log is called; its ending helps")
    input_format: InputFormat = Field(default="auto", description="auto: told from the content")
    column: list[str] = Field(
        default=[],
        max_length=len(COLUMNS),
        description=f"A table's column, as ROLE=NAME such as `text=Comment Body`; roles are {', '.join(COLUMNS)}",
    )
    encoding: str | None = Field(
        default=None, max_length=40, description="What the log is in, such as cp1251; by default UTF-8, or told from it"
    )
    to: OutputFormat = Field(default="jsonl", description="The format of the output")
    model: Label | None = Field(default=None, description="One of GET /v1/models")
    label_set: Label | None = Field(default=None, description="One of GET /v1/labels; by default that of the model")
    callback: str | None = Field(
        default=None, min_length=1, max_length=2000, description="An address that is told when the batch has ended"
    )
    anonymise: bool = Field(default=False, description="Names, numbers and addresses do not come out")

    @field_validator("column")
    @classmethod
    def _are_columns(cls, given: list[str]) -> list[str]:
        try:
            chosen_columns(given)
        except ValueError as error:
            raise PydanticCustomError("column", "{said}", {"said": str(error)}) from None
        return given

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, given: str | None) -> str | None:
        try:
            return given if given is None else known(given)
        except ValueError as error:
            raise PydanticCustomError("encoding", "{said}", {"said": str(error)}) from None


class BatchesAsked(Paged):
    """Which batches are wanted."""

    state: State | None = Field(default=None, description="Only those in this state")
    filename: str | None = Field(default=None, min_length=1, max_length=120, description="Only those with this in it")


class BatchFailure(BaseModel):
    """One item of a log that could not be read or labelled."""

    id: str
    line: int | None = Field(description="Where it stands, if it could not be read; 0: the whole log")
    error: str


class CallbackOut(BaseModel):
    """What became of telling somebody that a batch has ended. Times are UTC."""

    url: str
    state: Literal["waiting", "delivered", "failed"]
    tries: int
    tried: str | None = Field(description="When it was last tried")
    status: int | None = Field(description="What was answered")
    error: str | None = Field(description="Why it was not delivered")
    due: str | None = Field(description="When it is tried again")


class BatchOut(BaseModel):
    """A log that is labelled in the background. Times are UTC."""

    id: str
    created: str
    state: Literal["queued", "running", "done", "failed"]
    filename: str
    input_format: str
    column: list[str] = Field(default=[], description="Columns that were named, as ROLE=NAME")
    encoding: str | None = None
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
    callback: CallbackOut | None = Field(default=None, description="Who is told that it has ended")
    output: str | None = Field(description="Where the labelled log is, once it is done")


class BatchReply(BatchOut):
    """One batch."""

    request_id: str


class BatchesReply(BaseModel):
    """A page of batches, the newest first."""

    batches: list[BatchOut]
    next: Next
    request_id: str
