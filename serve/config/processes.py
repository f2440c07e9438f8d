"""The processes of the service: how many of each there are, what they hold, how much may wait for them."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from models.catalogue import REPLY, TELEMETRY, VISUAL
from serve.config.part import Part


class ApiConfig(Part):
    """The replicas that speak HTTP."""

    replicas: int = Field(default=1, ge=1)
    """Processes; each has the limits of waiting for itself."""
    cpus: float = Field(default=0.1, ge=0)
    """Cores that Ray sets aside for each when it places them; nothing holds a replica to that."""
    on_head_node: bool = True
    """The files lie on the head node's disk; set to False only where --data-dir is on a disk all nodes share, and
    `database` is PostgreSQL."""


class EmotionConfig(Part):
    """The replicas that hold the emotion models. Each runs `ongoing` calls at once, and `queued` wait.

    A call is a batch of requests, a message of a chat, or a part of a log.
    """

    replicas: int = Field(default=1, ge=1)
    """Processes, each with its own copy of the models."""
    max_replicas: int | None = None
    """With a number here the replicas scale between the two with the load."""
    cpus: float = Field(default=0.5, ge=0)
    """Cores that Ray sets aside for each."""
    gpus: float = Field(default=0.0, ge=0)
    """GPUs, or a part of one, that Ray sets aside for each; a replica without any sees none."""
    device: str = "auto"
    """Where the model runs: `cpu`, `cuda`, `cuda:N` of the cards a replica sees; auto is a card if it sees one."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of one forward pass; by default every core of the machine."""
    ongoing: int = Field(default=64, ge=1)
    """Calls under way at once, in each replica."""
    queued: int = Field(default=64, ge=0)
    """Calls that wait for a replica; one more is 429."""
    batch_work: int = Field(default=512, ge=1)
    """A batch holds this much padded work: conversations x the longest of them, in utterances."""


class BatchesConfig(Part):
    """The workers that label logs. They share every batch: one reads and writes it, all label its parts."""

    replicas: int = Field(default=1, ge=1)
    """Processes. Where one is killed, another goes on with what it had."""
    ongoing: int = Field(default=1, ge=1)
    """Parts of logs labelled at once, in each replica."""
    lease_seconds: float = Field(default=15.0, ge=1)
    """A worker that has not been heard of for so long is thought dead, and what it had is taken over."""


class VisualConfig(Part):
    """The replicas that answer about pictures. The engine is loaded when the first picture comes."""

    engine: str = VISUAL
    """The built-in model, a folder of such a model, `transformers:<folder or hub name>`, or `openai:<model>`."""
    url: str | None = None
    """Where the service of an `openai:` engine is; by default in RAPPORT_VISUAL_URL."""
    key: SecretStr | None = None
    """The key to it; by default in RAPPORT_VISUAL_KEY."""
    replicas: int = Field(default=1, ge=1)
    """Processes, each with its own copy of the engine."""
    cpus: float = Field(default=0.2, ge=0)
    """Cores that Ray sets aside for each."""
    gpus: float = Field(default=0.0, ge=0)
    """GPUs, or a part of one, that Ray sets aside for each; a replica without any sees none."""
    device: str = "auto"
    """Where the model runs: `cpu`, `cuda`, `cuda:N` of the cards a replica sees; auto is a card if it sees one."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of one forward pass; by default every core of the machine."""
    ongoing: int = Field(default=8, ge=1)
    """Pictures and questions under way at once, in each replica."""
    queued: int = Field(default=32, ge=0)
    """The same that wait for a replica; one more is 429."""


class TelemetryConfig(Part):
    """The model that watches fleets, in the process of the API. It is loaded when the first samples come."""

    model: str = TELEMETRY
    """A shipped model, or a folder of `rapport maintain train`."""
    queued: int = Field(default=16, ge=1)
    """Fleets and samples under way or waiting at once; one more is 429."""


class CorrectionConfig(Part):
    """The replicas that mend what was typed. The model, of a few megabytes, is loaded when the first text comes."""

    replicas: int = Field(default=1, ge=1)
    """Processes, each with its own copy of the model."""
    cpus: float = Field(default=0.1, ge=0)
    """Cores that Ray sets aside for each."""
    ongoing: int = Field(default=16, ge=1)
    """Requests under way at once, in each replica."""
    queued: int = Field(default=64, ge=0)
    """The same that wait for a replica; one more is 429."""


class RepliesConfig(Part):
    """The replicas that answer in conversations. A responder is loaded when it is first asked."""

    responders: dict[str, str] = Field(default_factory=lambda: {REPLY: REPLY})
    """By the name they are asked for: a shipped model or its folder, `lm:<folder or hub name>`, or `<url>#<model>` of a
    service that speaks OpenAI's chat completions, whose key is in RAPPORT_RESPONDER_KEY. The first is the default."""
    opener: str = "dialog.replies.choosing:open_responder"
    """`module:name` of the function that opens a responder."""
    network: bool = False
    """Whether a language model that is not on this machine may be fetched from the hub."""
    replicas: int = Field(default=1, ge=1)
    """Processes, each with its own copy of the responders."""
    cpus: float = Field(default=0.1, ge=0)
    """Cores that Ray sets aside for each."""
    gpus: float = Field(default=0.0, ge=0)
    """GPUs, or a part of one, that Ray sets aside for each; a replica without any sees none."""
    device: str = "auto"
    """Where the responders run: `cpu`, `cuda`, `cuda:N` of the cards a replica sees; auto is a card if it sees one."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of one forward pass; by default every core of the machine."""
    ongoing: int = Field(default=8, ge=1)
    """Replies under way at once, in each replica."""
    queued: int = Field(default=32, ge=0)
    """Replies that wait for a replica; one more is 429."""

    @field_validator("responders")
    @classmethod
    def _is_any(cls, value: dict[str, str]) -> dict[str, str]:
        if not value:
            raise ValueError("expected at least one responder")
        return value


class RecordingsConfig(Part):
    """The workers that listen to recordings, each recording in a process of its own, and who hears the words."""

    replicas: int = Field(default=1, ge=1)
    """Processes that have recordings listened to. Where one is killed, another goes on with what it had."""
    lease_seconds: float = Field(default=15.0, ge=1)
    """A worker that has not been heard of for so long is thought dead, and its recording is taken over."""
    recognisers: dict[str, str] = Field(default_factory=lambda: {"whisper": "whisper", "pocketsphinx": "pocketsphinx"})
    """By the name they are asked for: `whisper`, `pocketsphinx`, `whisper:<folder or hub name>`, or the http(s) address
    of a transcription service, whose key is in RAPPORT_TRANSCRIPTION_KEY. The first that is installed is taken."""
    opener: str = "dialog.speech.recognisers:recogniser_of"
    """`module:name` of the function that opens a recogniser."""
    threads: int = Field(default=1, ge=1)
    """Threads of one recording."""

    @field_validator("recognisers")
    @classmethod
    def _is_any(cls, value: dict[str, str]) -> dict[str, str]:
        if not value:
            raise ValueError("expected at least one recogniser")
        return value


class RayConfig(Part):
    """The Ray cluster under the service."""

    address: str | None = None
    """Of a running cluster. By default a private one on this machine, which ends with the service."""
    auth: Literal["token", "disabled"] = "token"
    """token: only processes of this service, which share a random secret, may talk to its Ray cluster."""
    cpus: int | None = Field(default=None, ge=1)
    """Cores Ray counts on in a cluster of our own; by default those of the machine."""
    object_store_mb: int = Field(default=100, ge=80)
    """Memory set aside for what processes hand each other."""
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    """Prometheus metrics on a port of their own; none by default."""
    log_to_console: bool = False
    """Whether what Ray and its workers say comes out on the console too."""
