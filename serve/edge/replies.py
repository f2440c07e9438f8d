"""The answers of the routes: JSON objects that say which request they answer."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Request, Response

from serve.edge.door import request_id_of


def reply(
    request: Request, value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The object as the body, with the request's id."""
    told = {**value, "request_id": request_id_of(request.scope)}
    return Response(orjson.dumps(told), status, headers, media_type="application/json")
