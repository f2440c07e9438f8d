"""Batches, as the client of the service sees them."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Literal

import httpx
from pydantic import ConfigDict

from serve.wire import BatchFailure, BatchOut

__all__ = ["Batch", "BatchCalls", "BatchFailure"]

State = Literal["queued", "running", "done", "failed"]
_CHUNK = 1024**2


class Batch(BatchOut):
    """A log that the service labels in the background, as it crosses the wire."""

    model_config = ConfigDict(frozen=True)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed")


class BatchCalls:
    """The part of the client about batches. Every method raises ServiceError."""

    @abstractmethod
    def _call(self, method: str, path: str, body: Any = None, *, params: Any = None, makes: bool = False) -> Any: ...

    @abstractmethod
    def _pages(self, path: str, name: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]: ...

    @abstractmethod
    def _send(self, path: str, content: Iterator[bytes], params: dict[str, Any]) -> Any: ...

    @abstractmethod
    def _stream(self, path: str) -> AbstractContextManager[httpx.Response]: ...

    def start_batch(
        self,
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
    ) -> Batch:
        """Uploads a log to be labelled. It is read piece by piece; tried once only, since a try may be a gigabyte.

        columns says which column of a table is which (`{"text": "Comment Body"}`), and encoding what its bytes are in.
        The address in `callback` is told when it has ended; ServiceError 403 where the service may not call its host.
        """
        options: dict[str, Any] = {"filename": filename or Path(log).name, "input_format": input_format, "to": to}
        told = {"model": model, "label_set": label_set, "encoding": encoding, "callback": callback}
        options |= {name: value for name, value in told.items() if value is not None}
        if columns:
            options["column"] = [f"{role}={name}" for role, name in columns.items()]
        if anonymise:
            options["anonymise"] = "true"
        with Path(log).open("rb") as file:
            return Batch.model_validate(self._send("/batches", _pieces(file), options))

    def batch(self, batch_id: str) -> Batch:
        """How far it is."""
        return Batch.model_validate(self._call("GET", f"/batches/{batch_id}"))

    def batches(
        self,
        *,
        state: State | None = None,
        filename: str | None = None,
        since: str | None = None,
        before: str | None = None,
    ) -> Iterator[Batch]:
        """All batches of this key, the newest first: those in a state, with a text in their file's name, made between
        two times. They are asked for page by page. ServiceError 403 where the service keeps them secret."""
        asked = {"state": state, "filename": filename, "since": since, "before": before}
        return (Batch.model_validate(b) for b in self._pages("/batches", "batches", asked))

    def save_batch(self, batch_id: str, path: str | Path) -> None:
        """Writes the labelled log to a file. ServiceError 409 while there is none."""
        with self._stream(f"/batches/{batch_id}/output") as response, Path(path).open("wb") as file:
            for piece in response.iter_bytes(_CHUNK):
                file.write(piece)

    def delete_batch(self, batch_id: str) -> None:
        """Stops it and deletes the log and what was made of it. ServiceError 404 where there is none any more."""
        self._call("DELETE", f"/batches/{batch_id}")


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_CHUNK):
        yield piece
