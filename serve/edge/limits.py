"""What is refused at the door: every limit of the service, in one place, each adjustable in the configuration."""

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """Limits of one request and of what may wait at once. Sizes are bytes, lengths code points, waits seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    body_bytes: int = Field(default=10 * 1024**2, gt=0)
    """A JSON body, counted while it arrives. More is 413."""

    conversations_per_request: int = Field(default=2_000, gt=0)
    """More is 422, with the place."""
    utterances_per_request: int = Field(default=2_000, gt=0)
    """Of all its conversations together. More is 422."""
    characters_per_utterance: int = Field(default=4_000, gt=0)
    """The text of one. More is 422, with the place."""
    characters_per_name: int = Field(default=200, gt=0)
    """A speaker, an id, a time. More is 422, with the place."""

    messages_per_chat: int = Field(default=100_000, gt=0)
    """One more is 409."""
    messages_reread: int = Field(default=1_000, gt=0)
    """A chat is read again from its beginning when a message is changed or deleted. A longer one is 409."""
    messages_per_page: int = Field(default=2_000, gt=0)
    """How much of a chat one GET gives back at most."""

    faults_listed: int = Field(default=50, gt=0)
    """A refusal names this many faults and counts the others."""

    waiting_bytes: int = Field(default=64 * 1024**2, gt=0)
    """Bodies held in memory at once, in each process. A request that would exceed it is 429."""

    waiting_requests: int = Field(default=64, gt=0)
    """Requests accepted and not yet answered, in the HTTP proxy and in each API replica. One more is 429."""

    waiting_utterances: int = Field(default=10_000, gt=0)
    """The same for their utterances, in each API replica."""

    waiting_seconds: float = Field(default=4.0, gt=0)
    """How long the work that waits may take, at the speed of the last seconds; a request that would wait longer is 429.
    """

    answer_seconds: float = Field(default=120.0, gt=0)
    """After this long a request is given up: 503."""

    upload_seconds: float = Field(default=60.0, gt=0)
    """A body must have arrived by then: 408. Slow senders hold no memory for ever."""

    idle_seconds: float = Field(default=10.0, gt=0)
    """A sender may be silent for so long in the middle of a body, a log included: 408."""

    bodies_arriving: int = Field(default=512, gt=0)
    """Bodies that arrive at once; they take no place among the waiting requests before they are in. One more is 429."""

    bodies_arriving_per_client: int = Field(default=128, gt=0)
    """The same of one address. One more is 429."""

    head_seconds: float = Field(default=10.0, gt=0)
    """The head of a request must have come by then, from the connection's beginning; or the server hangs up."""

    heads_arriving_per_client: int = Field(default=128, gt=0)
    """Connections of one address, none of a trusted proxy, on which no request has come. On one more the server hangs
    up on the oldest of them."""

    header_bytes: int = Field(default=12 * 1024, gt=0)
    """The headers of a request together. More is 431; beyond 16,384 the server itself hangs up."""

    log_bytes: int = Field(default=1024**3, gt=0)
    """A log to be labelled as a batch, which goes to the disk while it arrives. More is 413."""

    log_seconds: float = Field(default=3_600.0, gt=0)
    """A log or a recording must have arrived by then: 408."""

    logs_arriving: int = Field(default=4, gt=0)
    """Logs and recordings that arrive at once. One more is 429."""

    batches_waiting: int = Field(default=20, gt=0)
    """Batches accepted and not yet done, those that run included. One more is 429."""

    batches_running: int = Field(default=1, gt=0)
    """Batches that run at once, of all workers together; of the others keys have the next one in turn."""

    recording_bytes: int = Field(default=100 * 1024**2, gt=0)
    """A recording, which goes to the disk while it arrives. More is 413."""

    recordings_waiting: int = Field(default=20, gt=0)
    """Recordings accepted and not yet done, those that are listened to included. One more is 429."""

    recordings_running: int = Field(default=1, gt=0)
    """Recordings that are listened to at once; of the others those come first whose owner waited longest."""

    speakers_per_recording: int = Field(default=16, gt=0)
    """More cannot be asked for: 422."""

    page_bytes: int = Field(default=110 * 1024**2, gt=0)
    """A body for anything outside the API: the page's uploads. More is 413."""

    page_waiting_bytes: int = Field(default=440 * 1024**2, gt=0)
    """The same for all such bodies that are under way at once. More is 429."""

    picture_body_bytes: int = Field(default=28 * 1024**2, gt=0)
    """The same as body_bytes for a body with a picture in it; a data: URI takes a third more than its picture."""

    picture_bytes: int = Field(default=20 * 1024**2, gt=0)
    """A picture as a file. More is 413."""

    picture_pixels: int = Field(default=64_000_000, gt=0)
    """A JPEG; other formats cannot be decoded at a reduced size, and may have 25 megapixels of these. More is 413."""

    characters_per_question: int = Field(default=1_000, gt=0, le=1_000)
    """About a picture; an answer given as history and a caption count the same. More is 422."""

    rounds_per_dialog: int = Field(default=200, gt=0)
    """About one picture. One more is 409."""

    samples_per_request: int = Field(default=20_000, gt=0)
    """Of telemetry, of all its units together. More is 422."""

    units_kept: int = Field(default=10_000, gt=0)
    """Units of telemetry under one key. One more is 409."""

    tokens_per_reply: int = Field(default=256, gt=0)
    """Of a language model, where a request asks for more or names no number."""
