"""What can be seen before Ray starts: a reason in a second instead of none in a quarter of an hour."""

import errno
import re
import socket
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from models.catalogue import UnknownModel, fault_of, path_of
from serve.config import AppConfig, RepliesConfig, UnusableConfig, imported
from serve.database.engine import described, url_of
from serve.emotion.choice import TASK, Choice
from serve.ray.tls import expect_usable
from serve.storage import DATABASE, Storage

_SECONDS = 3.0
_NOT_OURS = ("transformers:", "openai:", "lm:", "http://", "https://")
"""How engines begin that are loaded, or asked, by others' libraries."""
_SETTINGS = b"\x04"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + _SETTINGS + bytes(5)
"""How a call of gRPC begins, which is what Ray speaks; whoever speaks it too answers with settings of his own."""
_RAISED = re.compile(r"(?:ray\.exceptions\.)?[A-Za-z_][\w.]*(?:\(\w+\))?: \S")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def check(config: AppConfig) -> None:
    """UnusableConfig that says in a line what is in the way of a start."""
    folder = config.data_folder()
    expect_free(config.host, config.port)
    config.access.known_keys(is_private=config.is_private)
    expect_usable(config.tls)
    _expect_imports(config)
    _expect_model(config)
    _expect_other_models(config)
    _expect_database(folder / DATABASE, config.database_url)
    _expect_devices(config)
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
        taken = "; --port names another" if error.errno == errno.EADDRINUSE else ""
        raise UnusableConfig(f"cannot listen on {host}:{port}: {error.strerror}{taken}") from None


def reason(application: Any) -> str:
    """Why an application of Ray Serve has failed, in a line: what a replica raised, else what Ray says of it."""
    told = [str(deployment.message) for deployment in application.deployments.values() if deployment.message]
    for message in told:
        lines = [_COLOURS.sub("", line).strip() for line in message.splitlines()]
        raised = [line for line in lines if _RAISED.match(line) and "Traceback" not in line]
        if raised:
            return raised[-1].removeprefix("ray.exceptions.")
    return (told or [str(application.message)])[0].strip().partition("\n")[0]


def _expect_imports(config: AppConfig) -> None:
    """UnusableConfig for code of the operator's that is not there. Ours is, and takes seconds to import."""
    for place in ("catalogue", "tagger", "replies.opener", "recordings.opener"):
        part, _, name = place.rpartition(".")
        group = getattr(config, part) if part else config
        named = getattr(group, name)
        if named == type(group).model_fields[name].default:
            continue
        try:
            imported(named)
        except (ImportError, AttributeError) as error:
            raise UnusableConfig(f"{place} {named} cannot be used: {error}") from None


def _expect_model(config: AppConfig) -> None:
    ours = config.tagger == AppConfig.model_fields["tagger"].default  # of another's files we know nothing
    if Path(config.model).is_dir():
        if ours:
            _expect_whole(config.model)
        return
    known = sorted(name for name, card in Choice.of(config).cards.items() if card.task == TASK and card.labels)
    if config.model not in known:
        raise UnusableConfig(
            f"there is no model {config.model}: expected a folder, or one of {', '.join(known) or 'none'}"
        )
    if ours:
        _expect_whole(config.model)


def _expect_other_models(config: AppConfig) -> None:
    """UnusableConfig for one of ours that is not there: it would be missed when it is first asked, and not before."""
    named = [config.visual.engine, config.telemetry.model]
    if config.replies.opener == RepliesConfig.model_fields["opener"].default:
        named += config.replies.responders.values()
    for model in named:
        if not model.startswith(_NOT_OURS):
            _expect_whole(model)


def _expect_whole(model: str) -> None:
    """UnusableConfig where the files of a model are not there, or damaged, as far as that shows without loading it."""
    try:
        fault = fault_of(path_of(model))
    except UnknownModel as error:
        raise UnusableConfig(str(error)) from None
    if fault:
        raise UnusableConfig(f"the model {model} cannot be used: {fault}")


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


def _expect_devices(config: AppConfig) -> None:
    parts = (config.emotion, config.visual, config.replies)
    wanted = sum(part.gpus * part.replicas for part in parts)
    named = {part.device for part in parts} - {"auto", "cpu"}
    if config.ray.address is not None or not (wanted or named):
        return
    import torch  # a second to load, and seldom needed here

    from models.device import NoSuchDevice, choose_device

    if torch.cuda.device_count() < wanted:
        raise UnusableConfig(
            f"the configuration asks for {wanted:g} GPU(s), and this machine has {torch.cuda.device_count()}"
        )
    try:
        for device in sorted(named):
            choose_device(device)
    except NoSuchDevice as error:
        raise UnusableConfig(str(error)) from None


def _expect_cluster(address: str) -> None:
    if address == "auto":  # which Ray itself looks up at once
        return
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not (host and port.isdigit()):
        raise UnusableConfig(f"ray.address: expected auto, or host:port of a Ray cluster, got {address!r}")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _SECONDS) as asked:
            asked.sendall(_PREFACE)
            answer = asked.recv(9)
    except OSError as error:
        why = error.strerror or "no answer"
        raise UnusableConfig(f"there is no Ray cluster at {address}: {why}") from None
    if answer[3:4] != _SETTINGS:
        raise UnusableConfig(f"there is no Ray cluster at {address}: something else listens there")
