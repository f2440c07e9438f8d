"""What every group of settings is, and the error of those that cannot be used."""

from pydantic import BaseModel, ConfigDict


class UnusableConfig(ValueError):
    """The configuration cannot be used; the message says which part and why."""


class Part(BaseModel):
    """A group of settings: it never changes, and knows all its names."""

    model_config = ConfigDict(frozen=True, extra="forbid")
