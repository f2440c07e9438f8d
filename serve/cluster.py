"""The Ray cluster under the service: a private one that ends with it, or one that is running already."""

import contextlib
import io
import logging
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from serve.config import AppConfig
from serve.door import LIMITS_VARIABLE

_MARK = "RAPPORT_RUN"


@contextlib.contextmanager
def cluster(config: AppConfig) -> Iterator[None]:
    """Ray as the configuration wants it. Afterwards, however it ended, none of its processes and files is left."""
    import ray

    mark = secrets.token_hex(8)
    os.environ.update(_environment(config, mark))
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    # A path to a socket may have 107 characters; a folder of ours right under /tmp leaves Ray enough of them.
    folder = tempfile.mkdtemp(prefix="rapport-", dir="/tmp" if os.access("/tmp", os.W_OK) else None)
    try:
        if config.ray.address is not None:
            ray.init(address=config.ray.address, log_to_driver=config.ray.log_to_console, logging_level=logging.ERROR)
        else:
            ray.init(
                address="local",
                num_cpus=config.ray.cpus or max(2, os.cpu_count() or 1),
                object_store_memory=config.ray.object_store_mb * 1024**2,
                include_dashboard=False,
                log_to_driver=config.ray.log_to_console,
                logging_level=logging.ERROR,
                _temp_dir=folder,
                _node_ip_address="127.0.0.1",
                _metrics_export_port=config.ray.metrics_port,
            )
        yield
    finally:
        _end(ray)
        if config.ray.address is None:
            _end_left_over(mark)
        shutil.rmtree(folder, ignore_errors=True)


def _environment(config: AppConfig, mark: str) -> dict[str, str]:
    """What every process of Ray inherits.

    Whoever can reach a port of Ray can run code in it. Its ports are bound to 127.0.0.1, which other users of the
    machine reach as well; so the processes share a secret that exists in their environment only, and nothing is
    written to the home folder. A cluster that is running already has a secret of its own.
    """
    found = {
        _MARK: mark,
        LIMITS_VARIABLE: config.limits.model_dump_json(),
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve.door.for_proxy",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_LOG_TO_STDERR": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    if config.ray.address is not None:
        return found
    if config.ray.auth == "disabled":
        return {**found, "RAY_AUTH_MODE": "disabled"}
    # Ray turns tokens on by itself where it starts a cluster, but only where nothing is said; what is said after it
    # was imported it hears only in part. It remembers the first token it sees, so a second cluster has the same.
    os.environ.pop("RAY_AUTH_MODE", None)
    found["RAY_AUTH_TOKEN"] = os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32)
    return found


def _end(ray: Any) -> None:
    from ray import serve as ray_serve

    try:
        # Ray prints its own farewells to stdout; whoever stopped the service has no use for them.
        with contextlib.redirect_stdout(io.StringIO()):
            if ray.is_initialized():
                ray_serve.shutdown()
            ray.shutdown()
    except Exception as error:  # what is left is ended below, whatever this was
        logging.getLogger("rapport").warning("shutdown: %s", type(error).__name__)
    finally:
        ray.shutdown()


def _end_left_over(mark: str, seconds: float = 5.0) -> None:
    """Ends processes that carry our mark and are not us: first they are waited for, then killed."""
    deadline = time.monotonic() + seconds
    while _marked(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in _marked(mark):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _marked(mark: str) -> list[int]:
    wanted = f"{_MARK}={mark}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):  # empty where there is no /proc
        try:
            if wanted in path.read_bytes().split(b"\0") and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
