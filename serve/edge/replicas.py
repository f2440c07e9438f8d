"""How a deployment of models stands on Ray: the same for every capability but for its numbers."""

from typing import Any, Protocol

from ray import serve as ray_serve


class Wanted(Protocol):
    """What the configuration says of the replicas of one capability."""

    replicas: int
    cpus: float
    ongoing: int
    queued: int


def replicated(kind: type[Any], name: str, wanted: Wanted, *, gpus: float = 0.0) -> Any:
    """The deployment of `kind`, to be bound with the configuration."""
    return ray_serve.deployment(
        kind,
        name=name,
        num_replicas=wanted.replicas,
        max_ongoing_requests=wanted.ongoing,
        max_queued_requests=wanted.queued,
        ray_actor_options={"num_cpus": wanted.cpus, "num_gpus": gpus},
        graceful_shutdown_timeout_s=10,
        graceful_shutdown_wait_loop_s=0.2,
        max_constructor_retry_count=3,
    )
