"""Bodies too large for the memory: a log goes to the disk while it arrives, and a result comes from there.

Ray's HTTP proxy passes messages on as fast as they come and lets them pile up behind it, so a gigabyte would stand in
its memory. The door in the proxy therefore writes a log to a file and passes on its name alone; in the other direction
the API names a file, and the door sends it at the pace of whoever reads.
"""

import asyncio
import contextlib
import errno
import os
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from serve.edge.compression import Inflater, inflater_for
from serve.edge.limits import Limits
from serve.edge.problems import Refusal, disk_full, overloaded, too_large, too_slow

FRONT_HEADER = "x-rapport-front"
"""On a request that a door in the proxy has passed on; that door takes it off whatever a client sends."""
LOG_HEADER = "x-rapport-log"
"""On such a request: the name of the file with its body."""
FILE_HEADER = "x-rapport-file"
"""On an answer: the file to send as its body, relative to the spool's folder."""

UPLOADS = "batches/uploads"
"""The folder under the spool's own where they arrive."""
SPOOLED = {"/batches": "log_bytes", "/recordings": "recording_bytes"}
"""Where a body that is posted goes to a file, and the name of the limit it has there."""

_NAME = re.compile(r"[0-9a-f]{32}")
_AT_ONCE = 1024**2  # bytes gathered before they are written


class SenderLeft(Exception):
    """Whoever sent the body hung up."""


class Spool:
    """Files under a folder: `batches/uploads/` are logs and recordings that have arrived and wait to be taken."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self._limits = limits
        self._arriving = 0

    @contextlib.asynccontextmanager
    async def receive(self, headers: Headers, receive: Receive, limit: str = "log_bytes") -> AsyncIterator[str]:
        """The name of the file that holds the body, uncompressed, deleted afterwards unless somebody has moved it away.
        `limit` is the name of what bounds it.

        Refusal 400, 408, 413, 415, 429, 507; SenderLeft.
        """
        length, inflater = headers.get("content-length", ""), inflater_for(headers)
        if length.isdigit():
            self._expect(int(length), limit)
        if self._arriving >= self._limits.logs_arriving:
            raise overloaded("too many files arrive at once", limit="logs_arriving", retry_after=5)
        self._arriving += 1
        name = uuid.uuid4().hex
        path = self._upload(name)
        try:
            with _room_on_disk():
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                async with asyncio.timeout(self._limits.log_seconds):
                    await self._write(path, receive, inflater, limit)
            yield name
        except TimeoutError:
            raise too_slow(f"the file did not arrive within {self._limits.log_seconds:g} s") from None
        finally:
            self._arriving -= 1
            path.unlink(missing_ok=True)

    def arrived(self, name: str) -> Path:
        """The file of that name, which a header brought. Refusal 400 for any that is not there."""
        path = self._upload(name)
        if not _NAME.fullmatch(name) or not path.is_file():
            raise Refusal(400, "no-log", "there is no file in this request")
        return path

    def file(self, name: str) -> Path:
        """A file under the folder, for an answer. Refusal 404 where there is none."""
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder.resolve()) or not path.is_file():
            raise Refusal(404, "not-found", "there is no such file any more")
        return path

    async def _next(self, receive: Receive) -> Message:
        try:
            async with asyncio.timeout(self._limits.idle_seconds):
                return await receive()
        except TimeoutError:
            raise too_slow(f"nothing of the file came for {self._limits.idle_seconds:g} s") from None

    def _upload(self, name: str) -> Path:
        return self.folder / UPLOADS / name

    async def _write(self, path: Path, receive: Receive, inflater: Inflater | None, limit: str) -> None:
        arrived, written, waiting, more = 0, 0, bytearray(), True
        with path.open("xb", buffering=0) as file:
            while more:
                message = await self._next(receive)
                if message["type"] == "http.disconnect":
                    raise SenderLeft
                waiting += message.get("body", b"")
                more = message.get("more_body", False)
                if len(waiting) >= _AT_ONCE or not more:
                    arrived += len(waiting)
                    self._expect(arrived, limit)
                    written = await asyncio.to_thread(
                        self._add, file.fileno(), bytes(waiting), written, inflater, limit
                    )
                    waiting.clear()
            if inflater is not None:
                inflater.end()
            # What is accepted outlives a loss of power.
            await asyncio.to_thread(os.fsync, file.fileno())

    def _add(self, file: int, data: bytes, written: int, inflater: Inflater | None, limit: str) -> int:
        """How much has been written with these bytes, or with what they are when they are not compressed."""
        for piece in (data,) if inflater is None else inflater.feed(data):
            written += len(piece)
            self._expect(written, limit)
            _write_all(file, piece)
        return written

    def _expect(self, n_bytes: int, limit: str) -> None:
        if n_bytes > (allowed := getattr(self._limits, limit)):
            raise too_large(limit, allowed)


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


@contextlib.contextmanager
def _room_on_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full() from None
        raise
