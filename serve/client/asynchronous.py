"""The client for programs with an event loop: the same calls, awaited."""

import time
from collections.abc import Mapping

import httpx

from . import calls
from .async_connection import AsyncConnection
from .client import LIMITS_SECONDS
from .connection import method


class AsyncClient(AsyncConnection):
    """Client, awaited: the same methods, arguments, retries and errors, and lists that come by `async for`."""

    _limits: tuple[float, Mapping[str, float]] | None = None

    emotions = method(AsyncConnection._do, calls.texts.emotions)
    mend = method(AsyncConnection._do, calls.texts.mend)

    start_chat = method(AsyncConnection._do, calls.chats.start_chat)
    add_message = method(AsyncConnection._do, calls.chats.add_message)
    chat = method(AsyncConnection._do_all, calls.chats.chat)
    chats = method(AsyncConnection._go_through, calls.chats.chats)
    delete_chat = method(AsyncConnection._do, calls.chats.delete_chat)
    correct = method(AsyncConnection._do, calls.chats.correct)
    edit_message = method(AsyncConnection._do, calls.chats.edit_message)
    delete_message = method(AsyncConnection._do, calls.chats.delete_message)
    rewrite_chat = method(AsyncConnection._do, calls.chats.rewrite_chat)

    start_batch = method(AsyncConnection._upload, calls.batches.start_batch)
    batch = method(AsyncConnection._do, calls.batches.batch)
    batches = method(AsyncConnection._go_through, calls.batches.batches)
    follow_batch = method(AsyncConnection._follow, calls.batches.follow_batch)
    save_batch = method(AsyncConnection._save, calls.batches.save_batch)
    delete_batch = method(AsyncConnection._do, calls.batches.delete_batch)

    show_picture = method(AsyncConnection._fill_in, calls.pictures.show_picture)
    ask = method(AsyncConnection._do, calls.pictures.ask)
    visual_dialog = method(AsyncConnection._do, calls.pictures.visual_dialog)
    visual_dialogs = method(AsyncConnection._go_through, calls.pictures.visual_dialogs)
    delete_visual_dialog = method(AsyncConnection._do, calls.pictures.delete_visual_dialog)
    answer = method(AsyncConnection._fill_in, calls.pictures.answer)

    start_recording = method(AsyncConnection._upload, calls.recordings.start_recording)
    recording = method(AsyncConnection._do_all, calls.recordings.recording)
    recordings = method(AsyncConnection._go_through, calls.recordings.recordings)
    follow_recording = method(AsyncConnection._follow, calls.recordings.follow_recording)
    envelope = method(AsyncConnection._do, calls.recordings.envelope)
    save_sound = method(AsyncConnection._save, calls.recordings.save_sound)
    save_voice = method(AsyncConnection._save, calls.recordings.save_voice)
    save_recording = method(AsyncConnection._save, calls.recordings.save_recording)
    edit_utterance = method(AsyncConnection._do, calls.recordings.edit_utterance)
    name_speaker = method(AsyncConnection._do, calls.recordings.name_speaker)
    delete_recording = method(AsyncConnection._do, calls.recordings.delete_recording)

    fleet_model = method(AsyncConnection._do, calls.telemetry.fleet_model)
    look_at_fleet = method(AsyncConnection._do, calls.telemetry.look_at_fleet)
    put_samples = method(AsyncConnection._do, calls.telemetry.put_samples)
    unit = method(AsyncConnection._do, calls.telemetry.unit)
    units = method(AsyncConnection._go_through, calls.telemetry.units)
    delete_unit = method(AsyncConnection._do, calls.telemetry.delete_unit)

    reply = method(AsyncConnection._do, calls.replies.reply)
    stream_reply = method(AsyncConnection._stream, calls.replies.stream_reply)
    answer_chat = method(AsyncConnection._do, calls.replies.answer_chat)
    stream_chat_answer = method(AsyncConnection._stream, calls.replies.stream_chat_answer)

    responders = method(AsyncConnection._do, calls.service.responders)
    models = method(AsyncConnection._do, calls.service.models)
    labels = method(AsyncConnection._do, calls.service.labels)
    health = method(AsyncConnection._do, calls.service.health)

    async def picture(self, dialog_id: str) -> bytes:
        """As Client.picture."""
        async with self._open("GET", f"/visual-dialogs/{dialog_id}/picture") as response:
            return await response.aread()

    async def limits(self, *, fresh: bool = False) -> Mapping[str, float]:
        """As Client.limits."""
        now = time.monotonic()
        if fresh or self._limits is None or now > self._limits[0]:
            self._limits = now + LIMITS_SECONDS, await self._do(calls.service.limits())
        return self._limits[1]

    async def ready(self) -> bool:
        """As Client.ready."""
        try:
            return (await self._http.get("/health/ready", timeout=10.0)).status_code == 200
        except httpx.HTTPError:
            return False
