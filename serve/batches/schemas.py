"""What crosses the wire about batches."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dialog.formats import READERS, WRITERS
from serve.edge.schemas import Label, OneOf
from serve.wire import BatchOut

InputFormat = Annotated[str, OneOf("auto", *READERS)]
OutputFormat = Annotated[str, OneOf(*WRITERS)]


class BatchOptions(BaseModel):
    """How to label a log."""

    model_config = ConfigDict(extra="forbid")

    filename: str | None = Field(default=None, max_length=400, description="What the log is called; its ending helps")
    input_format: InputFormat = Field(default="auto", description="auto: told from the content")
    to: OutputFormat = Field(default="jsonl", description="The format of the output")
    model: Label | None = Field(default=None, description="One of GET /v1/models")
    label_set: Label | None = Field(default=None, description="One of GET /v1/labels; by default that of the model")
    anonymise: bool = Field(default=False, description="Names, numbers and addresses do not come out")


class BatchReply(BatchOut):
    """One batch."""

    request_id: str


class BatchesReply(BaseModel):
    """Batches, the newest first."""

    batches: list[BatchOut]
    request_id: str
