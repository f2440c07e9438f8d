"""What every request to the API passes first: an id, a bounded body, bounded waiting; and problem+json for every error.

`Door` is plain ASGI. It stands twice: in the HTTP proxy, which otherwise buffers whatever is sent to it, and around
the API itself, so that the limits hold wherever the API runs.
"""

import asyncio
import os
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.limits import Limits
from serve.problems import Refusal, of_status, overloaded, too_large, unavailable

API_PREFIX = "/v1"
LIMITS_VARIABLE = "RAPPORT_PROXY_LIMITS"
"""Where the HTTP proxy, which Ray starts and not we, finds its limits."""

_GOOD_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_HIDDEN = ("/-/routes",)  # Serve's map of every application; nobody outside needs it


class Door:
    """Around an ASGI app. Bodies under `prefix` are read here, whole, before the app sees the request."""

    def __init__(self, app: ASGIApp, limits: Limits, prefix: str = API_PREFIX) -> None:
        self._app = app
        self._limits = limits
        self._prefix = prefix
        self._held_bytes = 0
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        path = scope["path"]
        answer = _Answer(send, request_id, is_api=path == self._prefix or path.startswith(self._prefix + "/"))
        if path in _HIDDEN:
            await answer.refuse(Refusal(404, "not-found", "there is nothing at this address"), scope, receive)
        elif not answer.is_api:
            await self._app(scope, receive, answer)
        else:
            await self._admit(scope, receive, answer)

    async def _admit(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        if self._waiting >= self._limits.waiting_requests:
            refusal = overloaded("too many requests are waiting", limit="waiting_requests")
            await answer.refuse(refusal, scope, receive)
            return
        self._waiting += 1
        held = _Held(self)
        try:
            body = await self._read(Headers(scope=scope), receive, held)
            if body is not None:
                await self._app(scope, _replay(body, receive), answer)
        except Refusal as refusal:
            await answer.refuse(refusal, scope, receive)
        finally:
            held.release()
            self._waiting -= 1

    async def _read(self, headers: Headers, receive: Receive, held: "_Held") -> bytes | None:
        """The body; None if the sender went away. Refusal 408, 413 or 429."""
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            raise too_large("body_bytes", self._limits.body_bytes)
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._limits.upload_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    chunk = message.get("body", b"")
                    held.take(len(chunk))
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError:
            detail = f"the body did not arrive within {self._limits.upload_seconds:g} s"
            raise Refusal(408, "too-slow", detail, headers={"Connection": "close"}) from None


class _Held:
    """The bytes one request holds, of all that a door may hold."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._bytes = 0

    def take(self, n_bytes: int) -> None:
        limits = self._door._limits
        self._bytes += n_bytes
        self._door._held_bytes += n_bytes
        if self._bytes > limits.body_bytes:
            raise too_large("body_bytes", limits.body_bytes)
        if self._door._held_bytes > limits.waiting_bytes:
            raise overloaded("too much is waiting already", limit="waiting_bytes")

    def release(self) -> None:
        self._door._held_bytes -= self._bytes
        self._bytes = 0


class _Answer:
    """`send`, with our headers; under the API an error in another shape than problem+json is put into that shape."""

    def __init__(self, send: Send, request_id: str, *, is_api: bool) -> None:
        self._send = send
        self._request_id = request_id
        self.is_api = is_api
        self._replaced: Refusal | None = None
        self._started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            kind = headers.get("content-type", "")
            if self.is_api and message["status"] >= 400 and "json" not in kind:
                self._replaced = _from_elsewhere(message["status"], headers.get("retry-after"))
                return
            self._started = True
            headers["X-Request-ID"] = self._request_id
            if self.is_api:
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Cache-Control", "no-store")
        elif self._replaced is not None:
            if not message.get("more_body", False):
                await self._respond(self._replaced)
            return
        await self._send(message)

    async def refuse(self, refusal: Refusal, scope: Scope, receive: Receive) -> None:
        """Answers with the refusal, unless an answer has begun."""
        if not self._started:
            await self._respond(refusal)

    async def _respond(self, refusal: Refusal) -> None:
        response = refusal.response(self._request_id)
        headers = [*response.raw_headers, (b"x-request-id", self._request_id.encode())]
        await self._send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": bytes(response.body)})


def request_id_of(scope: Scope) -> str:
    """The id that a door gave this request."""
    return Headers(scope=scope)["x-request-id"]


def for_proxy() -> list[Middleware]:
    """The middlewares of the HTTP proxy. Ray calls this by its import path, in the proxy's process."""
    return [Middleware(Door, limits=Limits.model_validate_json(os.environ.get(LIMITS_VARIABLE, "{}")))]


def _request_id(scope: Scope) -> str:
    """The sender's id where it is harmless in a log, a new one otherwise; the request carries it from here on."""
    headers = MutableHeaders(scope=scope)
    sent = headers.getlist("x-request-id")
    good = len(sent) == 1 and _GOOD_ID.fullmatch(sent[0])
    headers["X-Request-ID"] = found = sent[0] if good else uuid.uuid4().hex
    return found


def _replay(body: bytes, receive: Receive) -> Receive:
    """`receive` for an app behind us: the body that was read already, then whatever comes (the disconnect)."""
    told = False

    async def replayed() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _from_elsewhere(status: int, retry_after: str | None) -> Refusal:
    """The refusal to say instead of an error that Serve or a library answered in plain text."""
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else 1.0
    if status == 429:
        return overloaded("too many requests are waiting", retry_after=seconds)
    if status in (408, 502, 503, 504):
        return unavailable("the service cannot answer now", retry_after=seconds)
    if status >= 500:
        return Refusal(500, "internal", "something went wrong here; the log has the request's id")
    return of_status(status)
