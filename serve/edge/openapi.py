"""The OpenAPI document, complete: bodies we read ourselves, every error, examples; and a page for it without a CDN."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from serve.edge.door import LIVE, READY
from serve.edge.keys import STATELESS
from serve.edge.limits import Limits
from serve.edge.problems import Problem, declared

PROBES = (LIVE, READY)
"""Where no key is asked for."""
_REFERENCE = "#/components/schemas/{model}"


def body(model: type[BaseModel], example: Any) -> dict[str, Any]:
    """`openapi_extra` of a route that reads this body with `reading.read`."""
    schema = {"$ref": _REFERENCE.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


def describe(
    app: FastAPI,
    description: str,
    bodies: Sequence[type[BaseModel]],
    words: Mapping[str, Sequence[str]],
    limits: Limits,
    *,
    needs_key: bool = False,
) -> None:
    """Gives the app its OpenAPI document, made once.

    `bodies` are the requests that routes read themselves; `words` says which values a field of theirs can have in this
    service, such as the names of its models; `limits` how long things may be; `needs_key` whether a key is asked for.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                routes=app.routes,
                description=description,
                servers=app.servers,
            )
            known = document.setdefault("components", {}).setdefault("schemas", {})
            known.update(_schemas(Problem, *bodies))
            _tell(known, words, limits)
            _allow_keys(document["paths"])
            _ask_for_key(document, needs_key=needs_key)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def add_docs(app: FastAPI, path: str, root_path: str) -> None:
    """A page to read and try the API at `path`; its scripts come from an installed package, not from another host.

    root_path is what a proxy has before every path."""
    static = f"{path}/static"
    # The package holds Swagger UI 5, which reads OpenAPI 3.1; its own FastAPI class is not used.
    app.mount(static, StaticFiles(directory=str(files("fastapi_offline") / "static")), name="docs-static")

    @app.get(path, include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        root = root_path + request.scope.get("root_path", "").rstrip("/")
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=app.title,
            swagger_js_url=f"{root}{static}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{static}/swagger-ui.css",
            swagger_favicon_url="data:,",
        )


def _tell(known: dict[str, Any], names: Mapping[str, Sequence[str]], limits: Limits) -> None:
    """Writes into the schemas what differs between services: which models there are, and how long is too long."""
    lengths = {
        **dict.fromkeys(("speaker", "id", "time"), limits.characters_per_name),
        "text": limits.characters_per_utterance,
    }
    said = ("NewMessage", "MessagePatch", "SaidMessage", "UtteranceIn", "ConversationIn")
    for body_of in ("EmotionOptions", "NewChat", *said):
        for field, schema in known[body_of]["properties"].items():
            for member in schema.get("anyOf", [schema]):
                if member.get("type") != "string":
                    continue
                if field in names:
                    member["enum"] = list(names[field])
                if field in lengths:
                    member["maxLength"] = lengths[field]
    known["SaidMessages"]["properties"]["messages"]["maxItems"] = limits.messages_reread
    known["EmotionsRequest"]["properties"]["conversations"]["maxItems"] = limits.conversations_per_request
    known["ConversationIn"]["properties"]["utterances"]["maxItems"] = limits.utterances_per_request


def _allow_keys(paths: Mapping[str, Any]) -> None:
    """A POST that makes something takes a key with which it may be sent again."""
    parameter = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Sent again with the same key, it is made once, and answered as before; kept for a day",
        "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    }
    for path, methods in paths.items():
        if "post" in methods and path not in STATELESS:
            methods["post"].setdefault("parameters", []).append(parameter)
            for status, answer in declared(409, 422).items():
                methods["post"]["responses"].setdefault(str(status), answer)


def _ask_for_key(document: dict[str, Any], *, needs_key: bool) -> None:
    """How a key is sent, and where none is asked for."""
    document["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "A key of `rapport keys`"},
        "password": {"type": "http", "scheme": "basic", "description": "The same as the password, with any name"},
    }
    document["security"] = [{"key": []}, {"password": []}, *([] if needs_key else [{}])]
    for path in PROBES:
        document["paths"][path]["get"]["security"] = []


def _schemas(*models: type[BaseModel]) -> dict[str, Any]:
    _, found = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    definitions: dict[str, Any] = found["$defs"]
    return definitions
