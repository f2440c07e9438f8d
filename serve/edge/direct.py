"""The addresses that are asked most often, answered without FastAPI: their handlers read the request themselves.

Between a request and its handler FastAPI has five apps, each route of the API, and dependencies to look for, which
takes as long as everything else about a short message. FastAPI knows these routes too, for its document, and answers
whatever is not exactly one of them.
"""

import re
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.edge.door import API_PREFIX, request_id_of
from serve.edge.problems import Refusal

Refused = Callable[[Refusal, str], Response]
"""The answer for a refusal, and the id of its request."""


class Direct:
    """Around the app: POST at the routes with these operation ids, whose handlers take the request, and what `shapes`
    says is in their path, as text."""

    def __init__(self, app: FastAPI, routers: dict[str, APIRouter], shapes: dict[str, str], refused: Refused) -> None:
        """routers: by operation id, where its route is. shapes: by a parameter's name, what it matches."""
        self._app: ASGIApp = app
        self._refused = refused
        self._known: list[tuple[re.Pattern[str], APIRoute, Callable[..., Awaitable[Response]]]] = []
        for name, router in routers.items():
            (route,) = (r for r in router.routes if isinstance(r, APIRoute) and r.operation_id == name)
            pattern = re.sub(r"\{(\w+)\}", lambda found: f"(?P<{found[1]}>{shapes[found[1]]})", route.path)
            self._known.append((re.compile(API_PREFIX + pattern), route, route.endpoint))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            for pattern, route, handler in self._known:
                if (found := pattern.fullmatch(scope["path"])) is not None:
                    scope["route"] = route
                    await self._answer(Request(scope, receive), handler, found.groupdict(), send)
                    return
        await self._app(scope, receive, send)

    async def _answer(
        self, request: Request, handler: Callable[..., Awaitable[Response]], inside: dict[str, str], send: Send
    ) -> None:
        try:
            response = await handler(request, **inside)
        except Refusal as refusal:
            response = self._refused(refusal, request_id_of(request.scope))
        await response(request.scope, request.receive, send)
