"""A typed client of the service that waits for each answer, and retries that know when to stop."""

import time
from collections.abc import Mapping

import httpx

from . import calls
from .connection import Connection, method

LIMITS_SECONDS = 60.0
"""How long known limits are good: a service that was started anew may have others."""


class Client(Connection):
    """Calls a running service. Safe to use from several threads; close it, or use it in a `with`.

    429 and 503 are tried again `retries` times, as late as the service asks and with some chance in it; a 500 once.
    What makes something has a key, so that it is made once however often it is tried. Every method raises ServiceError.
    A picture is a file's bytes or its path. Lists come page by page, the newest first, made between two times
    (`2026-01-31`, `2026-01-31T12:00:00Z`); 403 where the service keeps them secret.
    """

    _limits: tuple[float, Mapping[str, float]] | None = None

    emotions = method(Connection._do, calls.texts.emotions)
    mend = method(Connection._do, calls.texts.mend)

    start_chat = method(Connection._do, calls.chats.start_chat)
    add_message = method(Connection._do, calls.chats.add_message)
    chat = method(Connection._do_all, calls.chats.chat)
    chats = method(Connection._go_through, calls.chats.chats)
    delete_chat = method(Connection._do, calls.chats.delete_chat)
    correct = method(Connection._do, calls.chats.correct)
    edit_message = method(Connection._do, calls.chats.edit_message)
    delete_message = method(Connection._do, calls.chats.delete_message)
    rewrite_chat = method(Connection._do, calls.chats.rewrite_chat)

    start_batch = method(Connection._upload, calls.batches.start_batch)
    batch = method(Connection._do, calls.batches.batch)
    batches = method(Connection._go_through, calls.batches.batches)
    follow_batch = method(Connection._follow, calls.batches.follow_batch)
    save_batch = method(Connection._save, calls.batches.save_batch)
    delete_batch = method(Connection._do, calls.batches.delete_batch)

    show_picture = method(Connection._fill_in, calls.pictures.show_picture)
    ask = method(Connection._do, calls.pictures.ask)
    visual_dialog = method(Connection._do, calls.pictures.visual_dialog)
    visual_dialogs = method(Connection._go_through, calls.pictures.visual_dialogs)
    delete_visual_dialog = method(Connection._do, calls.pictures.delete_visual_dialog)
    answer = method(Connection._fill_in, calls.pictures.answer)

    start_recording = method(Connection._upload, calls.recordings.start_recording)
    recording = method(Connection._do_all, calls.recordings.recording)
    recordings = method(Connection._go_through, calls.recordings.recordings)
    follow_recording = method(Connection._follow, calls.recordings.follow_recording)
    envelope = method(Connection._do, calls.recordings.envelope)
    save_sound = method(Connection._save, calls.recordings.save_sound)
    save_voice = method(Connection._save, calls.recordings.save_voice)
    save_recording = method(Connection._save, calls.recordings.save_recording)
    edit_utterance = method(Connection._do, calls.recordings.edit_utterance)
    name_speaker = method(Connection._do, calls.recordings.name_speaker)
    delete_recording = method(Connection._do, calls.recordings.delete_recording)

    fleet_model = method(Connection._do, calls.telemetry.fleet_model)
    look_at_fleet = method(Connection._do, calls.telemetry.look_at_fleet)
    put_samples = method(Connection._do, calls.telemetry.put_samples)
    unit = method(Connection._do, calls.telemetry.unit)
    units = method(Connection._go_through, calls.telemetry.units)
    delete_unit = method(Connection._do, calls.telemetry.delete_unit)

    reply = method(Connection._do, calls.replies.reply)
    stream_reply = method(Connection._stream, calls.replies.stream_reply)
    answer_chat = method(Connection._do, calls.replies.answer_chat)
    stream_chat_answer = method(Connection._stream, calls.replies.stream_chat_answer)

    responders = method(Connection._do, calls.service.responders)
    models = method(Connection._do, calls.service.models)
    labels = method(Connection._do, calls.service.labels)
    health = method(Connection._do, calls.service.health)

    def picture(self, dialog_id: str) -> bytes:
        """The picture as the service keeps it: a JPEG, upright and small."""
        with self._open("GET", f"/visual-dialogs/{dialog_id}/picture") as response:
            return response.read()

    def limits(self, *, fresh: bool = False) -> Mapping[str, float]:
        """The limits of the service by name, as a ServiceError names them: what exceeds one is refused.

        They are asked for once a minute at most, unless `fresh` ones are wanted.
        """
        now = time.monotonic()
        if fresh or self._limits is None or now > self._limits[0]:
            self._limits = now + LIMITS_SECONDS, self._do(calls.service.limits())
        return self._limits[1]

    def ready(self) -> bool:
        """Whether the service can label now. Asks once; never raises."""
        try:
            return self._http.get("/health/ready", timeout=10.0).status_code == 200
        except httpx.HTTPError:
            return False
