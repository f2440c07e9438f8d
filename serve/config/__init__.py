"""Every setting of the service: a class a group, and AppConfig, which has them all and reads them."""

from serve.config.access import AccessConfig, CallbacksConfig, TlsConfig
from serve.config.app import AppConfig
from serve.config.kept import KeepConfig
from serve.config.part import UnusableConfig
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
from serve.config.sources import PROFILES, imported
from serve.config.watching import WatchConfig

__all__ = [
    "PROFILES",
    "AccessConfig",
    "ApiConfig",
    "AppConfig",
    "BatchesConfig",
    "CallbacksConfig",
    "CorrectionConfig",
    "EmotionConfig",
    "KeepConfig",
    "RayConfig",
    "RecordingsConfig",
    "RepliesConfig",
    "TelemetryConfig",
    "TlsConfig",
    "UnusableConfig",
    "VisualConfig",
    "WatchConfig",
    "imported",
]
