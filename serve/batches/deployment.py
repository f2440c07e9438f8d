"""Batches as a service: the thin Ray Serve deployment around their workers."""

import os
from typing import Any

from ray import serve as ray_serve

from serve.batches.caller import Caller
from serve.batches.worker import Worker
from serve.config import AppConfig
from serve.edge import logs, metrics
from serve.emotion.deployment import taggers_of
from serve.emotion.labeller import Labeller, LocalLabeller, RemoteLabeller
from serve.storage import DATABASE, Storage

_LONGEST_CALL_SECONDS = 6 * 3600.0
"""A conversation of 100,000 messages is one call."""
_NICE = 2
"""How far a log stands back behind what somebody waits for, where both are labelled on one machine."""


class Batches:
    """The deployment: a worker in a process of its own, so that reading and writing logs delays no answer. There may be
    several, on several machines: they share every batch."""

    def __init__(self, config: AppConfig, emotion: Any, *_beside: Any) -> None:
        # What stands beside us comes so that Ray starts it too.
        logs.configure(f"batches-{os.getpid()}", config.data_folder() / "logs", config.log_level)
        metrics.Written.begin(config.data_folder() / metrics.FOLDER)
        storage = Storage(config.data_folder() / DATABASE, url=config.database_url)
        caller = Caller(storage, config.callbacks, root_path=config.root_path)
        self._worker = Worker(storage, _labeller(config, emotion), config.limits, config.batches, caller=caller)
        self._worker.start()

    def check_health(self) -> None:
        """Ray asks this now and then, and begins anew where it raises."""
        if self._worker.broken:
            raise RuntimeError("a thread of the batches has ended")


def _labeller(config: AppConfig, emotion: Any) -> Labeller:
    if emotion is not None:
        return RemoteLabeller(emotion, _LONGEST_CALL_SECONDS)
    # The process that listens has the models to itself. Logs have others, loaded with the first, and wait for people.
    os.nice(_NICE)
    return LocalLabeller(taggers_of(config), _LONGEST_CALL_SECONDS)


def batches_deployment(config: AppConfig, options: dict[str, Any]) -> Any:
    """The deployment, to be bound with the configuration and the emotion deployment."""
    return ray_serve.deployment(
        Batches,
        name="Batches",
        num_replicas=config.batches.replicas,
        ray_actor_options=options,
        graceful_shutdown_timeout_s=1,
        graceful_shutdown_wait_loop_s=0.2,
        max_constructor_retry_count=3,
    )
