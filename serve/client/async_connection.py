"""How calls are sent by a client that is awaited: as Connection does it, and files are used beside the loop."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

import httpx

from .calls.kinds import Call, Download, E, Form, Pages, Steps, Stream, Upload, Watch
from .connection import CHUNK, answer_of, headers_of, pieces, settings
from .errors import problem_of, silence
from .retries import Patience

T = TypeVar("T")


class AsyncConnection:
    """Connection, awaited."""

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        timeout: float = 130.0,
        retries: int = 4,
        longest_wait: float = 30.0,
        key: str | None = None,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """As Client."""
        self._http = httpx.AsyncClient(
            **settings(base_url, timeout, key), verify=verify, transport=transport, follow_redirects=False
        )
        self._patience = Patience(retries, longest_wait)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connections."""
        await self._http.aclose()

    async def _do(self, call: Call[T]) -> T:
        return await self._patience.awaiting()(self._once, call, headers_of(call), call.content)

    async def _do_all(self, steps: Steps[T]) -> T:
        call = next(steps)
        while True:
            try:
                call = steps.send(await self._do(call))
            except StopIteration as done:
                found: T = done.value
                return found

    async def _go_through(self, pages: Pages[T]) -> AsyncIterator[T]:
        cursor, more = None, True
        while more:
            found, cursor = await self._do(pages.page(cursor))
            for one in found:
                yield one
            more = cursor is not None

    async def _fill_in(self, form: Form[T]) -> T:
        return await self._do(await asyncio.to_thread(form.call))

    async def _upload(self, upload: Upload[T]) -> T:
        with await asyncio.to_thread(upload.file.open, "rb") as file:
            return await self._once(upload.call(), {}, _pieces(file, upload.progress))

    async def _save(self, download: Download) -> None:
        async with self._open("GET", download.path) as response:
            with await asyncio.to_thread(download.file.open, "wb") as file:
                async for piece in response.aiter_bytes(CHUNK):
                    await asyncio.to_thread(file.write, piece)

    async def _follow(self, watch: Watch[E]) -> AsyncIterator[E]:
        known = None
        while known is None or not known.ended:
            if known is not None:
                await asyncio.sleep(watch.every)
            if (found := await self._do_all(watch.look())) != known:
                known = found
                yield found

    async def _stream(self, stream: Stream[T]) -> AsyncGenerator[str | T, None]:
        gathered, call = stream.gathering(), stream.call
        async with self._open(call.method, call.path, call.content) as response:
            async for line in response.aiter_lines():
                if piece := gathered.add(line):
                    yield piece
        yield gathered.end()

    async def _once(self, call: Call[T], headers: Mapping[str, str], content: bytes | AsyncIterator[bytes] | None) -> T:
        kind = {} if content is None else {"Content-Type": call.kind}
        try:
            response = await self._http.request(
                call.method, call.path, params=call.params, content=content, headers={**kind, **headers}
            )
        except httpx.HTTPError as error:
            raise silence(self._http.base_url, error) from error
        return answer_of(call, response)

    @asynccontextmanager
    async def _open(self, method: str, path: str, content: bytes | None = None) -> AsyncIterator[httpx.Response]:
        kind = {} if content is None else {"Content-Type": "application/json"}
        try:
            async with self._http.stream(method, path, content=content, headers=kind) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise problem_of(response)
                yield response
        except httpx.HTTPError as error:
            raise silence(self._http.base_url, error) from error


async def _pieces(file: BinaryIO, progress: Callable[[float], None] | None = None) -> AsyncIterator[bytes]:
    sent = pieces(file, progress)
    while (piece := await asyncio.to_thread(next, sent, None)) is not None:
        yield piece
