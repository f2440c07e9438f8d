"""What the service says of itself."""

from pydantic import Field

from serve.config.part import Part


class WatchConfig(Part):
    """Whether the service watches itself, and the limits that it is warned of before they are reached."""

    on: bool = False
    """As `rapport serve --watch`."""
    seconds: float = Field(default=10.0, ge=0.1)
    """Between two samples; six of them are judged together."""
    latency_seconds: float = Field(default=5.0, gt=0)
    """The mean time of an answer that must not be reached; uploads of logs and questions of operators do not count."""
    queue_seconds: float = Field(default=2.0, gt=0)
    """The same of the wait for a model."""
    error_share: float = Field(default=0.05, gt=0, le=1)
    """The share of answers that are 5xx which must not be reached."""
    memory_mb: int | None = Field(default=None, ge=1)
    """What all processes of the service together may have; by default what they have and what is free beside it."""
