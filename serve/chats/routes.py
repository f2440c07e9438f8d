"""/v1/chats: live conversations, labelled message by message, kept until they are deleted."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from serve.chats.edits import Rewritten, Said, edited, removed
from serve.chats.schemas import (
    AnswerNotes,
    ChangedReply,
    ChatReply,
    ChatsReply,
    MessagePatch,
    MessageReply,
    NewChat,
    NewCorrection,
    NewMessage,
    SaidMessage,
    SaidMessages,
)
from serve.chats.sessions import Sessions
from serve.edge import timing
from serve.edge.keys import owner_of
from serve.edge.limits import Limits
from serve.edge.openapi import body
from serve.edge.paging import Asked, expect_own
from serve.edge.problems import declared
from serve.edge.reading import read, refuse_long
from serve.edge.replies import reply
from serve.edge.wording import ID
from serve.storage import StoredChat, StoredMessage

ChatId = Annotated[str, Path(pattern=f"^{ID}$", description="As POST /v1/chats gave it")]
Total = Annotated[
    int | None,
    Query(ge=0, lt=2**31, description="How many messages it is thought to have; 409 where it has others"),
]
MessageNumber = Annotated[int, Path(ge=0, lt=2**31, description="Counted from 0")]
MODE = "live"
"""How the messages of a chat are read."""


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
        refuse_long(_lengths("", speaker=speaker, text=asked.text, time=time), limits)
        message, stepped = await sessions.add(chat_id, speaker, asked.text, time, owner_of(request.scope))
        timing.note(request.scope, "model", stepped.model_seconds)
        extra = {"chat": chat_id, "model_version": stepped.model_version, "mode": MODE, "warnings": stepped.warnings}
        return reply(request, {**told_of(message), **extra}, 201)

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

    @router.patch(
        "/{chat_id}/messages/{n}",
        summary="Change a message",
        operation_id="edit_message",
        response_model=ChangedReply,
        responses=declared(400, 404, 408, 409, 413, 415, 422),
        openapi_extra=body(MessagePatch, {"text": "I finally got the job!"}),
    )
    async def edit(request: Request, chat_id: ChatId, n: MessageNumber, total: Total = None) -> Response:
        """Puts other words, another speaker or another time in place of a message's. All after it is read again, from
        the chat's beginning, and gets the labels it would have had. A label a person gave to other words is forgotten.

        A chat of more than `messages_reread` messages is 409.
        """
        asked, _ = await read(request, MessagePatch, limits)
        fields = {name: getattr(asked, name) for name in asked.model_fields_set}
        fields |= {name: str(fields[name]) for name in ("speaker", "time") if fields.get(name) is not None}
        refuse_long(_lengths("", **fields), limits)
        owner = owner_of(request.scope)
        return _changed(request, await sessions.change(chat_id, edited(n, fields), owner, total=total))

    @router.delete(
        "/{chat_id}/messages/{n}",
        summary="Delete a message",
        operation_id="delete_message",
        response_model=ChangedReply,
        responses=declared(404, 409, 422),
    )
    async def remove(request: Request, chat_id: ChatId, n: MessageNumber, total: Total = None) -> Response:
        """Deletes a message for good. Those after it move up by one, and are read again.

        With `total`, a deletion that is sent twice deletes once: the second is 409.
        """
        return _changed(request, await sessions.change(chat_id, removed(n), owner_of(request.scope), total=total))

    @router.put(
        "/{chat_id}/messages",
        summary="Say all of it again",
        operation_id="rewrite_chat",
        response_model=ChangedReply,
        responses=declared(400, 404, 408, 409, 413, 415, 422),
        openapi_extra=body(SaidMessages, {"messages": [{"speaker": "Ann", "text": "I finally got the job!!"}]}),
    )
    async def rewrite(request: Request, chat_id: ChatId, total: Total = None) -> Response:
        """Puts these messages in the place of all there are: to rename somebody, to undo a change, to bring a chat in.
        What begins as the chat does keeps its labels; what comes after is read."""
        asked, _ = await read(request, SaidMessages, limits)
        said = [_said(message) for message in asked.messages]
        lengths = [_lengths(f"/messages/{i}", speaker=s.speaker, text=s.text, time=s.time) for i, s in enumerate(said)]
        refuse_long([one for found in lengths for one in found], limits)
        owner = owner_of(request.scope)
        change = await sessions.change(chat_id, lambda _: said, owner, total=total, after=len(said))
        return _changed(request, change)

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


def _lengths(place: str, **said: str | None) -> list[tuple[str, str, int]]:
    """How long the parts of a message at this place are, and by which limit."""
    allowed = {
        "text": "characters_per_utterance",
        "speaker": "characters_per_name",
        "time": "characters_per_name",
    }
    return [(f"{place}/{name}", allowed[name], len(value)) for name, value in said.items() if value is not None]


def _said(message: SaidMessage) -> Said:
    return Said(
        speaker=str(message.speaker),
        text=message.text,
        time=None if message.time is None else str(message.time),
        correction=message.correction,
        reply=None if message.reply is None else message.reply.model_dump(),
    )


def _changed(request: Request, new: Rewritten) -> Response:
    timing.note(request.scope, "model", new.model_seconds)
    told = zip(new.messages, new.warnings, strict=True)
    changed = {
        "chat": new.chat.id,
        "model_version": new.chat.model_version,
        "mode": MODE,
        "total": new.chat.total,
        "first": new.first,
        "messages": [{**told_of(message), "warnings": warnings} for message, warnings in told],
    }
    return reply(request, changed)


def _corrected(request: Request, chat: StoredChat, message: StoredMessage) -> Response:
    extra = {"chat": chat.id, "model_version": chat.model_version, "mode": MODE, "warnings": []}
    return reply(request, {**told_of(message), **extra})


def _chat(chat: StoredChat, messages: list[StoredMessage]) -> dict[str, Any]:
    return {
        "id": chat.id,
        "created": chat.created,
        "model": chat.model,
        "model_version": chat.model_version,
        "labels": chat.labels,
        "mode": MODE,
        "total": chat.total,
        "messages": [told_of(message) for message in messages],
    }


def told_of(message: StoredMessage) -> dict[str, Any]:
    """A message as it is told."""
    return {
        "n": message.n,
        "speaker": message.speaker,
        "text": message.text,
        "time": message.time,
        "prediction": message.prediction,
        "error": message.error,
        "correction": message.correction,
        "reply": message.reply and {name: message.reply.get(name) for name in AnswerNotes.model_fields},
    }
