"""From the bytes of a request to a checked JSON value, or to the Refusal that says what is wrong and where."""

import asyncio
from collections.abc import Iterable, Sequence
from email.message import Message
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from serve.edge.limits import Limits
from serve.edge.problems import Fault, Refusal
from serve.edge.wording import in_words

Model = TypeVar("Model", bound=BaseModel)

_DEEPEST = 250
"""Arrays and objects in one another: what can be read can be nested deeper than the 254 that can be written back."""
_BIG = 200_000  # bytes; checking more than this in the event loop would be felt by the other requests


_JSON = "application/json"


async def read(request: Request, model: type[Model], limits: Limits) -> tuple[Model, Any]:
    """The body of a request as `model`, and the JSON value it was made of, with the fields no model knows.

    Refusal 415 for another content type, 400 for what is not JSON, 422 with the place of each fault and none of the
    input for another shape.
    """
    _expect_json(request.headers.get("content-type"))
    body = await request.body()
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, "malformed-json", str(error)) from None
    if len(body) > _BIG:
        return await asyncio.to_thread(_checked, value, model, limits), value
    return _checked(value, model, limits), value


def _checked(value: Any, model: type[Model], limits: Limits) -> Model:
    if _deeper_than(_DEEPEST, value):
        raise Refusal(400, "malformed-json", "the value is nested too deeply")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(faults_of(error), limits) from None


def _deeper_than(depth: int, value: Any) -> bool:
    """Whether arrays and objects stand in one another more often than that; looks at one level after the other."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(depth):
        inside = (v.values() if isinstance(v, dict) else v for v in level)
        level = [v for values in inside for v in values if isinstance(v, dict | list)]
        if not level:
            return False
    return True


def invalid(faults: Sequence[Fault], limits: Limits, *, limit: str | None = None) -> Refusal:
    """422 for these faults, of which it lists as many as the limits allow."""
    detail = "1 fault in the request" if len(faults) == 1 else f"{len(faults)} faults in the request"
    listed = faults[: limits.faults_listed]
    return Refusal(422, "invalid", detail, faults=listed, faults_left_out=len(faults) - len(listed), limit=limit)


def refuse_long(found: Iterable[tuple[str, str, int]], limits: Limits) -> None:
    """Raises the 422 of every (pointer, name of the limit, length) that exceeds its limit."""
    faults, exceeded = [], None
    for pointer, limit, length in found:
        allowed = getattr(limits, limit)
        if length > allowed:
            faults.append(Fault(pointer=pointer, detail=f"{length:,} {limit.split('_')[0]}, the limit is {allowed:,}"))
            exceeded = exceeded or limit
    if faults:
        raise invalid(faults, limits, limit=exceeded)


def pointer(*parts: str | int) -> str:
    """A JSON pointer (RFC 6901), at most 1,000 characters of it."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)[:1000]


def _expect_json(content_type: str | None) -> None:
    if content_type == _JSON:
        return
    header = Message()
    header["content-type"] = content_type or ""
    if not content_type or header.get_content_type() != _JSON:
        raise Refusal(415, "unsupported-media-type", "expected a body of content-type application/json")
    charset = header.get_content_charset("utf-8")
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise Refusal(415, "unsupported-media-type", "expected JSON in UTF-8")


_MEMBER_FAILED = ("string_type", "int_type", "float_type", "finite_number", "int_from_float")


def faults_of(error: ValidationError) -> list[Fault]:
    """One fault a place, in our words. The members of a union fail one by one and are told as one."""
    told: dict[str, list[str]] = {}
    for fault in error.errors(include_url=False, include_input=False):
        place = fault["loc"]
        if fault["type"] in _MEMBER_FAILED and place[-1] in ("str", "int", "float"):
            place = place[:-1]  # a union adds the member it tried as the last step; that is no place in the input
        words = in_words(fault["type"], fault["msg"], fault.get("ctx", {}))
        told.setdefault(pointer(*place), []).append(words)
    return [Fault(pointer=place, detail=_join(dict.fromkeys(words))) for place, words in told.items()]


def _join(words: Iterable[str]) -> str:
    first, *others = words
    return " or ".join([first, *(other.removeprefix("expected ") for other in others)])
