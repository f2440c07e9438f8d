"""What can be seen before Ray starts: a reason in a second instead of none in a quarter of an hour."""

import re
import socket
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from serve.config import AppConfig, UnusableConfig
from serve.database.engine import described, url_of
from serve.emotion.choice import TASK, Choice
from serve.ray.tls import expect_usable
from serve.storage import DATABASE, Storage

_SECONDS = 3.0
_RAISED = re.compile(r"(?:ray\.exceptions\.)?[A-Za-z_][\w.]*(?:\(\w+\))?: \S")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def check(config: AppConfig) -> None:
    """UnusableConfig that says in a line what is in the way of a start."""
    folder = config.data_folder()
    expect_free(config.host, config.port)
    config.access.known_keys(is_private=config.is_private)
    expect_usable(config.tls)
    _expect_model(config)
    _expect_database(folder / DATABASE, config.database_url)
    _expect_gpus(config)
    if config.ray.address is not None:
        _expect_cluster(config.ray.address)


def expect_free(host: str, port: int) -> None:
    """UnusableConfig where something listens there already, or the host is none of ours."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise UnusableConfig(f"cannot listen on {host}:{port}: {error.strerror}") from None


def reason(application: Any) -> str:
    """Why an application of Ray Serve has failed, in a line: what a replica raised, else what Ray says of it."""
    told = [str(deployment.message) for deployment in application.deployments.values() if deployment.message]
    for message in told:
        lines = [_COLOURS.sub("", line).strip() for line in message.splitlines()]
        raised = [line for line in lines if _RAISED.match(line) and "Traceback" not in line]
        if raised:
            return raised[-1].removeprefix("ray.exceptions.")
    return (told or [str(application.message)])[0].strip().partition("\n")[0]


def _expect_model(config: AppConfig) -> None:
    if Path(config.model).is_dir():
        return
    try:
        choice = Choice.of(config)
    except (ImportError, AttributeError) as error:
        raise UnusableConfig(f"catalogue {config.catalogue} cannot be used: {error}") from None
    known = sorted(name for name, card in choice.cards.items() if card.task == TASK and card.labels)
    if config.model not in known:
        raise UnusableConfig(
            f"there is no model {config.model}: expected a folder, or one of {', '.join(known) or 'none'}"
        )


def _expect_database(path: Path, url: str | None) -> None:
    if url is None and not path.exists():
        return
    try:
        Storage(path, url=url, patience=_SECONDS).close()
    except ValueError as error:  # of a newer release, or no URL
        raise UnusableConfig(str(error)) from None
    except (DBAPIError, OSError) as error:
        name = path if url is None else url_of(url).render_as_string(hide_password=True)
        why = described(error) if isinstance(error, DBAPIError) else error
        raise UnusableConfig(f"the database {name} cannot be used: {why}") from None


def _expect_gpus(config: AppConfig) -> None:
    wanted = sum(part.gpus * part.replicas for part in (config.emotion, config.visual, config.replies))
    if not wanted or config.ray.address is not None:
        return
    import torch  # a second to load, and seldom needed here

    if torch.cuda.device_count() < wanted:
        raise UnusableConfig(
            f"the configuration asks for {wanted:g} GPU(s), and this machine has {torch.cuda.device_count()}"
        )


def _expect_cluster(address: str) -> None:
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not (host and port.isdigit()):  # `auto`, which Ray itself looks up at once
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except OSError as error:
        why = error.strerror or "no answer"
        raise UnusableConfig(f"there is no Ray cluster at {address}: {why}") from None
