"""`Idempotency-Key`: what a POST made is made once, however often it is sent.

Whoever gets no answer cannot know whether his message was kept. With a key of his own choosing on it he may send it
again: the answer that was given is given again, and nothing is made twice. Answers are kept for a day, and no longer
than the thing they are about.
"""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from sqlalchemy import Connection, delete, insert, select, update
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.database.engine import alone
from serve.database.tables import repeats
from serve.edge.door import API_PREFIX, request_id_of
from serve.edge.keys import STATELESS, owner_of
from serve.edge.problems import Fault, Refusal
from serve.storage import STAMP, Storage, now

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
_GOOD = re.compile(r"[!-~]{1,200}")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it was given."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Repeats:
    """Around the app: a POST with a key is done once for its sender, address and key."""

    def __init__(self, app: ASGIApp, storage: Storage, seconds: float) -> None:
        """After so many seconds one that was begun and never ended, since its process died, is begun anew."""
        self._app = app
        self._storage = storage
        self._seconds = seconds
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = Headers(scope=scope).get(HEADER) if scope["type"] == "http" and scope["method"] == "POST" else None
        if key is None or scope["path"].removeprefix(API_PREFIX) in STATELESS:
            await self._app(scope, receive, send)
            return
        try:
            message = await receive()
            name, print_of = _name(scope, key), _fingerprint(scope, message)
            known = await self._storage.do(lambda db: _begin(db, name, print_of, self._seconds))
        except Refusal as refusal:
            await refusal.response(request_id_of(scope))(scope, receive, send)
            return
        if known is not None:
            await _tell(known, send, again=True)
            return
        # Whoever hangs up in the middle will ask again, and then the work is done.
        task = asyncio.create_task(self._do(scope, message, receive, send, name))
        self._running.add(task)
        task.add_done_callback(self._ended)
        await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # where nobody waits for it any more, Python would print it, with what a user said

    async def _do(self, scope: Scope, first: Message, receive: Receive, send: Send, name: str) -> None:
        told: list[Message] = []
        given = False

        async def replayed() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return first

        async def gather(message: Message) -> None:
            told.append(message)

        try:
            await self._app(scope, replayed, gather)
            answer = _answer(told)
        except BaseException:
            await self._storage.do(lambda db: _forget(db, name))
            raise
        if 200 <= answer.status < 300:
            await self._storage.do(lambda db: _keep(db, name, answer, _thing(scope, answer)))
        else:  # nothing was made, and the next try may go better
            await self._storage.do(lambda db: _forget(db, name))
        await _tell(answer, send)


def _name(scope: Scope, key: str) -> str:
    if not _GOOD.fullmatch(key):
        detail = "expected 1 to 200 visible characters of ASCII"
        raise Refusal(422, "invalid", "1 fault in the request", faults=[Fault(pointer=f"/{HEADER}", detail=detail)])
    return hashlib.sha256(orjson.dumps([owner_of(scope), scope["path"], key])).hexdigest()


def _fingerprint(scope: Scope, message: Message) -> str:
    """Of what was sent; a log's bytes are in a file, and count by their options alone."""
    return hashlib.sha256(bytes(scope.get("query_string", b"")) + b"\0" + message.get("body", b"")).hexdigest()


def _begin(db: Connection, name: str, print_of: str, seconds: float) -> Answer | None:
    """The answer that was given; None where it is to be found now. Refusal 409."""
    moment = datetime.now(UTC)
    alone(db, name)
    db.execute(delete(repeats).where(repeats.c.created < (moment - _DAY).strftime(STAMP)))
    row = db.execute(select(repeats).where(repeats.c.name == name)).mappings().first()
    lost = (moment - timedelta(seconds=seconds)).strftime(STAMP)
    if row is None or (row["status"] is None and row["created"] < lost):
        _forget(db, name)
        db.execute(insert(repeats), {"name": name, "created": now(), "fingerprint": print_of})
        return None
    if row["fingerprint"] != print_of:
        raise Refusal(409, "key-reused", "something else was sent with this key before")
    if row["status"] is None:
        raise Refusal(409, "in-progress", "the same is being done already", retry_after=1)
    return Answer(row["status"], [(k, v) for k, v in orjson.loads(row["headers"])], row["body"])


def _keep(db: Connection, name: str, answer: Answer, thing: str) -> None:
    headers = orjson.dumps(answer.headers).decode()
    told = {"status": answer.status, "headers": headers, "body": answer.body, "thing": thing}
    db.execute(update(repeats).where(repeats.c.name == name).values(told))


def _forget(db: Connection, name: str) -> None:
    db.execute(delete(repeats).where(repeats.c.name == name))


def _answer(told: list[Message]) -> Answer:
    headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in told[0].get("headers", ())]
    return Answer(told[0]["status"], headers, b"".join(message.get("body", b"") for message in told[1:]))


def _thing(scope: Scope, answer: Answer) -> str:
    """The id of what the answer is about: in the address, or in the one of what was made."""
    made = dict(answer.headers).get("location", str(scope["path"]))
    return made.removeprefix(API_PREFIX).strip("/").split("/")[1]


async def _tell(answer: Answer, send: Send, *, again: bool = False) -> None:
    start: Message = {
        "type": "http.response.start",
        "status": answer.status,
        "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in answer.headers],
    }
    if again:
        MutableHeaders(scope=start)[REPLAYED] = "true"
    await send(start)
    await send({"type": "http.response.body", "body": answer.body})
