"""Logs of any size, labelled in the background."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .kinds import Call, Download, Pages, State, Upload, Watch, deletion, given, made, one_step


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchFailure:
    """One item of a log that could not be read or labelled. `line` is where it stands; 0: the whole log."""

    id: str
    line: int | None
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Callback:
    """What became of telling an address that a batch has ended. Times are UTC."""

    url: str
    state: Literal["waiting", "delivered", "failed"]
    tries: int
    tried: str | None
    status: int | None
    error: str | None
    due: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A log that the service labels in the background. Times are UTC; `fraction` is how much of it has been read."""

    id: str
    created: str
    state: State
    filename: str
    input_format: str
    column: tuple[str, ...] = ()
    """Columns that were named, as ROLE=NAME."""
    encoding: str | None = None
    to: str
    model: str
    model_version: str | None
    anonymise: bool
    bytes: int
    started: str | None
    finished: str | None
    fraction: float
    ahead: int
    """How many batches will be begun before this one."""
    conversations: int
    """Labelled so far."""
    failed: int
    utterances: int
    failures: tuple[BatchFailure, ...]
    """The first of them."""
    error: str | None
    """Why all of it failed."""
    callback: Callback | None = None
    output: str | None
    """Where the labelled log is, once it is done."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed")


def start_batch(
    log: str | Path,
    *,
    filename: str | None = None,
    input_format: str = "auto",
    columns: Mapping[str, str] | None = None,
    encoding: str | None = None,
    to: str = "jsonl",
    model: str | None = None,
    label_set: str | None = None,
    anonymise: bool = False,
    callback: str | None = None,
) -> Upload[Batch]:
    """Uploads a log to be labelled. It is read piece by piece; tried once only, since a try may be a gigabyte.

    columns says which column of a table is which (`{"text": "Comment Body"}`), and encoding what its bytes are in.
    The address in `callback` is told when it has ended; ServiceError 403 where the service may not call its host.
    """
    options: dict[str, Any] = {"filename": filename or Path(log).name, "input_format": input_format, "to": to}
    options |= given(model=model, label_set=label_set, encoding=encoding, callback=callback)
    if columns:
        options["column"] = [f"{role}={name}" for role, name in columns.items()]
    if anonymise:
        options["anonymise"] = "true"
    return Upload(path="/batches", file=Path(log), params=options, read=_batch)


def batch(batch_id: str) -> Call[Batch]:
    """How far it is."""
    return Call(method="GET", path=f"/batches/{batch_id}", read=_batch)


def batches(
    *, state: State | None = None, filename: str | None = None, since: str | None = None, before: str | None = None
) -> Pages[Batch]:
    """All batches of this key: those in a state, with a text in their file's name."""
    asked = {"state": state, "filename": filename, "since": since, "before": before}
    return Pages(path="/batches", name="batches", read=_batch, asked=asked)


def follow_batch(batch_id: str, *, every: float = 1.0) -> Watch[Batch]:
    """The batch as it is, and again whenever it is further, until it has ended. Asks every so many seconds."""
    return Watch(lambda: one_step(batch(batch_id)), every)


def save_batch(batch_id: str, path: str | Path) -> Download:
    """Writes the labelled log to a file. ServiceError 409 while there is none."""
    return Download(f"/batches/{batch_id}/output", Path(path))


def delete_batch(batch_id: str) -> Call[None]:
    """Stops it and deletes the log and what was made of it. ServiceError 404 where there is none any more."""
    return deletion(f"/batches/{batch_id}")


def _batch(value: Mapping[str, Any]) -> Batch:
    called = value.get("callback")
    return made(
        Batch,
        value,
        column=tuple(value.get("column", ())),
        failures=tuple(made(BatchFailure, f) for f in value["failures"]),
        callback=None if called is None else made(Callback, called),
    )
