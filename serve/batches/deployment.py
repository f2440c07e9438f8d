"""Batches as a service: the thin Ray Serve deployment around their workers."""

from typing import Any

from serve.batches.caller import Caller
from serve.batches.worker import Worker
from serve.config import AppConfig
from serve.emotion.labeller import Labeller
from serve.leased.deployment import LeasedWork, deployment_of
from serve.storage import Storage


class Batches(LeasedWork):
    """Reads, labels and writes logs in a process of its own."""

    kind = "batches"

    def worker(self, config: AppConfig, storage: Storage, labeller: Labeller) -> Worker:
        """Who labels them, and calls those back who wait for one."""
        caller = Caller(storage, config.callbacks, root_path=config.root_path)
        return Worker(storage, labeller, config.limits, config.batches, caller=caller)


def batches_deployment(config: AppConfig, options: dict[str, Any]) -> Any:
    """The deployment, to be bound with the configuration and the emotion deployment."""
    return deployment_of(Batches, config.batches.replicas, options)
