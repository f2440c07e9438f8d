"""The client for programs with an event loop: the same calls, awaited."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

import httpx

from . import batch_calls, calls, picture_calls, recording_calls, reply_calls, telemetry_calls
from .calls import Call, Pages, Steps
from .client import LIMITS_SECONDS, answer_of, headers_of, settings
from .conversation import Conversation
from .errors import ServiceError, problem_of, silence
from .picture_calls import Picture
from .retries import Patience
from .things import (
    Batch,
    ChangedChat,
    Chat,
    ChatSummary,
    Correction,
    EmotionsAnswer,
    Envelope,
    FleetModel,
    HealthNow,
    KeptUnit,
    Label,
    Message,
    Mode,
    Model,
    Recording,
    Reply,
    Round,
    State,
    VisualAnswer,
    VisualDialog,
    VisualDialogSummary,
    WatchedFleet,
    WatchedUnit,
)

T = TypeVar("T")


class AsyncClient:
    """Client, awaited: the same methods, arguments, retries and errors, and lists that come by `async for`."""

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        timeout: float = 130.0,
        retries: int = 4,
        longest_wait: float = 30.0,
        key: str | None = None,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """As Client."""
        self._http = httpx.AsyncClient(
            **settings(base_url, timeout, key), verify=verify, transport=transport, follow_redirects=False
        )
        self._patience = Patience(retries, longest_wait)
        self._limits: tuple[float, Mapping[str, float]] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connections."""
        await self._http.aclose()

    async def emotions(
        self,
        conversations: Sequence[Conversation],
        *,
        causes: bool = True,
        label_set: str | None = None,
        mode: Mode = "offline",
        model: str | None = None,
    ) -> EmotionsAnswer:
        """As Client.emotions."""
        return await self._do(calls.emotions(conversations, causes=causes, label_set=label_set, mode=mode, model=model))

    async def mend(
        self, texts: Sequence[str], *, keep: Sequence[str] = (), completions: int = 0
    ) -> tuple[Correction, ...]:
        """As Client.mend."""
        return await self._do(calls.mend(texts, keep, completions))

    async def start_chat(self, *, model: str | None = None, label_set: str | None = None) -> Chat:
        """As Client.start_chat."""
        return await self._do(calls.start_chat(model, label_set))

    async def add_message(self, chat_id: str, speaker: str, text: str, *, time: str | None = None) -> Message:
        """As Client.add_message."""
        return await self._do(calls.add_message(chat_id, speaker, text, time))

    async def chat(self, chat_id: str, *, after: int = 0, limit: int | None = None) -> Chat:
        """As Client.chat."""
        return await self._do_all(calls.chat(chat_id, after, limit))

    def chats(self, *, since: str | None = None, before: str | None = None) -> AsyncIterator[ChatSummary]:
        """As Client.chats."""
        return self._go_through(calls.chats(since, before))

    async def delete_chat(self, chat_id: str) -> None:
        """As Client.delete_chat."""
        try:
            await self._do(calls.delete(f"/chats/{chat_id}"))
        except ServiceError as error:
            if error.status != 404:
                raise

    async def correct(self, chat_id: str, n: int, emotion: str | None) -> Message:
        """As Client.correct."""
        return await self._do(calls.correct(chat_id, n, emotion))

    async def edit_message(
        self,
        chat_id: str,
        n: int,
        *,
        text: str | None = None,
        speaker: str | None = None,
        time: str | None = None,
        total: int | None = None,
    ) -> ChangedChat:
        """As Client.edit_message."""
        return await self._do(calls.edit_message(chat_id, n, text=text, speaker=speaker, time=time, total=total))

    async def delete_message(self, chat_id: str, n: int, *, total: int | None = None) -> ChangedChat:
        """As Client.delete_message."""
        return await self._do(calls.delete_message(chat_id, n, total))

    async def rewrite_chat(
        self, chat_id: str, messages: Sequence[Mapping[str, Any]], *, total: int | None = None
    ) -> ChangedChat:
        """As Client.rewrite_chat."""
        return await self._do(calls.rewrite_chat(chat_id, messages, total))

    async def start_batch(
        self,
        log: str | Path,
        *,
        filename: str | None = None,
        input_format: str = "auto",
        columns: Mapping[str, str] | None = None,
        encoding: str | None = None,
        to: str = "jsonl",
        model: str | None = None,
        label_set: str | None = None,
        anonymise: bool = False,
        callback: str | None = None,
    ) -> Batch:
        """As Client.start_batch."""
        begun = batch_calls.start(
            log,
            filename=filename,
            input_format=input_format,
            columns=columns,
            encoding=encoding,
            to=to,
            model=model,
            label_set=label_set,
            anonymise=anonymise,
            callback=callback,
        )
        with await asyncio.to_thread(Path(log).open, "rb") as file:
            return await self._once(begun, {}, _pieces(file))

    async def batch(self, batch_id: str) -> Batch:
        """As Client.batch."""
        return await self._do(batch_calls.look(batch_id))

    def batches(
        self,
        *,
        state: State | None = None,
        filename: str | None = None,
        since: str | None = None,
        before: str | None = None,
    ) -> AsyncIterator[Batch]:
        """As Client.batches."""
        return self._go_through(batch_calls.listed(state=state, filename=filename, since=since, before=before))

    async def follow_batch(self, batch_id: str, *, every: float = 1.0) -> AsyncIterator[Batch]:
        """As Client.follow_batch."""
        known = None
        while known is None or not known.ended:
            if known is not None:
                await asyncio.sleep(every)
            if (found := await self.batch(batch_id)) != known:
                known = found
                yield found

    async def save_batch(self, batch_id: str, path: str | Path) -> None:
        """As Client.save_batch."""
        await self._save(f"/batches/{batch_id}/output", path)

    async def delete_batch(self, batch_id: str) -> None:
        """As Client.delete_batch."""
        await self._do(calls.delete(f"/batches/{batch_id}"))

    async def show_picture(self, picture: Picture, *, caption: str = "") -> VisualDialog:
        """As Client.show_picture."""
        return await self._do(await asyncio.to_thread(picture_calls.show, picture, caption))

    async def ask(self, dialog_id: str, question: str) -> Round:
        """As Client.ask."""
        return await self._do(picture_calls.ask(dialog_id, question))

    async def visual_dialog(self, dialog_id: str) -> VisualDialog:
        """As Client.visual_dialog."""
        return await self._do(picture_calls.look(dialog_id))

    def visual_dialogs(
        self, *, caption: str | None = None, since: str | None = None, before: str | None = None
    ) -> AsyncIterator[VisualDialogSummary]:
        """As Client.visual_dialogs."""
        return self._go_through(picture_calls.listed(caption=caption, since=since, before=before))

    async def picture(self, dialog_id: str) -> bytes:
        """As Client.picture."""
        async with self._stream(f"/visual-dialogs/{dialog_id}/picture") as response:
            return await response.aread()

    async def delete_visual_dialog(self, dialog_id: str) -> None:
        """As Client.delete_visual_dialog."""
        await self._do(calls.delete(f"/visual-dialogs/{dialog_id}"))

    async def answer(
        self, picture: Picture, question: str, *, rounds: Sequence[tuple[str, str]] = (), caption: str = ""
    ) -> VisualAnswer:
        """As Client.answer."""
        return await self._do(await asyncio.to_thread(picture_calls.answer, picture, question, rounds, caption))

    async def start_recording(
        self,
        sound: str | Path,
        *,
        filename: str | None = None,
        speakers: int | None = None,
        channels: recording_calls.Channels = "found",
        recogniser: str | None = None,
        language: str | None = None,
        model: str | None = None,
        label_set: str | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Recording:
        """As Client.start_recording."""
        begun = recording_calls.start(
            sound,
            filename=filename,
            speakers=speakers,
            channels=channels,
            recogniser=recogniser,
            language=language,
            model=model,
            label_set=label_set,
        )
        with await asyncio.to_thread(Path(sound).open, "rb") as file:
            return await self._once(begun, {}, _pieces(file, progress))

    async def recording(self, recording_id: str) -> Recording:
        """As Client.recording."""
        return await self._do_all(recording_calls.look(recording_id))

    def recordings(
        self,
        *,
        state: State | None = None,
        filename: str | None = None,
        since: str | None = None,
        before: str | None = None,
    ) -> AsyncIterator[Recording]:
        """As Client.recordings."""
        return self._go_through(recording_calls.listed(state=state, filename=filename, since=since, before=before))

    async def follow_recording(self, recording_id: str, *, every: float = 1.0) -> AsyncIterator[Recording]:
        """As Client.follow_recording."""
        known = None
        while known is None or not known.ended:
            if known is not None:
                await asyncio.sleep(every)
            if (found := await self.recording(recording_id)) != known:
                known = found
                yield found

    async def envelope(self, recording_id: str) -> Envelope:
        """As Client.envelope."""
        return await self._do(recording_calls.envelope(recording_id))

    async def save_sound(self, recording_id: str, path: str | Path) -> None:
        """As Client.save_sound."""
        await self._save(f"/recordings/{recording_id}/sound", path)

    async def save_voice(self, recording_id: str, n: int, path: str | Path) -> None:
        """As Client.save_voice."""
        await self._save(f"/recordings/{recording_id}/voices/{n}", path)

    async def save_recording(self, recording_id: str, path: str | Path, *, to: str = "jsonl") -> None:
        """As Client.save_recording."""
        await self._save(f"/recordings/{recording_id}/output?to={to}", path)

    async def edit_utterance(
        self, recording_id: str, n: int, *, text: str | None = None, speaker: str | None = None
    ) -> Recording:
        """As Client.edit_utterance."""
        return await self._do(recording_calls.edit(recording_id, n, text=text, speaker=speaker))

    async def name_speaker(self, recording_id: str, n: int, name: str) -> Recording:
        """As Client.name_speaker."""
        return await self._do(recording_calls.rename(recording_id, n, name))

    async def delete_recording(self, recording_id: str) -> None:
        """As Client.delete_recording."""
        await self._do(calls.delete(f"/recordings/{recording_id}"))

    async def fleet_model(self) -> FleetModel:
        """As Client.fleet_model."""
        return await self._do(telemetry_calls.model())

    async def look_at_fleet(
        self,
        units: Mapping[str, tuple[Sequence[float], telemetry_calls.Rows]],
        *,
        channels: Sequence[str] | None = None,
        time_unit: str | None = None,
        history: bool = False,
    ) -> WatchedFleet:
        """As Client.look_at_fleet."""
        return await self._do(telemetry_calls.look(units, channels=channels, time_unit=time_unit, history=history))

    async def put_samples(
        self,
        unit: str,
        times: Sequence[float],
        values: telemetry_calls.Rows,
        *,
        channels: Sequence[str] | None = None,
        time_unit: str | None = None,
    ) -> WatchedUnit:
        """As Client.put_samples."""
        return await self._do(telemetry_calls.put(unit, times, values, channels=channels, time_unit=time_unit))

    async def unit(self, name: str) -> WatchedUnit:
        """As Client.unit."""
        return await self._do(telemetry_calls.unit(name))

    def units(self, *, since: str | None = None, before: str | None = None) -> AsyncIterator[KeptUnit]:
        """As Client.units."""
        return self._go_through(telemetry_calls.units(since=since, before=before))

    async def delete_unit(self, name: str) -> None:
        """As Client.delete_unit."""
        await self._do(calls.delete(f"/telemetry/units/{name}"))

    async def reply(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        responder: str | None = None,
        to_feel: str | None = None,
        instead_of: Sequence[str] = (),
        emotions: bool = True,
    ) -> Reply:
        """As Client.reply."""
        return await self._do(
            reply_calls.reply(messages, responder=responder, to_feel=to_feel, instead_of=instead_of, emotions=emotions)
        )

    async def stream_reply(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        responder: str | None = None,
        to_feel: str | None = None,
        instead_of: Sequence[str] = (),
        emotions: bool = True,
    ) -> AsyncIterator[str | Reply]:
        """As Client.stream_reply."""
        call = reply_calls.reply(
            messages, responder=responder, to_feel=to_feel, instead_of=instead_of, emotions=emotions, stream=True
        )
        gathered = reply_calls.Gathered()
        async with self._stream(call.path, method=call.method, content=call.content) as response:
            async for line in response.aiter_lines():
                chunk = reply_calls.event_of(line)
                if chunk is not None and (piece := gathered.add(chunk)):
                    yield piece
        yield gathered.end()

    async def answer_chat(
        self,
        chat_id: str,
        *,
        responder: str | None = None,
        another: bool = False,
        total: int | None = None,
        to_feel: str | None = None,
    ) -> Message:
        """As Client.answer_chat."""
        return await self._do(
            reply_calls.answer(chat_id, responder=responder, another=another, total=total, to_feel=to_feel)
        )

    async def stream_chat_answer(
        self,
        chat_id: str,
        *,
        responder: str | None = None,
        another: bool = False,
        total: int | None = None,
        to_feel: str | None = None,
    ) -> AsyncIterator[str | Message]:
        """As Client.stream_chat_answer."""
        call = reply_calls.answer(
            chat_id, responder=responder, another=another, total=total, to_feel=to_feel, stream=True
        )
        answered = reply_calls.Answered()
        async with self._stream(call.path, method=call.method, content=call.content) as response:
            async for line in response.aiter_lines():
                if piece := answered.add(line):
                    yield piece
        yield answered.end()

    async def responders(self) -> tuple[str, ...]:
        """As Client.responders."""
        return await self._do(calls.responders())

    async def models(self) -> tuple[Model, ...]:
        """As Client.models."""
        return await self._do(calls.models())

    async def labels(self) -> dict[str, tuple[Label, ...]]:
        """As Client.labels."""
        return await self._do(calls.labels())

    async def limits(self, *, fresh: bool = False) -> Mapping[str, float]:
        """As Client.limits."""
        now = time.monotonic()
        if fresh or self._limits is None or now > self._limits[0]:
            self._limits = now + LIMITS_SECONDS, await self._do(calls.limits())
        return self._limits[1]

    async def health(self) -> HealthNow:
        """As Client.health."""
        return await self._do(calls.health())

    async def ready(self) -> bool:
        """As Client.ready."""
        try:
            return (await self._http.get("/health/ready", timeout=10.0)).status_code == 200
        except httpx.HTTPError:
            return False

    async def _do(self, call: Call[T]) -> T:
        headers = headers_of(call)
        return await self._patience.awaiting()(self._once, call, headers, call.content)

    async def _do_all(self, steps: Steps[T]) -> T:
        call = next(steps)
        while True:
            try:
                call = steps.send(await self._do(call))
            except StopIteration as done:
                found: T = done.value
                return found

    async def _go_through(self, pages: Pages[T]) -> AsyncIterator[T]:
        cursor, more = None, True
        while more:
            found, cursor = await self._do(pages.page(cursor))
            for one in found:
                yield one
            more = cursor is not None

    async def _once(self, call: Call[T], headers: Mapping[str, str], content: bytes | AsyncIterator[bytes] | None) -> T:
        kind = {} if content is None else {"Content-Type": call.kind}
        try:
            response = await self._http.request(
                call.method, call.path, params=call.params, content=content, headers={**kind, **headers}
            )
        except httpx.HTTPError as error:
            raise silence(self._http.base_url, error) from error
        return answer_of(call, response)

    async def _save(self, found: str, path: str | Path) -> None:
        """Writes what is found there to a file."""
        async with self._stream(found) as response:
            with await asyncio.to_thread(Path(path).open, "wb") as file:
                async for piece in response.aiter_bytes(batch_calls.CHUNK):
                    await asyncio.to_thread(file.write, piece)

    @asynccontextmanager
    async def _stream(
        self, path: str, *, method: str = "GET", content: bytes | None = None
    ) -> AsyncIterator[httpx.Response]:
        kind = {} if content is None else {"Content-Type": "application/json"}
        try:
            async with self._http.stream(method, path, content=content, headers=kind) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise problem_of(response)
                yield response
        except httpx.HTTPError as error:
            raise silence(self._http.base_url, error) from error


async def _pieces(file: BinaryIO, progress: Callable[[float], None] | None = None) -> AsyncIterator[bytes]:
    pieces = batch_calls.pieces(file, progress)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
