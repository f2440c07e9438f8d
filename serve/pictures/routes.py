"""/v1/visual-dialogs: questions about a picture in rounds, kept until deleted; /v1/visual-answers: one, all in it."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

from models.catalogue import VISUAL
from serve.edge import logs
from serve.edge.keys import owner_of
from serve.edge.limits import Limits
from serve.edge.openapi import body
from serve.edge.paging import expect_own
from serve.edge.problems import Fault, Refusal, declared, declared_as, too_large
from serve.edge.reading import invalid, read, refuse_long
from serve.edge.replies import reply
from serve.edge.wording import ID
from serve.pictures.deployment import Begin
from serve.pictures.reading import read_picture
from serve.pictures.schemas import (
    NewQuestion,
    NewVisualDialog,
    PicturesAsked,
    RoundReply,
    VisualAnswerReply,
    VisualDialogReply,
    VisualDialogsReply,
    VisualQuestion,
)
from serve.pictures.sessions import VisualSessions, missing
from serve.pictures.table import StoredDialog, StoredRound

DialogId = Annotated[str, Path(pattern=f"^{ID}$", description="As POST /v1/visual-dialogs gave it")]

_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFElEQVR4nGNkaGhgwAaYsIoOWgkAzIgBEFCQDco"
    "AAAAASUVORK5CYII="
)
_ANSWER: dict[str, Any] = {
    "text": "a dog",
    "answers": [{"text": "a dog", "probability": 0.71}, {"text": "a cat", "probability": 0.12}],
    "known": True,
    "why": "",
    "written": None,
    "regions": [0.1, 0.2, 0.6, 0.1],
    "rounds": [],
    "things": [{"name": "dog", "probability": 0.83, "box": [0.21, 0.3, 0.64, 0.92]}],
    "retrieved": False,
}
_LOOK: dict[str, Any] = {
    "width": 1024,
    "height": 768,
    "boxes": [[0.0, 0.0, 0.5, 0.5], [0.5, 0.0, 1.0, 0.5], [0.0, 0.5, 0.5, 1.0], [0.5, 0.5, 1.0, 1.0]],
    "strangeness": 0.4,
}
_ROUND = {"n": 0, "question": "what is on the grass?", "answer": _ANSWER}
_VERSIONS = {"model_version": f"{VISUAL}@1f0c7ad2b3e4", "request_id": "6f1d8c3e9b7a4d22"}
_ID = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
_DIALOG = {
    **_LOOK,
    "id": _ID,
    "created": "2026-01-31T12:00:00Z",
    "caption": "",
    "total": 1,
    "rounds": [_ROUND],
    **_VERSIONS,
}
_HISTORY = [{"question": "what is on the grass?", "answer": "a dog"}]


def visual_routes(sessions: VisualSessions, limits: Limits, *, may_list: bool) -> APIRouter:
    """The router. Ids are secrets; only where `may_list` can the dialogues of those who have no key be seen. Which
    engine answers, no request can say."""
    router = APIRouter(tags=["pictures"])

    @router.post(
        "/visual-dialogs",
        status_code=201,
        summary="Show a picture",
        operation_id="begin_visual_dialog",
        response_model=VisualDialogReply,
        responses={
            201: {"content": {"application/json": {"example": {**_DIALOG, "total": 0, "rounds": []}}}},
            **declared(400, 408),
            **_pictures(limits),
        },
        openapi_extra=_bodies(NewVisualDialog, {"picture": _PIXEL}, ("caption",)),
    )
    async def begin(request: Request) -> Response:
        """Looks at a picture, once for all questions about it: a JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP or TIFF of at
        most 20 MB and 64 megapixels, as the file `picture` of a form or as a data: URI in JSON. No address is ever
        fetched."""
        asked, picture = await read_picture(request, NewVisualDialog, limits)
        refuse_long([("/caption", "characters_per_question", len(asked.caption))], limits)
        dialog = await sessions.start(picture, asked.caption, owner_of(request.scope))
        logs.get().info("picture", model_version=dialog.model_version)
        return reply(request, _dialog(dialog, []), 201, {"Location": f"/v1/visual-dialogs/{dialog.id}"})

    @router.get(
        "/visual-dialogs",
        summary="List pictures",
        operation_id="list_visual_dialogs",
        response_model=VisualDialogsReply,
        responses=declared(403, 422),
    )
    async def listing(request: Request, asked: Annotated[PicturesAsked, Query()]) -> Response:
        """The pictures of this key, the newest first. Without a key of one's own, only where the service listens on its
        own machine alone."""
        owner = owner_of(request.scope)
        expect_own(owner, "pictures", may_list=may_list)
        page = await sessions.listed(owner, asked, asked.caption)
        return reply(request, {"visual_dialogs": [_summary(dict(row)) for row in page.rows], "next": page.next})

    @router.post(
        "/visual-dialogs/{dialog_id}/questions",
        status_code=201,
        summary="Ask about the picture",
        operation_id="ask_about_picture",
        response_model=RoundReply,
        responses={
            201: {"content": {"application/json": {"example": {**_ROUND, "dialog": _ID, **_VERSIONS}}}},
            **declared(400, 404, 408, 413, 415, 422),
            **declared_as(
                "The dialogue is full", Refusal(409, "dialog-full", "the dialogue is full: it has 200 rounds")
            ),
            **_no_model(),
        },
        openapi_extra=body(NewQuestion, {"question": "what is it doing?"}),
    )
    async def ask(request: Request, dialog_id: DialogId) -> Response:
        """The answer with its calibrated alternatives, read off the picture and the rounds before. The cost does not
        grow with the dialogue."""
        asked, _ = await read(request, NewQuestion, limits)
        _check([("/question", asked.question)], limits)
        added, version = await sessions.ask(dialog_id, asked.question, owner_of(request.scope))
        return reply(request, {**_round(added), "dialog": dialog_id, "model_version": version}, 201)

    @router.get(
        "/visual-dialogs/{dialog_id}",
        summary="Read a dialogue about a picture",
        operation_id="read_visual_dialog",
        response_model=VisualDialogReply,
        responses={200: {"content": {"application/json": {"example": _DIALOG}}}, **declared(404, 422)},
    )
    async def get(request: Request, dialog_id: DialogId) -> Response:
        """What was asked and answered so far."""
        dialog = await sessions.get(dialog_id, owner_of(request.scope))
        return reply(request, _dialog(dialog, await sessions.rounds(dialog_id)))

    @router.get(
        "/visual-dialogs/{dialog_id}/picture",
        summary="Get the picture back",
        operation_id="read_picture",
        response_class=Response,
        responses={
            200: {"description": "The picture", "content": {"image/jpeg": {"schema": {"type": "string"}}}},
            **declared(404, 422),
        },
    )
    async def picture(request: Request, dialog_id: DialogId) -> Response:
        """The picture as it is kept: a JPEG, upright, at most 1,024 pixels, without metadata."""
        return Response((await sessions.get(dialog_id, owner_of(request.scope))).picture, media_type="image/jpeg")

    @router.delete(
        "/visual-dialogs/{dialog_id}",
        status_code=204,
        summary="Forget a picture",
        operation_id="forget_visual_dialog",
        response_class=Response,
        responses=declared(404, 422),
    )
    async def forget(request: Request, dialog_id: DialogId) -> Response:
        """The picture and all that was said of it are deleted for good."""
        await sessions.delete(dialog_id, owner_of(request.scope))
        return Response(status_code=204)

    @router.post(
        "/visual-answers",
        summary="Ask with the whole history",
        operation_id="answer_about_picture",
        response_model=VisualAnswerReply,
        responses={
            200: {
                "content": {
                    "application/json": {
                        "example": {**_LOOK, "question": "what is it doing?", "answer": _ANSWER, **_VERSIONS}
                    }
                }
            },
            **declared(400, 408),
            **_pictures(limits),
        },
        openapi_extra=_bodies(
            VisualQuestion,
            {"picture": _PIXEL, "rounds": _HISTORY, "question": "what is it doing?"},
            ("caption", "rounds", "question"),
        ),
    )
    async def answer(request: Request) -> Response:
        """One question with its picture and the rounds before it; nothing is kept. In a form, `rounds` is JSON."""
        asked, picture = await read_picture(request, VisualQuestion, limits)
        refuse_long(
            [
                ("/caption", "characters_per_question", len(asked.caption)),
                ("/rounds", "rounds_per_dialog", len(asked.rounds)),
            ],
            limits,
        )
        said = [(f"/rounds/{i}/question", r.question) for i, r in enumerate(asked.rounds)]
        said += [(f"/rounds/{i}/answer", r.answer) for i, r in enumerate(asked.rounds)]
        _check([*said, ("/question", asked.question)], limits)
        history = tuple((r.question, r.answer) for r in asked.rounds)
        begin = Begin(picture=picture, caption=asked.caption, rounds=history)
        begun, answered = await sessions.answer(begin, asked.question)
        told = {"question": asked.question, "answer": answered.answer, "model_version": answered.model_version}
        return reply(request, {**begun.look, **told})

    return router


def _check(found: Iterable[tuple[str, str]], limits: Limits) -> None:
    """Refusal 422 for texts that are too long or blank."""
    found = list(found)
    refuse_long([(place, "characters_per_question", len(text)) for place, text in found], limits)
    blank = [Fault(pointer=place, detail="expected some words") for place, text in found if not text.split()]
    if blank:
        raise invalid(blank, limits)


def _pictures(limits: Limits) -> dict[int | str, dict[str, Any]]:
    """The errors that a picture may cause."""
    pixels = f"the picture has 10000 x 10000 = 100,000,000 pixels, expected at most {limits.picture_pixels:,} in a JPEG"
    damaged = "the picture is damaged or cut off and cannot be decoded"
    large = too_large("picture_pixels", limits.picture_pixels)
    large.detail = pixels
    detail = "this is an SVG drawing; expected a JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP or TIFF picture"
    return {
        **declared_as("The body or the picture is too large: bytes, or pixels", large),
        **declared_as("Not a picture we read, or another content type", Refusal(415, "unsupported-media-type", detail)),
        **declared_as(
            "A damaged picture, or a body of the wrong shape",
            Refusal(422, "invalid", damaged, faults=[Fault(pointer="/picture", detail=damaged)]),
        ),
        **declared(),
        **_no_model(),
    }


def _no_model() -> dict[int | str, dict[str, Any]]:
    example = missing(f"the model {VISUAL}, which answers about pictures, cannot be loaded")
    return declared_as("No model for pictures here, or not able to answer now; see Retry-After", example)


def _bodies(model: type[BaseModel], example: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """The body as JSON and as a form."""
    found = body(model, example)
    texts = {name: {"type": "string"} for name in fields}
    required = [name for name in model.model_fields if model.model_fields[name].is_required()]
    found["requestBody"]["content"]["multipart/form-data"] = {
        "schema": {
            "type": "object",
            "required": required,
            "properties": {"picture": {"type": "string", "format": "binary"}, **texts},
            "additionalProperties": False,
        },
        "example": {
            name: orjson.dumps(value).decode() if isinstance(value, list) else value
            for name, value in {**example, "picture": "(the file)"}.items()
        },
    }
    return found


def _dialog(dialog: StoredDialog, rounds: list[StoredRound]) -> dict[str, Any]:
    return {
        **dialog.look,
        "id": dialog.id,
        "created": dialog.created,
        "caption": dialog.caption,
        "model_version": dialog.model_version,
        "total": dialog.total,
        "rounds": [_round(r) for r in rounds],
    }


def _summary(row: Mapping[str, Any]) -> dict[str, Any]:
    look = orjson.loads(row["look"])
    kept = {name: row[name] for name in ("id", "created", "touched", "caption", "model_version", "total")}
    return {**kept, "width": look["width"], "height": look["height"]}


def _round(found: StoredRound) -> dict[str, Any]:
    return {"n": found.n, "question": found.question, "answer": found.answer}
