"""What crosses the wire about batches."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from serve.edge.schemas import Label

InputFormat = Literal[
    "auto", "jsonl", "csv", "plain", "whatsapp", "parquet", "slack", "discord", "telegram", "srt", "vtt"
]
OutputFormat = Literal["jsonl", "csv", "html", "parquet", "label-studio"]


class BatchOptions(BaseModel):
    """How to label a log."""

    model_config = ConfigDict(extra="forbid")

    filename: str | None = Field(default=None, max_length=400, description="What the log is called; its ending helps")
    input_format: InputFormat = Field(default="auto", description="auto: told from the content")
    to: OutputFormat = Field(default="jsonl", description="The format of the output")
    model: Label | None = Field(default=None, description="One of GET /v1/models")
    label_set: Label | None = Field(default=None, description="One of GET /v1/labels; by default that of the model")
    anonymise: bool = Field(default=False, description="Names, numbers and addresses do not come out")


class BatchFailure(BaseModel):
    """One item of a log that could not be read or labelled."""

    id: str
    line: int | None = Field(description="Where it stands, if it could not be read; 0: the whole log")
    error: str


class BatchOut(BaseModel):
    """A log that is labelled in the background. Times are UTC."""

    id: str
    created: str
    state: Literal["queued", "running", "done", "failed"]
    filename: str
    input_format: str
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
    output: str | None = Field(description="Where the labelled log is, once it is done")


class BatchReply(BatchOut):
    """One batch."""

    request_id: str


class BatchesReply(BaseModel):
    """Batches, the newest first."""

    batches: list[BatchOut]
    request_id: str
