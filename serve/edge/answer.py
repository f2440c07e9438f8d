"""The answers that pass a door: with our headers, and errors in one shape, whoever made them."""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from serve.edge import logs, metrics
from serve.edge.problems import Refusal, of_status, overloaded, unavailable
from serve.edge.spool import FILE_HEADER, Spool


class Answer:
    """`send`, with our headers; under the API an error in another shape than problem+json is put into that shape.

    With a spool, an answer that names a file is sent with that file as its body. `root_path` is put before addresses
    that begin at the root.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request_id: str,
        *,
        is_api: bool,
        front: bool,
        extra: Mapping[str, str],
        spool: Spool | None,
        root_path: str = "",
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._request_id = request_id
        self._is_api = is_api
        self._front = front
        self._extra = extra
        self._spool = spool
        self._root_path = root_path
        self._replaced: Refusal | None = None
        self._file: FileResponse | None = None
        self._started = False
        self._refused = False

    async def __call__(self, message: Message) -> None:
        if self._refused:
            return
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            kind = headers.get("content-type", "")
            if self._is_api and message["status"] >= 400 and "json" not in kind:
                self._replaced = _from_elsewhere(message["status"], headers.get("retry-after"), front=self._front)
                return
            headers["X-Request-ID"] = self._request_id
            headers.update(self._extra)
            place = headers.get("location", "")
            if self._root_path and place.startswith("/") and not place.startswith(self._root_path + "/"):
                headers["Location"] = self._root_path + place
            if self._is_api:
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Cache-Control", "no-store")
            if self._spool is not None and self._is_api and FILE_HEADER in headers:
                try:
                    self._file = self._answer_of(self._spool, headers)
                except Refusal as refusal:
                    self._replaced = refusal
                return
            self._started = True
        elif self._file is not None:
            return
        elif self._replaced is not None:
            if not message.get("more_body", False):
                await self._respond(self._replaced)
            return
        await self._send(message)

    async def send_file(self) -> None:
        """The file that the app named, if it did. To be called once the app is done: a slow reader takes no place."""
        if self._file is not None:
            self._started = True
            await self._file(self._scope, self._receive, self._part)

    async def _part(self, message: Message) -> None:
        """The file or a part of it; that there is no such part, in our own words."""
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._refused = True
            at = MutableHeaders(scope=message).get("content-range")
            refusal = Refusal(message["status"], "no-such-part", "the Range is none of this file")
            refusal.headers |= {} if at is None else {"Content-Range": at}
            await self._respond(refusal)
        elif not self._refused:
            await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Answers with the refusal, unless an answer has begun. What the app says after that is dropped."""
        if self._started or self._refused:
            return
        self._refused = True
        await self._respond(refusal)

    @staticmethod
    def _answer_of(spool: Spool, headers: MutableHeaders) -> FileResponse:
        path = spool.file(headers[FILE_HEADER])
        told = {name: value for name, value in headers.items() if name not in (FILE_HEADER, "content-length")}
        return FileResponse(path, headers=told, media_type=told.get("content-type"))

    async def _respond(self, refusal: Refusal) -> None:
        metrics.REFUSALS.labels(refusal.kind, refusal.limit or "").inc()
        logs.get().warning(
            "refused",
            request_id=self._request_id,
            method=self._scope["method"],
            status=refusal.status,
            kind=refusal.kind,
            limit=refusal.limit,
        )
        response = refusal.response(self._request_id)
        extra = {"x-request-id": self._request_id, **self._extra}
        headers = [*response.raw_headers, *((k.lower().encode(), v.encode()) for k, v in extra.items())]
        await self._send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": bytes(response.body)})


def _from_elsewhere(status: int, retry_after: str | None, *, front: bool = False) -> Refusal:
    """The refusal to say instead of an error that Serve or a library answered in plain text."""
    if front and status == 404:  # of the API itself; what is behind it would have said so in JSON
        return Refusal(503, "starting", "the service is starting", retry_after=2)
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else 1.0
    if status == 429:
        return overloaded("too many requests are waiting", retry_after=seconds)
    if status in (408, 502, 503, 504) or (front and status >= 500):  # the replica died, and its requests with it
        return unavailable("the service cannot answer now", retry_after=seconds)
    if status >= 500:
        return Refusal(500, "internal", "something went wrong here; the log has the request's id")
    return of_status(status)
