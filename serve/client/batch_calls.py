"""The calls about batches."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from .calls import Call, Pages
from .things import Batch, BatchFailure, Callback, State, made

CHUNK = 1024**2
"""Bytes of a log that are in memory at once."""


def start(
    log: str | Path,
    *,
    filename: str | None,
    input_format: str,
    columns: Mapping[str, str] | None,
    encoding: str | None,
    to: str,
    model: str | None,
    label_set: str | None,
    anonymise: bool,
    callback: str | None,
) -> Call[Batch]:
    """Begins a batch; the log itself is for the client to send."""
    options: dict[str, Any] = {"filename": filename or Path(log).name, "input_format": input_format, "to": to}
    told = {"model": model, "label_set": label_set, "encoding": encoding, "callback": callback}
    options |= {name: value for name, value in told.items() if value is not None}
    if columns:
        options["column"] = [f"{role}={name}" for role, name in columns.items()]
    if anonymise:
        options["anonymise"] = "true"
    return Call(method="POST", path="/batches", params=options, kind="application/octet-stream", read=_batch)


def look(batch_id: str) -> Call[Batch]:
    """How far it is."""
    return Call(method="GET", path=f"/batches/{batch_id}", read=_batch)


def listed(*, state: State | None, filename: str | None, since: str | None, before: str | None) -> Pages[Batch]:
    """Lists batches."""
    asked = {"state": state, "filename": filename, "since": since, "before": before}
    return Pages(path="/batches", name="batches", read=_batch, asked=asked)


def pieces(file: BinaryIO, progress: Callable[[float], None] | None = None) -> Iterator[bytes]:
    """A file, as it is sent; `progress` is told the share of it."""
    size = max(1, os.fstat(file.fileno()).st_size)
    while piece := file.read(CHUNK):
        yield piece
        if progress is not None:
            progress(min(1.0, file.tell() / size))


def _batch(value: Mapping[str, Any]) -> Batch:
    called = value.get("callback")
    return made(
        Batch,
        value,
        column=tuple(value.get("column", ())),
        failures=tuple(made(BatchFailure, f) for f in value["failures"]),
        callback=None if called is None else made(Callback, called),
    )
