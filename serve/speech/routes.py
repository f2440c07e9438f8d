"""/v1/recordings: sent as files, listened to and labelled in the background, played, corrected and fetched."""

import asyncio
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter
from sqlalchemy import Connection

from dialog.formats import WRITERS
from dialog.speech.transcript import clock
from serve.config import RecordingsConfig
from serve.edge import logs
from serve.edge.keys import owner_of, owners_of
from serve.edge.limits import Limits
from serve.edge.openapi import body
from serve.edge.paging import expect_own
from serve.edge.problems import Fault, declared, disk_full, overloaded
from serve.edge.reading import invalid, read, refuse_long
from serve.edge.reasons import is_full
from serve.edge.replies import reply
from serve.edge.schemas import OneOf
from serve.edge.spool import FILE_HEADER, LOG_HEADER, Spool
from serve.edge.wording import ID
from serve.emotion.choice import Choice
from serve.emotion.labeller import Labeller
from serve.speech import table
from serve.speech.document import ACCEPTED, BODY, SOUND, STATE
from serve.speech.labels import as_conversation
from serve.speech.recordings import Recordings, renamed, said_otherwise
from serve.speech.schemas import (
    EnvelopeReply,
    PartPatch,
    RecordingOptions,
    RecordingReply,
    RecordingsAsked,
    RecordingsReply,
    SpeakerPatch,
)
from serve.speech.table import StoredPart, StoredRecording, TooManyRecordings
from serve.speech.uploads import kept
from serve.speech.worker import folder_of, sound_of
from serve.storage import Storage

RecordingId = Annotated[str, PathParameter(pattern=f"^{ID}$", description="As POST /v1/recordings gave it")]
Number = Annotated[int, PathParameter(ge=0, lt=2**31, description="Counted from 0")]
OutputFormat = Annotated[str, OneOf(*WRITERS)]


def recording_routes(
    storage: Storage,
    labeller: Labeller,
    choice: Choice,
    config: RecordingsConfig,
    limits: Limits,
    *,
    may_list: bool,
    root_path: str = "",
) -> APIRouter:
    """The router. Ids are secrets; only where `may_list` can the recordings of those who have no key be seen."""
    router = APIRouter(prefix="/recordings", tags=["recordings"])
    spool = Spool(storage.folder, limits)
    recordings = Recordings(storage, labeller, limits)

    async def told(
        request: Request, recording: StoredRecording, status: int = 200, *, after: int = 0, limit: int = 2000
    ) -> Response:
        recording, ahead, shares, parts = await recordings.told(recording, after, limit)
        here = f"{root_path}/v1/recordings/{recording.id}"
        whole = {
            **_shown(recording, ahead),
            "warnings": [caveat.to_dict() for caveat in (*recording.warnings, *recording.label_warnings)],
            "speakers": [
                {
                    "n": share.speaker,
                    "name": recording.names[share.speaker],
                    "seconds": share.seconds,
                    "utterances": share.parts,
                    "voice": f"{here}/voices/{share.speaker}",
                }
                for share in shares
            ],
            "total": sum(share.parts for share in shares),
            "utterances": [_utterance(recording, part) for part in parts],
            "sound": None if recording.seconds is None or recording.state == "failed" else f"{here}/sound",
        }
        headers = {"Location": f"/v1/recordings/{recording.id}"} if status == 202 else None
        return reply(request, whole, status, headers)

    def heard(path: Path, name: str) -> Response:
        headers = {
            FILE_HEADER: str(path.relative_to(storage.folder)),
            "Content-Type": "audio/wav",
            "Content-Disposition": f"inline; filename*=UTF-8''{quote(name, safe='')}.wav",
        }
        return Response(headers=headers)

    @router.post(
        "",
        status_code=202,
        summary="Listen to a recording",
        operation_id="begin_recording",
        response_model=RecordingReply,
        responses={
            202: {"description": "Accepted", "content": {"application/json": {"example": ACCEPTED}}},
            **declared(400, 408, 413, 415, 422, 507),
        },
        openapi_extra=BODY,
    )
    async def begin(request: Request, options: Annotated[RecordingOptions, Query()]) -> Response:
        """Takes a recording (up to 100 MB by default), and in the background finds who speaks when, in which words and
        with which emotion.

        Send the file as the field `file` of a form, with options as further fields, or as the body, with options in the
        query (`curl -X POST -T call.wav '.../v1/recordings?speakers=2'`). It is kept until it is deleted, and outlives
        a restart of the service.
        """
        sent = spool.arrived(request.headers.get(LOG_HEADER, ""))
        kind, owner = request.headers.get("content-type", ""), owner_of(request.scope)
        folder = folder_of(storage)
        try:
            recording = await asyncio.to_thread(
                kept, sent, kind, options, folder, choice=choice, config=config, owner=owner, limits=limits
            )
        except OSError as error:
            if is_full(error):
                raise disk_full() from None
            raise
        try:
            await storage.do(lambda db: table.add(db, recording, limits.recordings_waiting))
        except BaseException as error:
            await asyncio.to_thread(shutil.rmtree, folder / recording.id, ignore_errors=True)
            if isinstance(error, TooManyRecordings):
                detail = "too many recordings are waiting"
                raise overloaded(detail, limit="recordings_waiting", retry_after=30) from None
            raise
        logs.get().info("recording accepted", model=recording.model)
        return await told(request, recording, 202)

    @router.get(
        "",
        summary="List recordings",
        operation_id="list_recordings",
        response_model=RecordingsReply,
        responses=declared(403, 422),
    )
    async def listing(request: Request, asked: Annotated[RecordingsAsked, Query()]) -> Response:
        """The recordings of this key, the newest first. Without a key of one's own, only where the service listens on
        its own machine alone."""
        owner = owner_of(request.scope)
        expect_own(owner, "recordings", may_list=may_list)

        def look(db: Connection) -> tuple[list[dict[str, Any]], str | None]:
            found, after = table.listed(db, owner, asked, state=asked.state, filename=asked.filename)
            places = {recording_id: n for n, recording_id in enumerate(table.queued(db))}
            return [_shown(recording, places.get(recording.id, 0)) for recording in found], after

        shown, after = await storage.do(look, writes=False)
        return reply(request, {"recordings": shown, "next": after})

    @router.get(
        "/{recording_id}",
        summary="Read a recording",
        operation_id="read_recording",
        response_model=RecordingReply,
        responses={200: {"content": {"application/json": {"example": STATE}}}, **declared(404, 422)},
    )
    async def get(
        request: Request,
        recording_id: RecordingId,
        after: Annotated[int, Query(ge=0, lt=2**31, description="The first utterance wanted, counted from 0")] = 0,
        limit: Annotated[
            int, Query(ge=1, lt=2**31, description="How many utterances; the service may give fewer")
        ] = 2000,
    ) -> Response:
        """How far it is (`queued`, `running`, `done` or `failed`), who speaks in it, and a page of what is said, with
        labels once it is done."""
        recording = await recordings.get(recording_id, owners_of(request.scope))
        return await told(request, recording, after=after, limit=limit)

    @router.get(
        "/{recording_id}/envelope",
        summary="How loud is it?",
        operation_id="read_envelope",
        response_model=EnvelopeReply,
        responses=declared(404, 409, 422),
    )
    async def envelope(request: Request, recording_id: RecordingId) -> Response:
        """What a picture of the recording is drawn from, once it was listened to; 409 before."""
        recording = await recordings.heard(recording_id, owners_of(request.scope))
        peaks = [round(peak / 255, 3) for peak in await recordings.envelope(recording)]
        return reply(request, {"seconds": recording.seconds, "peaks": peaks})

    @router.get(
        "/{recording_id}/sound",
        summary="Play a recording",
        operation_id="play_recording",
        response_class=Response,
        responses={**SOUND, **declared(404, 409, 416, 422)},
    )
    async def sound(request: Request, recording_id: RecordingId) -> Response:
        """All of it, once it was listened to; 409 before. Parts of it by the header Range."""
        recording = await recordings.heard(recording_id, owners_of(request.scope))
        return heard(sound_of(storage, recording.id), Path(recording.filename).stem)

    @router.get(
        "/{recording_id}/voices/{n}",
        summary="Play one voice",
        operation_id="play_voice",
        response_class=Response,
        responses={**SOUND, **declared(404, 409, 416, 422)},
    )
    async def voice(request: Request, recording_id: RecordingId, n: Number) -> Response:
        """What speaker `n` says, at the times at which he says it, and silence between. Where two talk at once, both
        can be heard."""
        recording = await recordings.heard(recording_id, owners_of(request.scope))
        try:
            path = await recordings.voice(recording, n)
        except OSError as error:
            if is_full(error):
                raise disk_full() from None
            raise
        return heard(path, f"{Path(recording.filename).stem}-{recording.names[n]}")

    @router.get(
        "/{recording_id}/output",
        summary="Fetch the labelled conversation",
        operation_id="export_recording",
        response_class=Response,
        responses={
            200: {
                "description": "The conversation, in the format that is asked for",
                "content": {writer.media_type.partition(";")[0]: {} for writer in WRITERS.values()},
            },
            **declared(404, 409, 422),
        },
    )
    async def output(
        request: Request,
        recording_id: RecordingId,
        to: Annotated[OutputFormat, Query(description="The format")] = "jsonl",
    ) -> Response:
        """What was said, as `rapport annotate` writes it, once the state is `done`; 409 before."""
        recording = await recordings.done(recording_id, owners_of(request.scope))
        parts = await recordings.parts(recording)
        name = f"{Path(recording.filename).stem}-emotions.{WRITERS[to].ending}"
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            # A report holds what strangers said; opened in the browser it must not act in our name.
            "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        }
        content = await asyncio.to_thread(_written, recording, parts, to)
        return Response(content, headers=headers, media_type=WRITERS[to].media_type)

    @router.patch(
        "/{recording_id}/utterances/{n}",
        summary="Change what was said",
        operation_id="edit_utterance",
        response_model=RecordingReply,
        responses=declared(400, 404, 408, 409, 413, 415, 422),
        openapi_extra=body(PartPatch, {"text": "I finally got the job!", "speaker": "Ann"}),
    )
    async def edit(request: Request, recording_id: RecordingId, n: Number) -> Response:
        """Other words or another speaker in an utterance, and the labels of the recording anew. A long one (see
        `messages_reread`) is labelled in the background, and `queued` until then."""
        asked, _ = await read(request, PartPatch, limits)
        given = asked.model_fields_set
        text = asked.text if "text" in given else None
        speaker = str(asked.speaker) if "speaker" in given else None
        refuse_long(_lengths(text, "/speaker", speaker), limits)
        if speaker is not None:
            _expect_name(speaker, "/speaker", limits)
        change = said_otherwise(n, text, speaker)
        return await told(request, await recordings.change(recording_id, owners_of(request.scope), change))

    @router.patch(
        "/{recording_id}/speakers/{n}",
        summary="Name a speaker",
        operation_id="name_speaker",
        response_model=RecordingReply,
        responses=declared(400, 404, 408, 409, 413, 415, 422),
        openapi_extra=body(SpeakerPatch, {"name": "Ann"}),
    )
    async def name(request: Request, recording_id: RecordingId, n: Number) -> Response:
        """Another name for a speaker, everywhere; the name of another speaker makes both the same. Then as for an
        utterance."""
        asked, _ = await read(request, SpeakerPatch, limits)
        called = str(asked.name)
        refuse_long(_lengths(None, "/name", called), limits)
        _expect_name(called, "/name", limits)
        return await told(request, await recordings.change(recording_id, owners_of(request.scope), renamed(n, called)))

    @router.delete(
        "/{recording_id}",
        status_code=204,
        summary="Cancel or forget a recording",
        operation_id="delete_recording",
        response_class=Response,
        responses=declared(404, 422),
    )
    async def forget(request: Request, recording_id: RecordingId) -> Response:
        """Stops it, if it is under way, and deletes the sound and all that was heard in it."""
        await recordings.delete(recording_id, owners_of(request.scope))
        return Response(status_code=204)

    return router


def _shown(recording: StoredRecording, ahead: int) -> dict[str, Any]:
    same = ("id", "created", "touched", "state", "filename", "bytes", "channels", "recogniser", "language", "model")
    since = ("model_version", "started", "finished", "fraction", "seconds", "error")
    told = {name: getattr(recording, name) for name in (*same, *since)}
    return {**told, "speakers_asked": recording.n_speakers, "ahead": ahead}


def _utterance(recording: StoredRecording, part: StoredPart) -> dict[str, Any]:
    prediction = None if part.prediction is None else orjson.loads(part.prediction)
    voice = None if part.voice is None else orjson.loads(part.voice)
    if prediction is not None:
        prediction["voice"], voice = voice, None
    return {
        "n": part.n,
        "time": clock(part.starts),
        "end": clock(part.ends),
        "starts": part.starts,
        "ends": part.ends,
        "speaker": recording.names[part.speaker],
        "text": part.text,
        "confidence": part.confidence,
        "edited": part.edited,
        "prediction": prediction,
        "voice": voice,
    }


def _written(recording: StoredRecording, parts: list[StoredPart], to: str) -> bytes:
    file = io.BytesIO()
    WRITERS[to].write([as_conversation(recording, parts)], file)
    return file.getvalue()


def _lengths(text: str | None, place: str, name: str | None) -> Iterator[tuple[str, str, int]]:
    """What has a limit: where it is, the limit's name, its length."""
    if text is not None:
        yield "/text", "characters_per_utterance", len(text)
    if name is not None:
        yield place, "characters_per_name", len(name)


def _expect_name(name: str, place: str, limits: Limits) -> None:
    if not name.strip():
        raise invalid([Fault(pointer=place, detail="expected a name")], limits)
