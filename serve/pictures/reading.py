"""From a request with a picture in it, as a form or as JSON, to its bytes and its other fields."""

import asyncio
import base64
import binascii
import re
from email.message import Message
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from serve.edge.limits import Limits
from serve.edge.problems import Fault, Refusal
from serve.edge.reading import faults_of, invalid, read

Model = TypeVar("Model", bound=BaseModel)

_DATA = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.+-]+=[\w.+-]+)*;base64,", re.IGNORECASE)
_FIELDS = 10
_FIELD_BYTES = 1024**2


async def read_picture(request: Request, model: type[Model], limits: Limits) -> tuple[Model, bytes]:
    """The request as `model`, and the bytes of its picture.

    A form has the file as `picture`, and its other fields as `model` has them; one that is no string is JSON.
    Refusal 400 for what is neither form nor JSON, 415 for another content type, 422 for another shape.
    """
    header = Message()
    header["content-type"] = request.headers.get("content-type") or ""
    if header.get_content_type() == "multipart/form-data":
        return await _of_form(request, model, limits)
    if header.get_content_type() != "application/json":
        raise Refusal(415, "unsupported-media-type", "expected application/json or multipart/form-data")
    asked, value = await read(request, model, limits)
    return asked, await asyncio.to_thread(of_data_uri, value["picture"])


async def _of_form(request: Request, model: type[Model], limits: Limits) -> tuple[Model, bytes]:
    try:
        form = await request.form(max_files=1, max_fields=_FIELDS, max_part_size=_FIELD_BYTES)
    except (MultiPartException, HTTPException) as error:
        detail = getattr(error, "message", None) or getattr(error, "detail", "")
        raise Refusal(400, "malformed-form", str(detail)) from None
    try:
        value: dict[str, Any] = {}
        picture = b""
        for name, field in form.multi_items():
            if isinstance(field, UploadFile):
                if name != "picture":
                    raise _wrong(name[:100], "expected the file as `picture`")
                picture, value["picture"] = await field.read(), "a file"
            elif name in value:
                raise _wrong(name[:100], "given twice")
            elif name == "picture":
                raise _wrong("picture", "expected a file")
            else:
                value[name] = _plain(model, name, field)
    finally:
        await form.close()
    try:
        return model.model_validate(value), picture
    except ValidationError as error:
        raise invalid(faults_of(error), limits) from None


def _plain(model: type[BaseModel], name: str, text: str) -> Any:
    known = model.model_fields.get(name)
    if known is None or known.annotation is str:
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _wrong(name, f"expected JSON: {error}") from None


def of_data_uri(text: str, place: str = "/picture") -> bytes:
    """The bytes in a data: URI. Refusal 422, at `place`, for anything else."""
    found = _DATA.match(text)
    if found is None:
        raise _wrong(place[1:], "expected data:image/...;base64,...; this service fetches no addresses")
    try:
        return base64.b64decode("".join(text[found.end() :].split()), validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(place[1:], "what follows `base64,` is not base64") from None


def _wrong(field: str, detail: str) -> Refusal:
    return Refusal(422, "invalid", "1 fault in the request", faults=[Fault(pointer=f"/{field}", detail=detail)])
