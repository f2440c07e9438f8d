"""What crosses the wire about corrections."""

from pydantic import BaseModel, Field

from serve.edge.schemas import Closed


class CorrectionsRequest(Closed):
    """Texts as they were typed."""

    texts: list[str]
    keep: list[str] = Field(default=[], description="Words to leave alone, as names and jargon; case does not matter")
    completions: int = Field(
        default=0, ge=0, le=20, description="So many ways to end each text's last word, or after a space to go on"
    )


class EditOut(BaseModel):
    """A part of a text that was meant otherwise."""

    start: int = Field(description="Code points into the text as it was typed")
    end: int
    typed: str
    meant: str
    probability: float


class CompletionOut(BaseModel):
    """A whole word the text may end with."""

    word: str
    probability: float = Field(description="Among the words that begin like what was typed of it")


class CorrectionOut(BaseModel):
    """A text as it was typed and as it was meant. The text itself is never changed."""

    text: str
    corrected: str
    edits: list[EditOut] = Field(description="In order; made in `text` they give `corrected`")
    completions: list[CompletionOut]


class CorrectionsReply(BaseModel):
    """As many corrections as texts, in order."""

    corrections: list[CorrectionOut]
    model_version: str
    request_id: str
