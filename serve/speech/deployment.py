"""Recordings as a service: the thin Ray Serve deployment around their worker, in a process of its own."""

import os
from typing import Any

from ray import serve as ray_serve

from serve.config import AppConfig
from serve.edge import logs, metrics
from serve.emotion.deployment import taggers_of
from serve.emotion.labeller import Labeller, LocalLabeller, RemoteLabeller
from serve.speech.worker import RecordingWorker
from serve.storage import DATABASE, Storage

_LONGEST_CALL_SECONDS = 6 * 3600.0
"""A recording of a day is one call."""
_NICE = 2
"""How far labels of recordings stand back behind what somebody waits for, where both are made on one machine."""


class Recordings:
    """The deployment: a worker, so that listening delays no answer."""

    def __init__(self, config: AppConfig, emotion: Any) -> None:
        logs.configure(f"recordings-{os.getpid()}", config.data_folder() / "logs", config.log_level)
        metrics.Written.begin(config.data_folder() / metrics.FOLDER)
        storage = Storage(config.data_folder() / DATABASE, url=config.database_url)
        self._worker = RecordingWorker(storage, _labeller(config, emotion), config.limits, config.recordings)
        self._worker.start()

    def check_health(self) -> None:
        """Ray asks this now and then, and begins anew where it raises."""
        if self._worker.broken:
            raise RuntimeError("a thread of the recordings has ended")


def _labeller(config: AppConfig, emotion: Any) -> Labeller:
    if emotion is not None:
        return RemoteLabeller(emotion, _LONGEST_CALL_SECONDS)
    # The process that listens for requests has the models to itself. Recordings have others, loaded with the first.
    os.nice(_NICE)
    return LocalLabeller(taggers_of(config), _LONGEST_CALL_SECONDS)


def recordings_deployment(config: AppConfig, options: dict[str, Any]) -> Any:
    """The deployment, to be bound with the configuration and the emotion deployment."""
    return ray_serve.deployment(
        Recordings,
        name="Recordings",
        num_replicas=config.recordings.replicas,
        ray_actor_options=options,
        graceful_shutdown_timeout_s=1,
        graceful_shutdown_wait_loop_s=0.2,
        max_constructor_retry_count=3,
    )
