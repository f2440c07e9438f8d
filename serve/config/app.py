"""The settings of the service as a whole: defaults, then a YAML file, then RAPPORT_* variables, then the command
line."""

import ipaddress
import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from models.catalogue import EMOTION
from serve.config.access import AccessConfig, CallbacksConfig, TlsConfig
from serve.config.kept import KeepConfig, folder_for_data
from serve.config.processes import (
    ApiConfig,
    BatchesConfig,
    CorrectionConfig,
    EmotionConfig,
    RayConfig,
    RecordingsConfig,
    RepliesConfig,
    TelemetryConfig,
    VisualConfig,
)
from serve.config.sources import settled, written_in
from serve.config.watching import WatchConfig
from serve.edge.access import Access
from serve.edge.keys import PAGE, new_key
from serve.edge.limits import Limits

_ROOT_PATH = re.compile(r"(/(?!v1(?:/|$))[A-Za-z0-9._~-]+)+")


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
    batches: BatchesConfig = Field(default_factory=BatchesConfig)
    visual: VisualConfig = Field(default_factory=VisualConfig)
    telemetry: TelemetryConfig = Field(default_factory=TelemetryConfig)
    correction: CorrectionConfig = Field(default_factory=CorrectionConfig)
    replies: RepliesConfig = Field(default_factory=RepliesConfig)
    recordings: RecordingsConfig = Field(default_factory=RecordingsConfig)
    watch: WatchConfig = Field(default_factory=WatchConfig)
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
            found: Self = settled(cls, given)
            return found
        written = written_in(file)

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
        return cls.model_construct(**dict(settled(FromFile, given)))

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
        """The folder for data, made if it was missing. UnusableConfig where `data_dir` cannot be written."""
        return folder_for_data(self.data_dir)
