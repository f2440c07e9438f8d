"""Errors as problem+json (RFC 9457): one exception to raise, one shape on the wire, declared in the OpenAPI."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class Fault(BaseModel):
    """One thing that is wrong with a request, and where."""

    pointer: str = Field(description="JSON pointer into the body, or the name of the parameter", max_length=1000)
    detail: str = Field(description="What is wrong there; never what stood there")


class Problem(BaseModel):
    """An error. `type` names its kind and is stable, `detail` is for people."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[Fault] | None = Field(default=None, description="The place of each fault, where there are places")
    errors_left_out: int | None = Field(default=None, description="How many more there are")
    limit: str | None = Field(default=None, description="The name of the limit that was exceeded")


class Refusal(Exception):
    """Raise it anywhere under a route: the answer is a problem+json with this status.

    kind is the last part of the problem's `type`; retry_after is in seconds; challenges are ways to say who one is.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        faults: Iterable[Fault] = (),
        faults_left_out: int = 0,
        limit: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        challenges: Iterable[str] = (),
    ) -> None:
        super().__init__(f"{status} {kind}")
        self.status = status
        self.kind = kind
        self.detail = detail
        self.faults = list(faults)
        self.faults_left_out = faults_left_out
        self.limit = limit
        self.headers = dict(headers or {})
        self.challenges = tuple(challenges)
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, round(retry_after)))

    def response(self, request_id: str) -> Response:
        """The answer, with the request's id in it."""
        body: dict[str, Any] = {
            "type": f"urn:rapport:problem:{self.kind}",
            "title": phrase(self.status),
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.faults:
            body["errors"] = [fault.model_dump() for fault in self.faults]
        if self.faults_left_out:
            body["errors_left_out"] = self.faults_left_out
        if self.limit:
            body["limit"] = self.limit
        answer = Response(orjson.dumps(body), self.status, self.headers, media_type=MEDIA_TYPE)
        for challenge in self.challenges:  # in a header each: Chromium reads the first of a header, and no other
            answer.headers.append("WWW-Authenticate", challenge)
        return answer


def phrase(status: int) -> str:
    """HTTP's words for a status; for one that HTTP does not know, those for its hundred."""
    known = status if status in HTTPStatus.__members__.values() else status // 100 * 100
    return HTTPStatus(known).phrase


def of_status(status: int, detail: str | None = None, *, headers: Mapping[str, str] | None = None) -> Refusal:
    """A refusal for a status about which nothing more is known."""
    kind = phrase(status).lower().replace(" ", "-")
    return Refusal(status, kind, detail or phrase(status), headers=headers)


def too_large(limit: str, allowed: int) -> Refusal:
    """413 for a body of more than `allowed` bytes."""
    return Refusal(413, "too-large", f"the body is larger than {allowed:,} bytes", limit=limit)


def overloaded(detail: str, *, limit: str | None = None, retry_after: float = 1.0) -> Refusal:
    """429: try again in `retry_after` seconds."""
    return Refusal(429, "overloaded", detail, limit=limit, retry_after=retry_after)


def unavailable(detail: str, *, retry_after: float = 2.0) -> Refusal:
    """503: nothing is wrong with the request, and nobody is there to answer it."""
    return Refusal(503, "unavailable", detail, retry_after=retry_after)


def too_slow(detail: str) -> Refusal:
    """408: a body that does not arrive. Nothing more is read from that connection."""
    return Refusal(408, "too-slow", detail, headers={"Connection": "close"})


def headers_too_large(limit: int) -> Refusal:
    """431: all headers of the request together."""
    return Refusal(431, "headers-too-large", f"the headers have more than {limit:,} bytes", limit="header_bytes")


def disk_full() -> Refusal:
    """507: there is no room for what was sent."""
    return Refusal(507, "disk-full", "the disk of the service is full")


def not_found(what: str) -> Refusal:
    """404 for a thing with an id that is not, or no longer, there."""
    return Refusal(404, "not-found", f"there is no such {what}")


_ANYWHERE = (401, 403, 429, 431, 500, 503)
_EXAMPLES: dict[int, tuple[str, Refusal]] = {
    400: ("The body is not JSON", Refusal(400, "malformed-json", "unexpected end of data: line 1 column 2 (char 1)")),
    401: (
        "No key, or none of this service's",
        Refusal(401, "no-key", "this service asks for a key: Authorization: Bearer KEY"),
    ),
    403: ("Not for this host, this page or this caller", Refusal(403, "wrong-host", "not called by that name")),
    404: ("There is no such thing", not_found("chat")),
    405: ("The route has no such method", Refusal(405, "method-not-allowed", "this route does not know that method")),
    408: ("The body did not arrive in time", Refusal(408, "too-slow", "the body did not arrive within 60 s")),
    409: (
        "Not in this state: the chat is full, or the batch not done",
        Refusal(409, "chat-full", "the chat is full", limit="messages_per_chat"),
    ),
    413: ("The body is too large", too_large("body_bytes", 10 * 1024**2)),
    415: ("The body is not application/json", Refusal(415, "unsupported-media-type", "expected application/json")),
    416: ("There is no such part of the file", Refusal(416, "no-such-part", "the Range is none of this file")),
    422: (
        "The body has the wrong shape, or exceeds a limit",
        Refusal(
            422,
            "invalid",
            "1 fault in the request",
            faults=[Fault(pointer="/conversations/0/utterances/3/text", detail="expected a string")],
        ),
    ),
    429: ("Too much is waiting already; see Retry-After", overloaded("too much work is waiting")),
    431: ("The headers are too large", headers_too_large(12 * 1024)),
    500: ("A fault of ours", Refusal(500, "internal", "something went wrong here; the log has the request's id")),
    503: ("Not able to answer now; see Retry-After", unavailable("the models are starting")),
    507: ("The disk of the service is full", disk_full()),
}


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a FastAPI route that may answer with these errors, and with those that any route may."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, *_ANYWHERE}):
        found |= declared_as(*_EXAMPLES[status])
    return found


def declared_as(description: str, example: Refusal) -> dict[int | str, dict[str, Any]]:
    """One of the `responses` of a route, with an example of its own."""
    body = orjson.loads(bytes(example.response("6f1d8c3e9b7a4d22").body))
    schema = {"$ref": "#/components/schemas/Problem"}
    told: dict[str, Any] = {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": schema, "example": body}},
    }
    if "Retry-After" in example.headers:
        told["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return {example.status: told}
