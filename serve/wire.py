"""What crosses the wire in one shape on both sides: the service writes it, the client reads it."""

from typing import Literal

from pydantic import BaseModel, Field


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
