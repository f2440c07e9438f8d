"""/v1/chats: live conversations, labelled message by message, kept until they are deleted."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from serve.chats.schemas import ChatReply, ChatsReply, MessageReply, NewChat, NewCorrection, NewMessage
from serve.chats.sessions import Sessions
from serve.edge import timing
from serve.edge.keys import owner_of
from serve.edge.limits import Limits
from serve.edge.openapi import body
from serve.edge.paging import Asked, expect_own
from serve.edge.problems import declared
from serve.edge.reading import read, refuse_long
from serve.edge.replies import reply
from serve.storage import StoredChat, StoredMessage

ChatId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="As POST /v1/chats gave it")]
MessageNumber = Annotated[int, Path(ge=0, lt=2**31, description="Counted from 0")]
_MODE = "live"


def chat_routes(sessions: Sessions, limits: Limits, *, may_list: bool) -> APIRouter:
    """The router. Ids are secrets; only where `may_list` can the chats of those who have no key be seen."""
    router = APIRouter(prefix="/chats", tags=["chats"])

    @router.post(
        "",
        status_code=201,
        summary="Begin a chat",
        operation_id="begin_chat",
        response_model=ChatReply,
        responses=declared(400, 408, 413, 415, 422),
        openapi_extra=body(NewChat, {"label_set": "ekman"}),
    )
    async def begin(request: Request) -> Response:
        """A new chat, empty. Its id is the only key to it."""
        asked, _ = await read(request, NewChat, limits)
        chat = await sessions.start(asked.model, asked.label_set, owner_of(request.scope))
        return reply(request, _chat(chat, []), 201, {"Location": f"/v1/chats/{chat.id}"})

    @router.get(
        "",
        summary="List chats",
        operation_id="list_chats",
        response_model=ChatsReply,
        responses=declared(403, 422),
    )
    async def listing(request: Request, asked: Asked) -> Response:
        """The chats of this key, the newest first. Without a key of one's own, only where the service listens on its
        own machine alone."""
        owner = owner_of(request.scope)
        expect_own(owner, "chats", may_list=may_list)
        page = await sessions.listed(owner, asked)
        return reply(request, {"chats": [dict(row) for row in page.rows], "next": page.next})

    @router.post(
        "/{chat_id}/messages",
        status_code=201,
        summary="Say something",
        operation_id="add_message",
        response_model=MessageReply,
        responses=declared(400, 404, 408, 409, 413, 415, 422),
        openapi_extra=body(NewMessage, {"speaker": "Ann", "text": "I finally got the job!!"}),
    )
    async def add(request: Request, chat_id: ChatId) -> Response:
        """The message with its label, read off what came before it. The cost does not grow with the chat."""
        asked, _ = await read(request, NewMessage, limits)
        speaker, time = str(asked.speaker), None if asked.time is None else str(asked.time)
        lengths = [("/text", "characters_per_utterance", len(asked.text))]
        lengths += [
            ("/speaker", "characters_per_name", len(speaker)),
            ("/time", "characters_per_name", len(time or "")),
        ]
        refuse_long(lengths, limits)
        message, stepped = await sessions.add(chat_id, speaker, asked.text, time, owner_of(request.scope))
        timing.note(request.scope, "model", stepped.model_seconds)
        extra = {"chat": chat_id, "model_version": stepped.model_version, "mode": _MODE, "warnings": stepped.warnings}
        return reply(request, {**_message(message), **extra}, 201)

    @router.get(
        "/{chat_id}",
        summary="Read a chat",
        operation_id="read_chat",
        response_model=ChatReply,
        responses=declared(404, 422),
    )
    async def get(
        request: Request,
        chat_id: ChatId,
        after: Annotated[int, Query(ge=0, lt=2**31, description="The first message wanted, counted from 0")] = 0,
        limit: Annotated[
            int, Query(ge=1, lt=2**31, description="How many messages; the service may give fewer")
        ] = 2000,
    ) -> Response:
        """The chat and a page of its messages, with labels and corrections."""
        chat = await sessions.get(chat_id, owner_of(request.scope))
        return reply(request, _chat(chat, await sessions.messages(chat_id, after, limit)))

    @router.delete(
        "/{chat_id}",
        status_code=204,
        summary="Forget a chat",
        operation_id="forget_chat",
        response_class=Response,
        responses=declared(404, 422),
    )
    async def forget(request: Request, chat_id: ChatId) -> Response:
        """The chat and all its messages are deleted for good."""
        await sessions.delete(chat_id, owner_of(request.scope))
        return Response(status_code=204)

    @router.put(
        "/{chat_id}/messages/{n}/correction",
        summary="Correct a label",
        operation_id="correct_message",
        response_model=MessageReply,
        responses=declared(400, 404, 408, 413, 415, 422),
        openapi_extra=body(NewCorrection, {"emotion": "joy"}),
    )
    async def correct(request: Request, chat_id: ChatId, n: MessageNumber) -> Response:
        """Keeps the label a person thinks right, beside the model's."""
        asked, _ = await read(request, NewCorrection, limits)
        return _corrected(request, *await sessions.correct(chat_id, n, asked.emotion, owner_of(request.scope)))

    @router.delete(
        "/{chat_id}/messages/{n}/correction",
        summary="Take a correction back",
        operation_id="uncorrect_message",
        response_model=MessageReply,
        responses=declared(404, 422),
    )
    async def uncorrect(request: Request, chat_id: ChatId, n: MessageNumber) -> Response:
        """Forgets the correction of a message, if it had one."""
        return _corrected(request, *await sessions.correct(chat_id, n, None, owner_of(request.scope)))

    return router


def _corrected(request: Request, chat: StoredChat, message: StoredMessage) -> Response:
    extra = {"chat": chat.id, "model_version": chat.model_version, "mode": _MODE, "warnings": []}
    return reply(request, {**_message(message), **extra})


def _chat(chat: StoredChat, messages: list[StoredMessage]) -> dict[str, Any]:
    return {
        "id": chat.id,
        "created": chat.created,
        "model": chat.model,
        "model_version": chat.model_version,
        "labels": chat.labels,
        "mode": _MODE,
        "total": chat.total,
        "messages": [_message(message) for message in messages],
    }


def _message(message: StoredMessage) -> dict[str, Any]:
    return {
        "n": message.n,
        "speaker": message.speaker,
        "text": message.text,
        "time": message.time,
        "prediction": message.prediction,
        "error": message.error,
        "correction": message.correction,
    }
