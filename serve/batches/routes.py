"""/v1/batches: whole logs, uploaded, labelled in the background, fetched when they are done."""

import asyncio
import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter
from sqlalchemy import Connection

from dialog.formats import WRITERS
from dialog.formats.table import chosen_columns
from models.catalogue import EMOTION
from serve.batches import callbacks
from serve.batches import table as batch_table
from serve.batches.callbacks import StoredCallback
from serve.batches.schemas import BatchesAsked, BatchesReply, BatchOptions, BatchReply
from serve.batches.table import StoredBatch, TooManyBatches
from serve.batches.worker import folder_of, output_of
from serve.edge import logs
from serve.edge.keys import owner_of, owners_of
from serve.edge.limits import Limits
from serve.edge.multipart import safe_name, unpack, with_fields
from serve.edge.paging import expect_own
from serve.edge.problems import Fault, Refusal, declared, disk_full, not_found, overloaded
from serve.edge.replies import reply
from serve.edge.spool import FILE_HEADER, LOG_HEADER, Spool
from serve.edge.wording import ID
from serve.emotion.choice import Choice
from serve.storage import Storage

BatchId = Annotated[str, PathParameter(pattern=f"^{ID}$", description="As POST /v1/batches gave it")]

_EXAMPLE = "Ann: I finally got the job!!\nBo: No way, that is wonderful news!\n"
_STATE: dict[str, Any] = {
    "id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "created": "2026-01-31T12:00:00Z",
    "state": "running",
    "filename": "chat.txt",
    "input_format": "auto",
    "column": [],
    "encoding": None,
    "to": "jsonl",
    "model": EMOTION,
    "model_version": None,
    "anonymise": False,
    "bytes": 8_388_608,
    "started": "2026-01-31T12:00:01Z",
    "finished": None,
    "fraction": 0.42,
    "ahead": 0,
    "conversations": 1_200,
    "failed": 1,
    "utterances": 31_415,
    "failures": [],
    "error": None,
    "callback": None,
    "output": None,
    "request_id": "6f1d8c3e9b7a4d22",
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {
                "schema": {"type": "string", "format": "binary", "minLength": 1},
                "example": _EXAMPLE,
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "The log"},
                        **{name: {"type": "string"} for name in BatchOptions.model_fields if name != "column"},
                        "column": {"type": "array", "items": {"type": "string"}},
                    },
                    "additionalProperties": False,
                },
                "example": {"file": _EXAMPLE, "to": "html"},
            },
        },
    }
}


def batch_routes(
    storage: Storage,
    choice: Choice,
    limits: Limits,
    *,
    may_list: bool,
    root_path: str = "",
    may_call: Sequence[str] = (),
) -> APIRouter:
    """The router. Ids are secrets; only where `may_list` can all batches be seen. `may_call` are the hosts that may be
    told when a batch has ended."""
    router = APIRouter(prefix="/batches", tags=["batches"])
    folder = folder_of(storage)
    spool = Spool(storage.folder, limits)

    async def found(request: Request, batch_id: str) -> StoredBatch:
        batch = await storage.do(lambda db: batch_table.get(db, batch_id), writes=False)
        if batch is None or batch.owner not in owners_of(request.scope):
            raise not_found("batch")
        return batch

    async def told(request: Request, batch: StoredBatch, status: int = 200, headers: Any = None) -> Response:
        ahead, called = await storage.do(
            lambda db: (
                batch_table.ahead(db, batch.id),
                callbacks.of(db, [batch.id]).get(batch.id),
            ),
            writes=False,
        )
        return reply(request, _shown(batch, ahead, root_path, called), status, headers)

    @router.post(
        "",
        status_code=202,
        summary="Label a log",
        operation_id="begin_batch",
        response_model=BatchReply,
        responses={
            202: {"description": "Accepted", "content": {"application/json": {"example": _STATE}}},
            **declared(400, 408, 413, 415, 422, 507),
        },
        openapi_extra=_BODY,
    )
    async def begin(request: Request, options: Annotated[BatchOptions, Query()]) -> Response:
        """Takes a log of any format that is known (up to 1 GB by default) and labels it in the background.

        Send the file as the body, with options in the query (`curl -X POST -T chat.txt '.../v1/batches?to=html'`), or
        as the field `file` of a form, with options as further fields. What cannot be read or labelled becomes an item
        with an `error`. A batch outlives a restart of the service.
        """
        sent = spool.arrived(request.headers.get(LOG_HEADER, ""))
        kind = request.headers.get("content-type", "")
        try:
            owner = owner_of(request.scope)
            batch, url = await asyncio.to_thread(_kept, sent, kind, options, folder, choice, owner, limits, may_call)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise disk_full() from None
            raise

        def add(db: Connection) -> None:
            batch_table.add(db, batch, limits.batches_waiting)
            if url is not None:
                callbacks.add(db, batch.id, url)

        try:
            await storage.do(add)
        except TooManyBatches:
            await asyncio.to_thread(shutil.rmtree, folder / batch.id, ignore_errors=True)
            raise overloaded("too many batches are waiting", limit="batches_waiting", retry_after=30) from None
        logs.get().info("batch accepted", model=batch.model)
        return await told(request, batch, 202, {"Location": f"/v1/batches/{batch.id}"})

    @router.get(
        "",
        summary="List batches",
        operation_id="list_batches",
        response_model=BatchesReply,
        responses=declared(403, 422),
    )
    async def listing(request: Request, asked: Annotated[BatchesAsked, Query()]) -> Response:
        """The batches of this key, the newest first. Without a key of one's own, only where the service listens on its
        own machine alone."""
        owner = owner_of(request.scope)
        expect_own(owner, "batches", may_list=may_list)

        def look(db: Connection) -> tuple[list[dict[str, Any]], str | None]:
            batches, after = batch_table.listed(db, owner, asked, state=asked.state, filename=asked.filename)
            places = {batch_id: n for n, batch_id in enumerate(batch_table.queued(db))}
            called = callbacks.of(db, [b.id for b in batches])
            return [_shown(b, places.get(b.id, 0), root_path, called.get(b.id)) for b in batches], after

        shown, after = await storage.do(look, writes=False)
        return reply(request, {"batches": shown, "next": after})

    @router.get(
        "/{batch_id}",
        summary="How far is it?",
        operation_id="read_batch",
        response_model=BatchReply,
        responses={200: {"content": {"application/json": {"example": _STATE}}}, **declared(404, 422)},
    )
    async def get(request: Request, batch_id: BatchId) -> Response:
        """The state of a batch: `queued`, `running`, `done` or `failed`, and how much of the log is labelled."""
        return await told(request, await found(request, batch_id))

    @router.get(
        "/{batch_id}/output",
        summary="Fetch the labelled log",
        operation_id="read_output",
        response_class=Response,
        responses={
            200: {
                "description": "The labelled log, in the format that was asked for",
                "content": {writer.media_type.partition(";")[0]: {} for writer in WRITERS.values()},
            },
            **declared(404, 409, 422),
        },
    )
    async def output(request: Request, batch_id: BatchId) -> Response:
        """The file, once the state is `done`; 409 before."""
        batch = await found(request, batch_id)
        if batch.state == "failed":
            raise Refusal(409, "batch-failed", f"the batch has failed: {batch.error}")
        if batch.state != "done":
            raise Refusal(409, "not-done", f"the batch is not done: it is {batch.state}", retry_after=2)
        path = output_of(folder / batch.id, batch)
        name = f"{Path(batch.filename).stem}-emotions{path.suffix}"
        headers = {
            FILE_HEADER: str(path.relative_to(storage.folder)),
            "Content-Type": WRITERS[batch.output_format].media_type,
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            # A report holds what strangers wrote; opened in the browser it must not act in our name.
            "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        }
        return Response(headers=headers)

    @router.delete(
        "/{batch_id}",
        status_code=204,
        summary="Cancel or forget a batch",
        operation_id="delete_batch",
        response_class=Response,
        responses=declared(404, 422),
    )
    async def forget(request: Request, batch_id: BatchId) -> Response:
        """Stops it, if it runs, and deletes the log and what was made of it."""
        await found(request, batch_id)
        if not await storage.do(lambda db: batch_table.delete(db, batch_id), erases=True):
            raise not_found("batch")
        # Whoever labels it may write there for a moment yet, and removes that himself.
        await asyncio.to_thread(shutil.rmtree, folder / batch_id, ignore_errors=True)
        return Response(status_code=204)

    return router


def _kept(
    sent: Path,
    content_type: str,
    options: BatchOptions,
    folder: Path,
    choice: Choice,
    owner: str,
    limits: Limits,
    may_call: Sequence[str],
) -> tuple[StoredBatch, str | None]:
    """The batch of a log that has arrived, with the log in its folder, and whom to tell when it has ended."""
    unpacked = sent.with_name(sent.name + ".part")
    try:
        if content_type.partition(";")[0].strip().lower() == "multipart/form-data":
            filename, fields = unpack(sent, content_type, unpacked)
            options = with_fields(options, fields, limits)
            filename = options.filename or filename
        else:
            filename = options.filename or ""
            os.replace(sent, unpacked)
        if options.callback is not None:
            callbacks.expect_allowed(options.callback, may_call)
        model = choice.model(options.model, options.label_set, "")
        size = unpacked.stat().st_size
        if not size:
            raise Refusal(422, "invalid", "the log is empty", faults=[Fault(pointer="", detail="no bytes in it")])
        batch = batch_table.new(
            safe_name(filename, "log"),
            options.input_format,
            options.to,
            model,
            options.anonymise,
            n_bytes=size,
            owner=owner,
            columns=chosen_columns(options.column),
            encoding=options.encoding,
        )
        place = folder / batch.id / "in"
        place.mkdir(parents=True, mode=0o700)
        os.replace(unpacked, place / batch.filename)
        return batch, options.callback
    finally:
        unpacked.unlink(missing_ok=True)


def _shown(batch: StoredBatch, ahead: int, root_path: str, called: StoredCallback | None) -> dict[str, Any]:
    return {
        "id": batch.id,
        "created": batch.created,
        "state": batch.state,
        "filename": batch.filename,
        "input_format": batch.input_format,
        "column": [f"{role}={name}" for role, name in batch.columns.items()],
        "encoding": batch.encoding,
        "to": batch.output_format,
        "model": batch.model,
        "model_version": batch.model_version,
        "anonymise": batch.anonymise,
        "bytes": batch.bytes,
        "started": batch.started,
        "finished": batch.finished,
        "fraction": batch.fraction,
        "ahead": ahead,
        "conversations": batch.done,
        "failed": batch.failed,
        "utterances": batch.utterances,
        "failures": list(batch.failures),
        "error": batch.error,
        "callback": None if called is None else _told(called),
        "output": f"{root_path}/v1/batches/{batch.id}/output" if batch.state == "done" else None,
    }


def _told(called: StoredCallback) -> dict[str, Any]:
    kept = {name: getattr(called, name) for name in ("url", "state", "tries", "tried", "status", "error")}
    return {**kept, "due": called.due or None}
