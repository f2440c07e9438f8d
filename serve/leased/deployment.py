"""What the deployments of leased work have in common: a process of its own, and the models it labels with."""

import os
from typing import Any

from ray import serve as ray_serve

from serve.config import AppConfig
from serve.edge import logs, metrics
from serve.emotion.deployment import taggers_of
from serve.emotion.labeller import Labeller, LocalLabeller, RemoteLabeller
from serve.leased.worker import LeasingWorker
from serve.storage import DATABASE, Storage

_LONGEST_CALL_SECONDS = 6 * 3600.0
"""A conversation of 100,000 messages, or a recording of a day, is one call."""
_NICE = 2
"""How far it stands back behind what somebody waits for, where both are labelled on one machine."""


class LeasedWork:
    """The deployment of a worker, so that what takes long delays no answer. There may be several, on several machines:
    they share the work."""

    kind: str
    """What it is called in logs."""

    def __init__(self, config: AppConfig, emotion: Any, *_beside: Any) -> None:
        # What stands beside us comes so that Ray starts it too.
        logs.configure(f"{self.kind}-{os.getpid()}", config.data_folder() / "logs", config.log_level)
        metrics.Written.begin(config.data_folder() / metrics.FOLDER)
        storage = Storage(config.data_folder() / DATABASE, url=config.database_url)
        self._worker = self.worker(config, storage, _labeller(config, emotion))
        self._worker.start()

    def worker(self, config: AppConfig, storage: Storage, labeller: Labeller) -> LeasingWorker:
        """Who does the work."""
        raise NotImplementedError

    def check_health(self) -> None:
        """Ray asks this now and then, and begins anew where it raises."""
        if self._worker.broken:
            raise RuntimeError(f"a thread of the {self.kind} has ended")


def deployment_of(work: type[LeasedWork], replicas: int, options: dict[str, Any]) -> Any:
    """The deployment, to be bound with the configuration and the emotion deployment."""
    return ray_serve.deployment(
        work,
        name=work.__name__,
        num_replicas=replicas,
        ray_actor_options=options,
        graceful_shutdown_timeout_s=1,
        graceful_shutdown_wait_loop_s=0.2,
        max_constructor_retry_count=3,
    )


def _labeller(config: AppConfig, emotion: Any) -> Labeller:
    if emotion is not None:
        return RemoteLabeller(emotion, _LONGEST_CALL_SECONDS)
    # The process that listens has the models to itself. Such work has others, loaded with the first, and waits.
    os.nice(_NICE)
    return LocalLabeller(taggers_of(config), _LONGEST_CALL_SECONDS)
