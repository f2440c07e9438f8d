"""The Ray cluster under the service: a private one that ends with it, or one that is running already."""

import contextlib
import io
import logging
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from serve.config import AppConfig
from serve.edge import metrics
from serve.edge.access import ACCESS_VARIABLE
from serve.edge.door import LIMITS_VARIABLE, LOG_LEVEL_VARIABLE, LOGS_VARIABLE, SECRET_VARIABLE, SPOOL_VARIABLE
from serve.edge.drain import DRAIN_VARIABLE, stopping_file
from serve.edge.keys import KEYS_VARIABLE
from serve.edge.metrics import METRICS_VARIABLE
from serve.ray import within
from serve.ray.processes import none_left_behind
from serve.ray.sitter import sitter
from serve.ray.within import CONFIG_VARIABLE, DATABASE_VARIABLE

# A path to a socket may have 107 characters; a folder of ours right under /tmp leaves Ray enough of them.
_ROOT = "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()
_PREFIX = "rapport-"


@contextlib.contextmanager
def cluster(config: AppConfig) -> Iterator[None]:
    """Ray as the configuration wants it. Afterwards, however it ended, none of its processes and files is left.

    To be entered and left by one and the same thread, which lives in between: Ray ties the life of its processes to
    that of the thread that began them.
    """
    import ray

    os.environ.update(_environment(config))
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    _sweep()
    folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_ROOT)
    try:
        with sitter(folder), none_left_behind():
            try:
                _begin(ray, config, folder)
                yield
            finally:
                _end(ray)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _begin(ray: Any, config: AppConfig, folder: str) -> None:
    common = {"log_to_driver": config.ray.log_to_console, "logging_level": logging.ERROR}
    if config.ray.address is not None:
        ray.init(address=config.ray.address, **common)
        return
    # On Windows and macOS Ray keeps a cluster of one machine to 127.0.0.1, which is what we want here too: nothing
    # that listens elsewhere, and a laptop that may change its network.
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
    with _patience(ray):
        ray.init(
            address="local",
            num_cpus=config.ray.cpus or max(2, os.cpu_count() or 1),
            object_store_memory=config.ray.object_store_mb * 1024**2,
            include_dashboard=False,
            _temp_dir=folder,
            _metrics_export_port=config.ray.metrics_port,
            **common,
        )


@contextlib.contextmanager
def _patience(ray: Any, seconds: float = 180.0) -> Iterator[None]:
    """Ray gives a node 30 s to start, and says so nowhere but in its code; a machine under load needs longer."""
    services = ray._private.services
    ask = services.get_node

    def keep_asking(*args: Any, **named: Any) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            try:
                return ask(*args, **named)
            except RuntimeError:  # not there yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)

    services.get_node = keep_asking
    try:
        yield
    finally:
        services.get_node = ask


def _environment(config: AppConfig) -> dict[str, str]:
    """What every process of Ray inherits.

    Whoever can speak to Ray's ports can run code in it, and other users of the machine reach 127.0.0.1 too. So the
    processes share a secret, which exists in their environment only; nothing is written to the home folder. A cluster
    that is running already has a secret of its own.
    """
    folder = config.data_folder()
    found = {
        LIMITS_VARIABLE: config.limits.model_dump_json(),
        **_keys(config),
        ACCESS_VARIABLE: config.door.model_dump_json(),
        METRICS_VARIABLE: str(folder / metrics.FOLDER),
        SPOOL_VARIABLE: str(folder),
        DRAIN_VARIABLE: str(stopping_file(folder)),
        LOGS_VARIABLE: str(folder / "logs"),
        LOG_LEVEL_VARIABLE: config.log_level,
        # Whom to believe is for our door to say; the server under it would believe whatever is on this machine.
        "FORWARDED_ALLOW_IPS": "nobody",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": (
            "serve.ray.within.middlewares" if config.is_one_process else "serve.edge.door.for_proxy"
        ),
        CONFIG_VARIABLE: within.told(config),
        **({} if config.database_url is None else {DATABASE_VARIABLE: config.database_url}),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_LOG_TO_STDERR": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        # Ray's workers are nice to everything else on the machine, which starves a service where much else runs.
        "RAY_worker_niceness": "0",
        # Ray's defaults give up on a machine that is busy with something else.
        "RAY_agent_register_timeout_ms": "300000",
        "RAY_worker_register_timeout_seconds": "300",
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120",
        "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "30",
        # There is one proxy; if it dies, the sooner that is seen the better.
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "2",
        # Ray's controller looks around ten times a second, which costs a twentieth of a core while nothing happens.
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.3",
        # Every request crossed two threads in the proxy and two in a replica, each with an event loop of its own.
        # Nothing of ours blocks the one loop: models, disk and pages work in threads.
        "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
        "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
        "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1000",
        "TOKENIZERS_PARALLELISM": "false",
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    if config.ray.address is not None:
        return found
    found["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # see _begin
    if config.ray.auth == "disabled":
        return {**found, "RAY_AUTH_MODE": "disabled"}
    # Ray turns tokens on by itself where it starts a cluster, but only where nothing is said; what is said after it
    # was imported it hears only in part. It remembers the first token it sees, so a second cluster has the same.
    os.environ.pop("RAY_AUTH_MODE", None)
    found["RAY_AUTH_TOKEN"] = os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32)
    return found


def _keys(config: AppConfig) -> dict[str, str]:
    """The hashes for the door, and by what the API knows that the door was passed."""
    return {
        KEYS_VARIABLE: config.access.known_keys(is_private=config.is_private).model_dump_json(),
        SECRET_VARIABLE: secrets.token_hex(16),
    }


def _end(ray: Any) -> None:
    from ray import serve as ray_serve

    try:
        # Ray prints its own farewells to stdout; whoever stopped the service has no use for them.
        with contextlib.redirect_stdout(io.StringIO()):
            if ray.is_initialized():
                end: Any = ray_serve.shutdown  # which has no types
                end()
            ray.shutdown()
    except Exception as error:  # what is left is ended below, whatever this was
        logging.getLogger("rapport").warning("shutdown: %s", type(error).__name__)
    finally:
        ray.shutdown()


def _sweep() -> None:
    """Removes the folders of services that were killed before they could do it themselves."""
    for folder in Path(_ROOT).glob(f"{_PREFIX}*-*"):
        process = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdigit() and folder.stat().st_uid == os.getuid() and not _lives(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
