"""Every setting of the service: defaults, then a YAML file, then RAPPORT_* variables, then the command line."""

import importlib
import ipaddress
import os
import re
import ssl
import tempfile
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import platformdirs
import yaml
from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from models.catalogue import EMOTION, REPLY, TELEMETRY, VISUAL
from serve.edge.access import Access
from serve.edge.keys import PAGE, Key, Keys, hash_of, new_key, read_keys
from serve.edge.limits import Limits

PROFILES = Path(__file__).parent / "config"
_ROOT_PATH = re.compile(r"(/(?!v1(?:/|$))[A-Za-z0-9._~-]+)+")


def imported(path: str) -> Any:
    """What `module:name` names, as `tagger` and `catalogue` do."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


class UnusableConfig(ValueError):
    """The configuration cannot be used; the message says which part and why."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApiConfig(_Part):
    """The replicas that speak HTTP."""

    replicas: int = Field(default=1, ge=1)
    """Processes; each has the limits of waiting for itself."""
    cpus: float = Field(default=0.1, ge=0)
    """Cores that Ray sets aside for each when it places them; nothing holds a replica to that."""
    on_head_node: bool = True
    """The files lie on the head node's disk; set to False only where --data-dir is on a disk all nodes share, and
    `database` is PostgreSQL."""


class EmotionConfig(_Part):
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


class VisualConfig(_Part):
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


class TelemetryConfig(_Part):
    """The model that watches fleets, in the process of the API. It is loaded when the first samples come."""

    model: str = TELEMETRY
    """A shipped model, or a folder of `rapport maintain train`."""
    queued: int = Field(default=16, ge=1)
    """Fleets and samples under way or waiting at once; one more is 429."""


class CorrectionConfig(_Part):
    """The replicas that mend what was typed. The model, of a few megabytes, is loaded when the first text comes."""

    replicas: int = Field(default=1, ge=1)
    """Processes, each with its own copy of the model."""
    cpus: float = Field(default=0.1, ge=0)
    """Cores that Ray sets aside for each."""
    ongoing: int = Field(default=16, ge=1)
    """Requests under way at once, in each replica."""
    queued: int = Field(default=64, ge=0)
    """The same that wait for a replica; one more is 429."""


class RepliesConfig(_Part):
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


class KeepConfig(_Part):
    """How long things are kept that nobody uses any more. Without a number, until they are deleted."""

    chat_days: float | None = Field(default=None, gt=0)
    """A chat, after its last message."""
    picture_days: float | None = Field(default=None, gt=0)
    """A picture and what was asked about it, after the last question."""
    batch_days: float | None = Field(default=None, gt=0)
    """A log and what was made of it, after it was done."""
    unit_days: float | None = Field(default=None, gt=0)
    """What is known of a unit of a fleet, after its last samples."""


class CallbacksConfig(_Part):
    """Whom the service may call itself, to say that a batch has ended."""

    hosts: tuple[str, ...] = ()
    """Names of hosts; by an address or a network, private ones too. Others are 403; by default that is everybody."""
    secret: SecretStr | None = None
    """What is told is signed with it; `whsec_` and base 64, or any text. For RAPPORT_CALLBACKS__SECRET."""
    tries: int = Field(default=8, ge=1)
    """How often it is tried: after 10 seconds, then each time five times as much later, and 6 hours at most."""
    seconds: float = Field(default=10.0, gt=0)
    """How long an answer may take."""

    @model_validator(mode="after")
    def _is_signed(self) -> Self:
        if self.hosts and not self.told_secret:
            raise ValueError("callbacks.hosts needs callbacks.secret, with which what is told is signed")
        return self

    @property
    def told_secret(self) -> str:
        """The secret itself."""
        return "" if self.secret is None else self.secret.get_secret_value()


class AccessConfig(_Part):
    """Who may ask."""

    hosts: tuple[str, ...] = ()
    """Names by which the service is called, beside its machine's own: a request for another is 403. `*` for any."""
    origins: tuple[str, ...] = ()
    """Pages of other hosts that may call the API, as `https://example.org`; a request from another one is 403."""
    proxies: tuple[IPvAnyNetwork, ...] = ()
    """Addresses or networks of proxies whose X-Forwarded-For, -Proto and -Host are believed; nobody else's are."""
    read_only: bool = False
    """What would make, change or delete anything is 403; what is asked and not kept is answered."""

    keys: Path | None = None
    """A file with the keys that may ask, as `rapport keys` writes it."""
    key: SecretStr | None = None
    """One more key, called `env`; for RAPPORT_ACCESS__KEY."""
    page: SecretStr | None = None
    """The page's own key; one is made at every start."""
    required: bool | None = None
    """Whether a key is asked for; by default where the service can be reached from other machines."""

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
                raise ValueError(f"expected https://host or https://host:port, got {origin!r}")
        return tuple(origin.rstrip("/") for origin in value)

    def known_keys(self, *, is_private: bool) -> Keys:
        """The keys there are, and whether one is needed. UnusableConfig for a file that cannot be read, or for none."""
        try:
            found: tuple[Key, ...] = () if self.keys is None else read_keys(self.keys)
        except ValueError as error:
            raise UnusableConfig(str(error)) from None
        if self.key is not None:
            found = (*found, Key(name="env", hash=hash_of(self.key.get_secret_value())))
        required = not is_private if self.required is None else self.required
        if required and not found:
            raise UnusableConfig(
                "whoever reaches this service must have a key, and there is none: make one with `rapport keys NAME "
                "--file KEYS.yaml` and name the file in access.keys, or say access.required: false to let everybody in"
            )
        if self.page is not None:
            found = (*found, Key(name=PAGE, hash=hash_of(self.page.get_secret_value())))
        return Keys(keys=found, required=required)


class TlsConfig(_Part):
    """What makes it https. Both files or neither; a cluster's nodes each need them at the same place."""

    certificate: Path | None = None
    """A file with the certificate and those that vouch for it, in PEM."""
    key: Path | None = None
    """A file with its private key, in PEM, without a password."""

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("expected both a certificate and a key, or neither")
        return self

    def trust(self) -> ssl.SSLContext | bool:
        """For a client of this very service, whatever it calls it: only this certificate is good. True without one."""
        if self.certificate is None:
            return True
        context = ssl.create_default_context(cafile=self.certificate)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = False  # it is called by its address here
        return context


class RayConfig(_Part):
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


class AppConfig(BaseSettings):
    """What `rapport serve` needs to know."""

    model_config = SettingsConfigDict(
        env_prefix="RAPPORT_", env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    host: str = "127.0.0.1"
    """The address it listens on; 0.0.0.0 for all of the machine's."""
    port: int = Field(default=8000, ge=1, le=65535)
    """The port it listens on, for the page and the API."""
    root_path: str = ""
    """What a proxy in front has before every path, as `/mood`; it may take it off or pass it on."""
    data_dir: Path | None = None
    """Chats and logs. By default the platform's folder for user data."""
    database: SecretStr | None = None
    """`postgresql://user:password@host/name` for several nodes; by default SQLite in data_dir. For RAPPORT_DATABASE."""
    model: str = EMOTION
    """The model that answers where a request names none."""
    tagger: str = "dialog.emotion.tagger:EmotionTagger"
    """`module:name` of the class that labels: a dialog.emotion.port.EngineClass."""
    catalogue: str = "models.catalogue:shipped"
    """`module:name` of the function that lists the models."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is written into the logs, and all that is worse."""
    one_process: bool | None = None
    """Whether the process that listens holds the API and the emotion models too, so that a request makes no journey
    between processes: by default on one machine, with one replica of each and no GPU. What is said of calls to the
    emotion replicas (`emotion.ongoing`, `emotion.queued`) then means nothing."""
    drain_seconds: float = Field(default=25.0, ge=0)
    """A service that is told to stop takes no new work, and has so long to finish what is under way."""
    limits: Limits = Field(default_factory=Limits)
    access: AccessConfig = Field(default_factory=AccessConfig)
    tls: TlsConfig = Field(default_factory=TlsConfig)
    keep: KeepConfig = Field(default_factory=KeepConfig)
    callbacks: CallbacksConfig = Field(default_factory=CallbacksConfig)
    api: ApiConfig = Field(default_factory=ApiConfig)
    emotion: EmotionConfig = Field(default_factory=EmotionConfig)
    visual: VisualConfig = Field(default_factory=VisualConfig)
    telemetry: TelemetryConfig = Field(default_factory=TelemetryConfig)
    correction: CorrectionConfig = Field(default_factory=CorrectionConfig)
    replies: RepliesConfig = Field(default_factory=RepliesConfig)
    ray: RayConfig = Field(default_factory=RayConfig)

    @field_validator("root_path")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        found = value.rstrip("/")
        if found and not _ROOT_PATH.fullmatch(found):
            raise ValueError(f"expected a path as /mood, got {value!r}")
        return found

    @field_validator("tagger", "catalogue")
    @classmethod
    def _is_an_import_path(cls, value: str) -> str:
        module, _, name = value.partition(":")
        if not (module and name.isidentifier()):
            raise ValueError(f"expected module:name, got {value!r}")
        return value

    @classmethod
    def load(cls, file: str | Path | None = None, **overrides: Any) -> Self:
        """The settings of a YAML file (a path, or the name of a profile we ship), under overrides that are not None.

        Raises UnusableConfig for a file that is missing or no YAML, an unknown key or a wrong value.
        """
        given = {key: value for key, value in overrides.items() if value is not None}
        if file is None:
            settled: Self = _settled(cls, given)
            return settled
        written = _mapping(_profile(file))

        class FromFile(cls):  # type: ignore[valid-type, misc]
            @classmethod
            def settings_customise_sources(
                cls,
                settings_cls: type[BaseSettings],
                init_settings: PydanticBaseSettingsSource,
                env_settings: PydanticBaseSettingsSource,
                dotenv_settings: PydanticBaseSettingsSource,
                file_secret_settings: PydanticBaseSettingsSource,
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                return init_settings, env_settings, InitSettingsSource(settings_cls, written)

        # As the plain class again, which a replica in another process can be given.
        return cls.model_construct(**dict(_settled(FromFile, given)))

    def with_page_key(self) -> Self:
        """The same with a new key for the page, where one is needed; without, it is one of those who ask without."""
        if not self.access.known_keys(is_private=self.is_private).required:
            return self
        access = self.access.model_copy(update={"page": SecretStr(new_key(PAGE)[0])})
        return self.model_copy(update={"access": access})

    @property
    def database_url(self) -> str | None:
        """The URL of the database itself, with its password; None for the one in the data folder."""
        return None if self.database is None else self.database.get_secret_value()

    @property
    def is_one_process(self) -> bool:
        """Whether the process that listens answers by itself."""
        if self.one_process is not None:
            return self.one_process and self.ray.address is None
        single = self.api.replicas == self.emotion.replicas == 1 and self.emotion.max_replicas in (None, 1)
        return single and self.ray.address is None and not self.emotion.gpus

    @property
    def model_name(self) -> str:
        """What the default model is called outside: its name, or that of its folder; the path is nobody's business."""
        return Path(self.model).name if Path(self.model).is_dir() else self.model

    @property
    def scheme(self) -> Literal["http", "https"]:
        """How it is called."""
        return "http" if self.tls.certificate is None else "https"

    @property
    def door(self) -> Access:
        """What the door is told."""
        told = self.access.model_dump(include={"hosts", "origins", "proxies", "read_only"})
        return Access(host=self.host, root_path=self.root_path, **told)

    @property
    def is_private(self) -> bool:
        """Whether the service listens on its own machine alone."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def data_folder(self) -> Path:
        """The folder for data, made if it was missing and readable by its owner only.

        Where the user has no folder for data that can be written (a read-only home), a temporary one; a folder that
        was asked for by name is used or is an UnusableConfig.
        """
        folder = self.data_dir or Path(platformdirs.user_data_dir("rapport", appauthor=False))
        try:
            return _made(folder.expanduser().resolve())
        except OSError as error:
            if self.data_dir is not None:
                raise UnusableConfig(f"data_dir {self.data_dir} cannot be written: {error.strerror}") from None
            return _made(Path(tempfile.gettempdir()) / f"rapport-data-{os.getuid()}")


def _settled(cls: Any, given: dict[str, Any]) -> Any:
    try:
        return cls(**given)
    except ValueError as error:
        raise UnusableConfig(_readable(error)) from None


def _readable(error: ValueError) -> str:
    if not hasattr(error, "errors"):
        return str(error)
    return "; ".join(f"{'.'.join(str(step) for step in e['loc'])}: {e['msg']}" for e in error.errors())


def _profile(file: str | Path) -> Path:
    for path in (Path(file), PROFILES / f"{file}.yaml"):
        if path.is_file():
            return path
    shipped = ", ".join(sorted(path.stem for path in PROFILES.glob("*.yaml")))
    raise UnusableConfig(f"there is no file {file}, and it is none of the profiles {shipped}")


def _mapping(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnusableConfig(f"{path} is not YAML: {error}") from None
    if not isinstance(value, dict):
        raise UnusableConfig(f"{path}: expected settings by name, got {type(value).__name__}")
    return value


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=folder):  # a folder may exist and not be writable
        return folder
