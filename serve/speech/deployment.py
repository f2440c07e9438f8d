"""Recordings as a service: the thin Ray Serve deployment around their worker."""

from typing import Any

from serve.config import AppConfig
from serve.emotion.labeller import Labeller
from serve.leased.deployment import LeasedWork, deployment_of
from serve.speech.worker import RecordingWorker
from serve.storage import Storage


class Recordings(LeasedWork):
    """Listens to recordings in a process of its own."""

    kind = "recordings"

    def worker(self, config: AppConfig, storage: Storage, labeller: Labeller) -> RecordingWorker:
        """Who listens, and labels the words."""
        return RecordingWorker(storage, labeller, config.limits, config.recordings)


def recordings_deployment(config: AppConfig, options: dict[str, Any]) -> Any:
    """The deployment, to be bound with the configuration and the emotion deployment."""
    return deployment_of(Recordings, config.recordings.replicas, options)
