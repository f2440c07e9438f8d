"""What every request passes first: an id and a bounded body; for the API bounded waiting, and problem+json for errors.

`Door` is plain ASGI. It stands twice: in the HTTP proxy, which otherwise buffers whatever is sent to it, and around
the API itself, so that the limits hold wherever the API runs.
"""

import asyncio
import os
import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.edge import logs, metrics
from serve.edge.access import ACCESS_VARIABLE, Access
from serve.edge.answer import Answer
from serve.edge.compression import Inflater, compressing, inflater_for
from serve.edge.drain import DRAIN_VARIABLE, UNDER_WAY_HEADER, Drain
from serve.edge.heads import watch
from serve.edge.keys import KEYS_VARIABLE, OWNER_HEADER, Keys, Pace, expect_scope
from serve.edge.limits import Limits
from serve.edge.metrics import METRICS_VARIABLE
from serve.edge.problems import Refusal, headers_too_large, overloaded, too_slow
from serve.edge.room import Held, Room
from serve.edge.spool import FRONT_HEADER, LOG_HEADER, SPOOLED, SenderLeft, Spool

API_PREFIX = "/v1"
PICTURE_PATHS = ("/visual-dialogs", "/visual-answers", "/chat/completions")
"""Where a body may have a picture in it."""
LIMITS_VARIABLE = "RAPPORT_PROXY_LIMITS"
"""Where the HTTP proxy, which Ray starts and not we, finds its limits."""
SPOOL_VARIABLE = "RAPPORT_PROXY_SPOOL"
"""And the folder for what is too large for its memory."""
SECRET_VARIABLE = "RAPPORT_PROXY_SECRET"
"""And what it writes on a request, so that whoever is behind it knows that it has asked for the key. A proxy of a
cluster that was there before us knows neither secret nor keys, and leaves them to the API."""
LOGS_VARIABLE, LOG_LEVEL_VARIABLE = "RAPPORT_PROXY_LOGS", "RAPPORT_PROXY_LOG_LEVEL"
"""And where it writes what it refused."""

_GOOD_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_HIDDEN = ("/-/routes",)  # Serve's map of every application; nobody outside needs it
METRICS_PATH = "/metrics"
LIVE, READY = "/health/live", "/health/ready"
"""Probes take no place, and are answered however busy the service is: an orchestrator kills whoever does not answer."""


class Door:
    """Around an ASGI app. Bodies under `prefix` are read here, whole, before the app sees the request: into memory, or
    with a `spool` into a file where they are logs. Bodies for anything else are counted while they pass.

    `front` is the door in the proxy, which has another one behind it.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        prefix: str = API_PREFIX,
        *,
        spool: Spool | None = None,
        front: bool = False,
        drain: Drain | None = None,
        access: Access | None = None,
        keys: Keys | None = None,
    ) -> None:
        self._app = app
        self._limits = limits
        self._prefix = prefix
        self._spool = spool
        self._front = front
        self._api_bytes = Room("waiting_bytes", limits.waiting_bytes)
        self._page_bytes = Room("page_waiting_bytes", limits.page_waiting_bytes)
        self._drain = drain or Drain()
        self._access = access or Access()
        self._keys = keys
        self._pace = Pace()
        self._secret = os.environ.get(SECRET_VARIABLE)
        self._waiting = 0
        self._under_way = 0
        self._arriving: Counter[str] = Counter()

    @property
    def under_way(self) -> int:
        """Requests for the API that are not answered to their end yet."""
        return self._under_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # nothing of ours speaks it, and nothing here would be asked for its key
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        outermost = not self._is_passed_on(scope)
        if outermost:
            self._access.enter(scope)
        if scope["path"] == METRICS_PATH:  # where those who collect figures look for them
            scope["path"] = self._prefix + METRICS_PATH
            scope["raw_path"] = scope["path"].encode()
        path = scope["path"]
        if path == self._prefix or path.startswith(self._prefix + "/"):

            async def inside(scope: Scope, receive: Receive, send: Send) -> None:
                await self._let_in(scope, receive, send, request_id, outermost=outermost, is_api=True)

            await compressing(inside)(scope, receive, send)
        else:
            await self._let_in(scope, receive, send, request_id, outermost=outermost, is_api=False)

    def _is_passed_on(self, scope: Scope) -> bool:
        """Whether another door of ours has looked at this request already."""
        return not self._front and bool(self._secret) and Headers(scope=scope).get(FRONT_HEADER) == self._secret

    async def _let_in(
        self, scope: Scope, receive: Receive, send: Send, request_id: str, *, outermost: bool, is_api: bool
    ) -> None:
        path, headers = scope["path"], Headers(scope=scope)
        answer = Answer(
            scope,
            receive,
            send,
            request_id,
            is_api=is_api,
            front=self._front,
            extra=self._access.cors(headers) if is_api else {},
            spool=self._sends_files(scope),
            root_path=self._access.root_path if outermost else "",
        )
        try:
            if sum(len(name) + len(value) for name, value in scope["headers"]) > self._limits.header_bytes:
                raise headers_too_large(self._limits.header_bytes)
            if outermost:
                self._access.check(headers)
                self._identify(scope, path, is_api=is_api)
            if path in _HIDDEN:
                raise Refusal(404, "not-found", "there is nothing at this address")
            if path == self._access.root_path != "":  # the page's own links begin after the slash
                await RedirectResponse(f"{path}/", 308)(scope, receive, answer)
            elif is_api and scope["method"] == "OPTIONS" and (allowed := self._access.preflight(headers)) is not None:
                await Response(status_code=204, headers=dict(allowed))(scope, receive, send)
            elif not is_api:
                await self._pass(scope, receive, answer)
            elif scope["method"] in ("GET", "HEAD") and path.removeprefix(self._prefix) in (LIVE, READY):
                await self._probe(scope, receive, answer)
            else:
                await self._work(scope, receive, answer)
        except Refusal as refusal:
            await answer.refuse(refusal)

    def _identify(self, scope: Scope, path: str, *, is_api: bool) -> None:
        """Writes whose key it is onto the request, at the outermost door that knows the keys. Refusal 401, 403, 429."""
        headers = MutableHeaders(scope=scope)
        del headers[OWNER_HEADER]
        inside = path.removeprefix(self._prefix)
        # Browsers ask whether they may ask before they send a key.
        asks_first = scope["method"] == "OPTIONS" and "origin" in headers
        key = None
        if self._keys is not None and not (is_api and (inside in (LIVE, READY) or asks_first)):
            key = self._keys.identify(headers)
        if key is not None and is_api:
            expect_scope(key, scope["method"], inside)
        if is_api:
            self._access.check_writes(scope["method"], inside)
        if key is None:
            return
        if is_api:
            self._pace.take(key)
            headers[OWNER_HEADER] = key.name
        elif key.scopes != ("read", "write"):
            raise Refusal(403, "wrong-scope", "the page needs a key that may read and write")
        del headers["authorization"]  # nobody behind the door needs to see it

    async def _probe(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        if self._front and scope["path"] == self._prefix + LIVE:
            body = orjson.dumps({"status": "ok", "request_id": request_id_of(scope)})
            await Response(body, media_type="application/json")(scope, receive, answer)
            return
        if self._drain.begun:
            raise _stopping(headers={UNDER_WAY_HEADER: str(self._under_way)})
        await self._app(scope, _replay(b"", receive), answer)

    async def _work(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        if self._drain.begun:
            raise _stopping()
        self._under_way += 1
        try:
            await self._admit(scope, receive, answer)
            await answer.send_file()
        finally:
            self._under_way -= 1

    def _sends_files(self, scope: Scope) -> Spool | None:
        """The spool, unless another door between us and the client sends the files that the app names."""
        headers = MutableHeaders(scope=scope)
        if self._front:
            for name in (FRONT_HEADER, LOG_HEADER):
                del headers[name]
            headers[FRONT_HEADER] = self._secret or "1"
            return self._spool
        return None if FRONT_HEADER in headers else self._spool

    async def _pass(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        """To anything but the API: the body goes on while it arrives, and ends where it becomes too large."""
        held = Held(self._page_bytes, "page_bytes", self._limits.page_bytes)
        held.expect(Headers(scope=scope))
        more = True

        async def counted() -> Message:
            nonlocal more
            try:
                message = await self._next(receive) if more else await receive()
                more = message.get("more_body", False)
                held.take(len(message.get("body", b"")))
            except Refusal as refusal:
                # The app has the request already; to it the sender has gone.
                await answer.refuse(refusal)
                return {"type": "http.disconnect"}
            return message

        try:
            await self._app(scope, counted, answer)
        finally:
            held.release()

    async def _admit(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        headers = MutableHeaders(scope=scope)
        if self._is_log(scope, headers):
            try:
                limit = SPOOLED[scope["path"].removeprefix(self._prefix)]
                async with self._spool.receive(headers, receive, limit) as name:  # type: ignore[union-attr]
                    headers[LOG_HEADER] = name
                    headers["content-length"] = "0"
                    for header in ("transfer-encoding", "content-encoding"):
                        del headers[header]
                    await self._wait_for(scope, _replay(b"", receive), answer)
            except SenderLeft:
                pass
            return
        held = Held(self._api_bytes, *self._most(scope))
        try:
            await self._wait_for(scope, receive, answer, held)
        finally:
            held.release()

    def _most(self, scope: Scope) -> tuple[str, int]:
        """The limit of a body and its name: there is more room where pictures come in."""
        with_picture = scope["path"].removeprefix(self._prefix) in PICTURE_PATHS
        limit = "picture_body_bytes" if with_picture else "body_bytes"
        return limit, getattr(self._limits, limit)

    def _is_log(self, scope: Scope, headers: Headers) -> bool:
        """Whether the body is a log or a recording that is not in a file yet."""
        inside = scope["path"].removeprefix(self._prefix)
        if self._spool is None or scope["method"] != "POST" or inside not in SPOOLED:
            return False
        return self._front or not (FRONT_HEADER in headers and LOG_HEADER in headers)

    async def _wait_for(self, scope: Scope, receive: Receive, answer: Answer, held: Held | None = None) -> None:
        """The app's answer, while one of the places for waiting requests is taken: not before the body is in."""
        self._expect_a_place()
        if held is not None:
            with self._one_more_arrives(scope):
                body = await self._read(MutableHeaders(scope=scope), receive, held)
            if body is None:
                return
            receive = _replay(body, receive)
            self._expect_a_place()
        self._waiting += 1
        try:
            await self._app(scope, receive, answer)
        finally:
            self._waiting -= 1

    def _expect_a_place(self) -> None:
        if self._waiting >= self._limits.waiting_requests:
            raise overloaded("too many requests are waiting", limit="waiting_requests")

    @contextmanager
    def _one_more_arrives(self, scope: Scope) -> Iterator[None]:
        """While a body arrives. Refusal 429 where too many do, of all senders or of this one."""
        client = str((scope.get("client") or ("",))[0])
        if self._arriving.total() >= self._limits.bodies_arriving:
            raise overloaded("too many bodies arrive at once", limit="bodies_arriving")
        if self._arriving[client] >= self._limits.bodies_arriving_per_client:
            raise overloaded("too many bodies arrive at once from this address", limit="bodies_arriving_per_client")
        self._arriving[client] += 1
        try:
            yield
        finally:
            self._arriving[client] -= 1
            if not self._arriving[client]:
                del self._arriving[client]

    async def _next(self, receive: Receive) -> Message:
        """The next piece of a body. Refusal 408 where its sender is silent."""
        try:
            async with asyncio.timeout(self._limits.idle_seconds):
                return await receive()
        except TimeoutError:
            raise too_slow(f"nothing of the body came for {self._limits.idle_seconds:g} s") from None

    async def _read(self, headers: MutableHeaders, receive: Receive, held: Held) -> bytes | None:
        """The body, uncompressed; None if the sender went away. Refusal 400, 408, 413, 415 or 429."""
        held.expect(headers)
        inflater: Inflater | None = None
        chunks: list[bytes] = []
        arrived = 0
        try:
            async with asyncio.timeout(self._limits.upload_seconds):
                more = True
                while more:
                    message = await self._next(receive)
                    if message["type"] == "http.disconnect":
                        return None
                    sent, more = message.get("body", b""), message.get("more_body", False)
                    if sent and not arrived:  # how nothing is coded is of no matter
                        inflater = inflater_for(headers)
                    arrived += len(sent)
                    held.expect_bytes(arrived)
                    for chunk in (sent,) if inflater is None else inflater.feed(sent):
                        held.take(len(chunk))
                        chunks.append(chunk)
        except TimeoutError:
            raise too_slow(f"the body did not arrive within {self._limits.upload_seconds:g} s") from None
        body = b"".join(chunks)
        if inflater is not None:
            inflater.end()
            del headers["content-encoding"]
            headers["content-length"] = str(len(body))
        return body


def request_id_of(scope: Scope) -> str:
    """The id that a door gave this request."""
    return Headers(scope=scope)["x-request-id"]


def for_proxy() -> list[Middleware]:
    """The middlewares of the HTTP proxy. Ray calls this by its import path, in the proxy's process."""
    limits = Limits.model_validate_json(os.environ.get(LIMITS_VARIABLE, "{}"))
    folder, stopping = os.environ.get(SPOOL_VARIABLE), os.environ.get(DRAIN_VARIABLE)
    spool = Spool(Path(folder), limits) if folder else None
    if metrics_folder := os.environ.get(METRICS_VARIABLE):
        metrics.Written.begin(Path(metrics_folder))
    if logs_folder := os.environ.get(LOGS_VARIABLE):
        logs.configure(f"proxy-{os.getpid()}", Path(logs_folder), os.environ.get(LOG_LEVEL_VARIABLE, "info"))
    drain = Drain(Path(stopping) if stopping else None)
    access = Access.model_validate_json(os.environ.get(ACCESS_VARIABLE, "{}"))
    keys = Keys.model_validate_json(os.environ[KEYS_VARIABLE]) if KEYS_VARIABLE in os.environ else None
    watch(limits, access.proxies)
    return [Middleware(Door, limits=limits, spool=spool, front=True, drain=drain, access=access, keys=keys)]


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


def _stopping(headers: Mapping[str, str] | None = None) -> Refusal:
    # Whoever keeps this connection would come back to us, and not to the service that takes our place.
    told = {**(headers or {}), "Connection": "close"}
    return Refusal(503, "stopping", "the service is stopping", retry_after=5, headers=told)
