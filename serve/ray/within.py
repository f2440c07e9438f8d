"""On one machine: the API and the emotion models in the process that listens, so that a request makes no journey.

A call through Ray's handles costs as much as the label of a short message. Ray's HTTP proxy is a process anyway, and
the first to see every request; a middleware of ours answers there whatever is for the API. The page, pictures and logs
stay in processes of their own, behind Ray. On a cluster, and with more than one replica, nothing of this is used.
"""

import asyncio
import os
import sys
import threading
from typing import Any

import orjson
from ray import serve as ray_serve
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.api import create_app
from serve.config import AppConfig
from serve.correction.deployment import LocalMender
from serve.edge import logs, metrics
from serve.edge.access import ACCESS_VARIABLE, Access
from serve.edge.door import API_PREFIX, for_proxy
from serve.edge.keys import KEYS_VARIABLE, Keys
from serve.edge.problems import Refusal
from serve.edge.settled import settle
from serve.emotion.choice import Choice
from serve.emotion.deployment import loaded
from serve.emotion.labeller import LocalLabeller
from serve.pictures.viewer import RemoteViewer
from serve.replies.answerer import RemoteAnswerer
from serve.retention import Retention
from serve.storage import DATABASE, Storage
from serve.telemetry.engine import Telemetry

CONFIG_VARIABLE = "RAPPORT_PROXY_CONFIG"
"""Where the proxy finds the configuration, without its secrets."""
DATABASE_VARIABLE = "RAPPORT_PROXY_DATABASE"
"""And the URL of the database, where it is none in the data folder."""
CANNOT_START = "cannot-start"
"""The kind of the refusal that says why the API does not come."""
_SWITCH_SECONDS = 0.001


_UNTOLD: dict[str, Any] = {"access": True, "callbacks": True, "database": True, "visual": {"key"}}


def told(config: AppConfig) -> str:
    """For that variable. Keys and the database have ways of their own; of callbacks it says only who may be told."""
    shown = config.model_dump(mode="json", exclude=_UNTOLD)
    return orjson.dumps({"config": shown, "may_call": config.callbacks.hosts}).decode()


def middlewares() -> list[Middleware]:
    """The middlewares of the HTTP proxy: the door, and the API behind it. Ray calls this by its import path."""
    found = orjson.loads(os.environ[CONFIG_VARIABLE])
    within = Middleware(Within, config=AppConfig(**found["config"]), may_call=tuple(found["may_call"]))
    return [within, *for_proxy()]  # for Ray the last one is the outermost


class Within:
    """Answers what is for the API; everything else goes to the proxy behind it."""

    def __init__(self, app: ASGIApp, config: AppConfig, may_call: tuple[str, ...] = ()) -> None:
        self._proxy = app
        self._config = config
        self._may_call = may_call
        self._api: ASGIApp | None = None
        self._fault: str | None = None
        # Until the models are there, the port is open and says so.
        threading.Thread(target=self._load, name="load", daemon=True).start()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not (path == API_PREFIX or path.startswith(API_PREFIX + "/")):
            await self._proxy(scope, receive, send)
        elif self._api is not None:
            await _while_connected(self._api, scope, receive, send)
        elif self._fault is not None:
            raise Refusal(503, CANNOT_START, self._fault, retry_after=30)
        else:
            raise Refusal(503, "starting", "the service is starting", retry_after=2)

    def _load(self) -> None:
        try:
            api = _api(self._config, self._may_call)
            settle()
            self._api = api
        except Exception as error:  # told to whoever asks, and so to the service's own start
            logs.get().error("the API cannot start", **logs.about(error))
            self._fault = f"{type(error).__name__}: {error}"


def _api(config: AppConfig, may_call: tuple[str, ...]) -> ASGIApp:
    # The event loop and the models share an interpreter: whoever waits for it is not to wait long.
    sys.setswitchinterval(_SWITCH_SECONDS)
    folder, seconds = config.data_folder(), config.limits.answer_seconds
    storage = Storage(folder / DATABASE, url=os.environ.get(DATABASE_VARIABLE))
    Retention(storage, config.keep).start()
    return create_app(
        LocalLabeller(loaded(config), seconds, work=config.emotion.batch_work),
        RemoteViewer(_Handle("Visual"), seconds),
        RemoteAnswerer(_Handle("Replies"), seconds),
        Choice.of(config),
        storage,
        config.limits,
        may_list=config.is_private,
        metrics_folder=folder / metrics.FOLDER,
        access=Access.model_validate_json(os.environ.get(ACCESS_VARIABLE, "{}")),
        may_call=may_call,
        needs_key=Keys.model_validate_json(os.environ.get(KEYS_VARIABLE, "{}")).required,
        telemetry=Telemetry(config.telemetry),
        mender=LocalMender(),
        recordings=config.recordings,
    )


class _Handle:
    """The handle of a deployment, looked up when it is first used: the proxy stands before the deployments do."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._found is None:
            self._found = ray_serve.get_deployment_handle(self._name, "api")
        return getattr(self._found, name)


async def _while_connected(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """The app's answer. It is cancelled where its client hangs up."""
    first: Message | None = await receive()  # the whole body: the door has read it
    gone = asyncio.Event()
    answering = asyncio.current_task()
    assert answering is not None
    done = cancelled = False

    async def again() -> Message:
        nonlocal first
        if first is not None:
            message, first = first, None
            return message
        await gone.wait()
        return {"type": "http.disconnect"}

    async def watch() -> None:
        nonlocal cancelled
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()
        if not done:  # then it waits for something, which ends here
            cancelled = True
            answering.cancel()

    watching = asyncio.create_task(watch())
    try:
        await app(scope, again, send)
    except asyncio.CancelledError:
        if not cancelled or answering.cancelling() > 1:  # somebody else has ended the request
            raise
    finally:
        done = True
        watching.cancel()
        if cancelled:
            answering.uncancel()
