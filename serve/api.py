"""The API as one ASGI app: routes, health, documents, and problem+json for whatever goes wrong."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kernels import __version__
from serve.batches import table as batch_table
from serve.batches.routes import batch_routes
from serve.chats.routes import chat_routes
from serve.chats.schemas import MessagePatch, NewChat, NewCorrection, NewMessage, SaidMessages
from serve.chats.sessions import Sessions
from serve.config import RecordingsConfig
from serve.correction.deployment import LocalMender, Mender
from serve.correction.routes import correction_routes
from serve.correction.schemas import CorrectionsRequest
from serve.edge import logs, metrics, timing
from serve.edge.access import Access
from serve.edge.direct import Direct
from serve.edge.door import API_PREFIX, METRICS_PATH, Door, request_id_of
from serve.edge.drain import Drain
from serve.edge.health import Health
from serve.edge.keys import Keys
from serve.edge.limits import Limits
from serve.edge.openapi import add_docs, describe
from serve.edge.problems import Fault, Refusal, declared, of_status, unavailable
from serve.edge.reading import invalid, pointer
from serve.edge.schemas import HealthReply, LimitsReply, ReadyReply
from serve.edge.spool import Spool
from serve.edge.wording import ID, in_words
from serve.emotion.choice import Choice
from serve.emotion.labeller import Labeller
from serve.emotion.routes import emotion_routes
from serve.emotion.schemas import EmotionsRequest, LabelsReply, ModelsReply, NamedResponder
from serve.pictures.routes import visual_routes
from serve.pictures.schemas import NewQuestion, NewVisualDialog, VisualQuestion
from serve.pictures.sessions import VisualSessions
from serve.pictures.viewer import Viewer
from serve.repeats import Repeats
from serve.replies.answerer import Answerer
from serve.replies.answering import Answering
from serve.replies.chat_routes import chat_answer_routes
from serve.replies.conversing import Conversing
from serve.replies.routes import reply_routes
from serve.replies.schemas import ChatAnswerRequest, ChatRequest
from serve.speech import table as recordings_table
from serve.speech.routes import recording_routes
from serve.speech.schemas import PartPatch, SpeakerPatch
from serve.storage import Storage
from serve.telemetry.engine import Telemetry
from serve.telemetry.routes import telemetry_routes
from serve.telemetry.schemas import FleetSamples, NewSamples
from serve.telemetry.units import Units
from serve.watch import told
from serve.watch.schemas import HealthNow

_BODIES = (
    *(EmotionsRequest, NewChat, NewMessage, MessagePatch, SaidMessages, NewCorrection),
    *(NewVisualDialog, NewQuestion, VisualQuestion, ChatRequest),
    *(FleetSamples, NewSamples, CorrectionsRequest, ChatAnswerRequest, PartPatch, SpeakerPatch),
)
"""The bodies that routes read themselves, for the document."""
_DESCRIPTION = """Emotions in conversations, questions about pictures, and fleets under watch. Send whole conversations
to `/v1/emotions`, hold a live chat under `/v1/chats`, or have a log of any size labelled under `/v1/batches`, and a
call or a voice message under `/v1/recordings`. Ask about a picture in rounds under `/v1/visual-dialogs`, or all at once
at `/v1/visual-answers`. Have slips of the keys mended at `/v1/corrections`, and devices watched by their measurements
under `/v1/telemetry`. `/v1/chat/completions` answers in a conversation, for clients of OpenAI's API too, and an
assistant in a live chat under its `replies`. Errors are problem+json (RFC 9457) with a `request_id`; 429 and 503 say in
Retry-After when to come back. With an `Idempotency-Key` a POST that makes something may be sent again: it is made once.
"""


def create_api(
    labeller: Labeller,
    viewer: Viewer,
    answerer: Answerer,
    choice: Choice,
    storage: Storage,
    limits: Limits,
    *,
    may_list: bool = True,
    keys: Keys | None = None,
    metrics_folder: Path | None = None,
    drain: Drain | None = None,
    access: Access | None = None,
    may_call: Sequence[str] = (),
    telemetry: Telemetry | None = None,
    mender: Mender | None = None,
    recordings: RecordingsConfig | None = None,
) -> Door:
    """The app, behind its own door. What is too large for the memory goes to the folder of the storage. `may_call` are
    the hosts that may be told when a batch has ended; `mender` corrects what was typed, by default in this process;
    `recordings` says who hears words."""
    access = access or Access()
    app = create_app(
        labeller,
        viewer,
        answerer,
        choice,
        storage,
        limits,
        may_list=may_list,
        metrics_folder=metrics_folder,
        access=access,
        may_call=may_call,
        needs_key=keys is not None and keys.required,
        telemetry=telemetry,
        mender=mender or LocalMender(),
        recordings=recordings,
    )
    return Door(app, limits, spool=Spool(storage.folder, limits), keys=keys, drain=drain, access=access)


def create_app(
    labeller: Labeller,
    viewer: Viewer,
    answerer: Answerer,
    choice: Choice,
    storage: Storage,
    limits: Limits,
    *,
    may_list: bool,
    metrics_folder: Path | None,
    access: Access,
    may_call: Sequence[str],
    needs_key: bool,
    mender: Mender,
    telemetry: Telemetry | None = None,
    recordings: RecordingsConfig | None = None,
) -> ASGIApp:
    """The app for a door that stands already. It answers under /v1 and nowhere else."""
    app = FastAPI(
        title="rapport",
        version=__version__,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": access.root_path + API_PREFIX}],
        root_path_in_servers=False,
    )
    words = {"model": sorted(choice.cards), "label_set": sorted(s.name for s in choice.label_sets())}
    describe(app, _DESCRIPTION, _BODIES, words, limits, needs_key=needs_key)
    emotions = emotion_routes(labeller, choice, limits)
    sessions = Sessions(storage, labeller, choice, limits)
    live = chat_routes(sessions, limits, may_list=may_list)
    app.include_router(emotions)
    app.include_router(live)
    app.include_router(
        batch_routes(storage, choice, limits, may_list=may_list, root_path=access.root_path, may_call=may_call)
    )
    listening = recordings or RecordingsConfig()
    app.include_router(
        recording_routes(storage, labeller, choice, listening, limits, may_list=may_list, root_path=access.root_path)
    )
    pictures = VisualSessions(storage, viewer, limits)
    app.include_router(visual_routes(pictures, limits, may_list=may_list))
    app.include_router(reply_routes(Answering(answerer, labeller, pictures, choice, limits), limits))
    app.include_router(chat_answer_routes(Conversing(answerer, sessions, choice, limits), limits))
    units = Units(storage, telemetry or Telemetry(), limits)
    app.include_router(telemetry_routes(units, limits, may_list=may_list))
    app.include_router(correction_routes(mender, limits))
    app.include_router(_operations(choice, limits, _health(labeller, choice, storage), metrics_folder))
    app.include_router(_figures(storage, metrics_folder))
    add_docs(app, "/docs", access.root_path)
    _add_errors(app, limits)
    direct = Direct(app, {"label_emotions": emotions, "add_message": live}, {"chat_id": ID}, _refused)
    return _Guard(Repeats(direct, storage, limits.answer_seconds))


def _health(labeller: Labeller, choice: Choice, storage: Storage) -> Health:
    async def models() -> str | None:
        try:
            return (await labeller.about(choice.default)).error
        except Refusal as refusal:
            # Where there is too much to do, there is somebody who does it.
            return None if refusal.status == 429 else refusal.detail

    return Health({"models": models, "disk": storage.disk, "database": storage.database})


def _operations(choice: Choice, limits: Limits, health: Health, folder: Path | None) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/models", summary="Which models there are", operation_id="list_models", responses=declared())
    async def models(request: Request) -> ModelsReply:
        """Every model there is, with the scores of its card. Those of the task `emotion` may be asked for by name."""
        return ModelsReply(
            models=[*choice.cards.values(), *choice.others],
            data=[NamedResponder(id=name) for name in choice.responders],
            request_id=request_id_of(request.scope),
        )

    @router.get("/labels", summary="Which labels there are", operation_id="list_labels", responses=declared())
    async def labels(request: Request) -> LabelsReply:
        """Every label set that a model has, with each label's sentiment, symbol and colour."""
        return LabelsReply(label_sets=choice.label_sets(), request_id=request_id_of(request.scope))

    @router.get("/limits", summary="What is refused", operation_id="list_limits", responses=declared())
    async def all_limits(request: Request) -> LimitsReply:
        """Every limit of this service by its name, as a refusal names it. Sizes are bytes, lengths code points, waits
        seconds."""
        return LimitsReply(limits=limits, request_id=request_id_of(request.scope))

    @router.get("/health", summary="How is it?", operation_id="read_health", responses=declared())
    async def how(request: Request) -> HealthNow:
        """Each check as it was found last, and what a service that watches itself (`rapport serve --watch`) advises.
        Always 200: probes ask `/health/ready`."""
        found = await health.state()
        seen = await asyncio.to_thread(told.read, folder)
        return HealthNow.of(found, seen, request_id_of(request.scope))

    @router.get("/health/live", summary="Is anybody there?", operation_id="is_alive", responses=declared())
    async def live(request: Request) -> HealthReply:
        """The API answers. Says nothing of the models."""
        return HealthReply(status="ok", request_id=request_id_of(request.scope))

    @router.get("/health/ready", summary="Can it label?", operation_id="is_ready", responses=declared())
    async def ready(request: Request) -> ReadyReply:
        """The default model is loaded, the disk can be written and the database answers; 503 until then, and while the
        service stops."""
        found = await health.state()
        wrong = [f"{name}: {what}" for name, what in found.items() if what is not None]
        if wrong:
            raise unavailable("; ".join(wrong), retry_after=2)
        return ReadyReply(status="ok", checks=dict.fromkeys(found, "ok"), request_id=request_id_of(request.scope))

    return router


def _figures(storage: Storage, folder: Path | None) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get(
        METRICS_PATH,
        summary="Figures for Prometheus",
        operation_id="read_metrics",
        response_class=Response,
        responses={200: {"description": "In Prometheus' text format", "content": {"text/plain": {}}}, **declared()},
    )
    async def figures() -> Response:
        """Messages, refusals, waits, calls of the models, batches and recordings, of all processes of the service
        together. At `/metrics` too."""
        states = await storage.do(lambda db: (batch_table.by_state(db), recordings_table.by_state(db)), writes=False)
        gauges: told.Gauges = {
            "rapport_batches": ("Batches there are.", "state", states[0]),
            "rapport_recordings": ("Recordings there are.", "state", states[1]),
        }
        gauges |= await asyncio.to_thread(told.gauges, folder)
        page = await asyncio.to_thread(metrics.told, folder, gauges)
        return Response(page, media_type=metrics.CONTENT_TYPE)

    return router


def _refused(refusal: Refusal, request_id: str) -> Response:
    metrics.REFUSALS.labels(refusal.kind, refusal.limit or "").inc()
    return refusal.response(request_id)


def _add_errors(app: FastAPI, limits: Limits) -> None:
    """Whatever a route or FastAPI itself raises becomes a problem+json with the request's id."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return _refused(error, request_id_of(request.scope))

    async def invalid_parameters(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # The first step is where it stood (path, query), the second the parameter's name; no `input`, no echo.
        told = [(f["loc"], in_words(f["type"], f["msg"], f.get("ctx", {}))) for f in error.errors()]
        faults = [Fault(pointer=pointer(*place), detail=words) for place, words in told]
        return invalid(faults, limits).response(request_id_of(request.scope))

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        said = {404: "there is nothing at this address", 405: "this address does not know that method"}
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods(app, request.scope))
        refusal = of_status(error.status_code, said.get(error.status_code), headers=headers)
        return refusal.response(request_id_of(request.scope))

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, invalid_parameters)
    app.add_exception_handler(HTTPException, http_error)


def _methods(app: FastAPI, scope: Scope) -> list[str]:
    """All that this address knows, over all routes there are for it."""
    known = [
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in app.routes)
    ]
    return sorted([*known, *(["HEAD"] if "GET" in known else [])])


class _Guard:
    """Around the app: the prefix it is mounted at, HEAD wherever there is GET, one log line a request, and an end to
    exceptions.

    An exception that went on to the server would be logged there with its message, which may quote a user.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Serve says at which prefix it mounted us; another server does not.
        if not scope.get("root_path"):
            scope["root_path"] = API_PREFIX
        started = time.perf_counter()
        status = 0
        method, bare = scope["method"], scope["method"] == "HEAD"
        if bare:  # in a scope of our own: the server looks at its own, to know that no body will come
            scope = {**scope, "method": "GET"}

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["Server-Timing"] = timing.header(scope, time.perf_counter() - started)
            elif bare:
                if message.get("more_body", False):
                    return
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        failure: dict[str, str] = {}
        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            failure = logs.about(error)
            if not status:
                status = 500
                refusal = Refusal(500, "internal", "something went wrong here; the log has the request's id")
                await refusal.response(request_id_of(scope))(scope, receive, send)
        route = getattr(scope.get("route"), "path", None)
        metrics.count_request(method, route, status, time.perf_counter() - started)
        line = logs.get().error if status >= 500 else logs.get().info
        line(
            "request",
            request_id=request_id_of(scope),
            method=method,
            route=route,
            status=status,
            milliseconds=round((time.perf_counter() - started) * 1000, 1),
            **failure,
        )
