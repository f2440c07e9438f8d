"""How calls are sent by a client that waits for each answer, and how a call becomes a method of a client."""

import functools
import inspect
import os
import ssl
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, BinaryIO, Concatenate, ParamSpec, Self, TypeVar

import httpx
import orjson

from .calls.kinds import Call, Download, E, Form, Pages, Steps, Stream, Upload, Watch
from .errors import problem_of, silence
from .retries import Patience

A = TypeVar("A")
C = TypeVar("C")
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
CHUNK = 1024**2
"""Bytes of a file that are in memory at once."""


def method(way: Callable[[C, A], R], asked: Callable[P, A]) -> Callable[Concatenate[C, P], R]:
    """A method that sends what was asked in this way. Its parameters and its description are those of `asked`."""

    @functools.wraps(asked, assigned=("__name__", "__doc__"), updated=())
    def send(self: C, /, *args: P.args, **options: P.kwargs) -> R:
        return way(self, asked(*args, **options))

    taken = inspect.signature(asked).parameters.values()
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    send.__signature__ = inspect.Signature([itself, *taken])  # type: ignore[attr-defined]  # what help() shows
    return send


class Connection:
    """Sends calls, each in the way of its kind. ServiceError, from every one of them."""

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        timeout: float = 130.0,
        retries: int = 4,
        longest_wait: float = 30.0,
        key: str | None = None,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """timeout and longest_wait are in seconds; `key` is one the service gave; `verify` is httpx's, and so is
        `transport`, for tests."""
        self._http = httpx.Client(
            **settings(base_url, timeout, key), verify=verify, transport=transport, follow_redirects=False
        )
        self._patience = Patience(retries, longest_wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def _do(self, call: Call[T]) -> T:
        found: T = self._patience.waiting()(self._once, call, headers_of(call), call.content)
        return found

    def _do_all(self, steps: Steps[T]) -> T:
        call = next(steps)
        while True:
            try:
                call = steps.send(self._do(call))
            except StopIteration as done:
                found: T = done.value
                return found

    def _go_through(self, pages: Pages[T]) -> Iterator[T]:
        cursor, more = None, True
        while more:
            found, cursor = self._do(pages.page(cursor))
            yield from found
            more = cursor is not None

    def _fill_in(self, form: Form[T]) -> T:
        return self._do(form.call())

    def _upload(self, upload: Upload[T]) -> T:
        with upload.file.open("rb") as file:
            return self._once(upload.call(), {}, pieces(file, upload.progress))

    def _save(self, download: Download) -> None:
        with self._open("GET", download.path) as response, download.file.open("wb") as file:
            for piece in response.iter_bytes(CHUNK):
                file.write(piece)

    def _follow(self, watch: Watch[E]) -> Iterator[E]:
        known = None
        while known is None or not known.ended:
            if known is not None:
                time.sleep(watch.every)
            if (found := self._do_all(watch.look())) != known:
                known = found
                yield found

    def _stream(self, stream: Stream[T]) -> Generator[str | T, None, None]:
        gathered, call = stream.gathering(), stream.call
        with self._open(call.method, call.path, call.content) as response:
            for line in response.iter_lines():
                if piece := gathered.add(line):
                    yield piece
        yield gathered.end()

    def _once(self, call: Call[T], headers: Mapping[str, str], content: bytes | Iterator[bytes] | None) -> T:
        kind = {} if content is None else {"Content-Type": call.kind}
        try:
            response = self._http.request(
                call.method, call.path, params=call.params, content=content, headers={**kind, **headers}
            )
        except httpx.HTTPError as error:
            raise silence(self._http.base_url, error) from error
        return answer_of(call, response)

    @contextmanager
    def _open(self, method: str, path: str, content: bytes | None = None) -> Iterator[httpx.Response]:
        """An answer that may be large, or comes slowly; to content of JSON where there is some."""
        kind = {} if content is None else {"Content-Type": "application/json"}
        try:
            with self._http.stream(method, path, content=content, headers=kind) as response:
                if response.status_code >= 400:
                    response.read()
                    raise problem_of(response)
                yield response
        except httpx.HTTPError as error:
            raise silence(self._http.base_url, error) from error


def settings(base_url: str, timeout: float, key: str | None) -> dict[str, Any]:
    """What both kinds of httpx's clients are made with."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    if httpx.URL(base_url).host in ("127.0.0.1", "localhost", "::1"):
        headers["Accept-Encoding"] = "identity"  # on one machine compressing costs more than it saves
    return {
        "base_url": base_url.rstrip("/") + "/v1",
        "timeout": httpx.Timeout(timeout, connect=10.0),
        "headers": headers,
    }


def headers_of(call: Call[Any]) -> dict[str, str]:
    """The headers that every try of a call has in common."""
    return {"Idempotency-Key": uuid.uuid4().hex} if call.makes else {}


def answer_of(call: Call[T], response: httpx.Response) -> T:
    """What was answered, once it is read. ServiceError."""
    if response.status_code == 404 and call.may_be_gone:
        return call.read(None)
    if response.status_code >= 400:
        raise problem_of(response)
    return call.read(orjson.loads(response.content) if response.content else None)


def pieces(file: BinaryIO, progress: Callable[[float], None] | None = None) -> Iterator[bytes]:
    """A file, as it is sent; `progress` is told the share of it."""
    size = max(1, os.fstat(file.fileno()).st_size)
    while piece := file.read(CHUNK):
        yield piece
        if progress is not None:
            progress(min(1.0, file.tell() / size))
