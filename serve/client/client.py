"""A typed client of the service that waits for each answer, and retries that know when to stop."""

import ssl
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import orjson

from . import batch_calls, calls, picture_calls, recording_calls, reply_calls, telemetry_calls
from .calls import Call, Pages, Steps
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
LIMITS_SECONDS = 60.0
"""How long known limits are good: a service that was started anew may have others."""


class Client:
    """Calls a running service. Safe to use from several threads; close it, or use it in a `with`.

    429 and 503 are tried again `retries` times, as late as the service asks and with some chance in it; a 500 once.
    What makes something has a key, so that it is made once however often it is tried. Every method raises ServiceError.
    A picture is a file's bytes or its path. Lists come page by page, the newest first, made between two times
    (`2026-01-31`, `2026-01-31T12:00:00Z`); 403 where the service keeps them secret.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        timeout: float = 130.0,
        retries: int = 4,
        longest_wait: float = 30.0,
        key: str | None = None,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """timeout and longest_wait are in seconds; `key` is one the service gave; `verify` is httpx's, and so is
        `transport`, for tests."""
        self._http = httpx.Client(
            **settings(base_url, timeout, key), verify=verify, transport=transport, follow_redirects=False
        )
        self._patience = Patience(retries, longest_wait)
        self._limits: tuple[float, Mapping[str, float]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def emotions(
        self,
        conversations: Sequence[Conversation],
        *,
        causes: bool = True,
        label_set: str | None = None,
        mode: Mode = "offline",
        model: str | None = None,
    ) -> EmotionsAnswer:
        """The conversations with a prediction on every utterance; one that could not be labelled has an `error`."""
        return self._do(calls.emotions(conversations, causes=causes, label_set=label_set, mode=mode, model=model))

    def mend(self, texts: Sequence[str], *, keep: Sequence[str] = (), completions: int = 0) -> tuple[Correction, ...]:
        """What was meant by texts as they were typed, but for words to `keep`; and so many ways each may end."""
        return self._do(calls.mend(texts, keep, completions))

    def start_chat(self, *, model: str | None = None, label_set: str | None = None) -> Chat:
        """A new, empty chat."""
        return self._do(calls.start_chat(model, label_set))

    def add_message(self, chat_id: str, speaker: str, text: str, *, time: str | None = None) -> Message:
        """The message, labelled from what came before it."""
        return self._do(calls.add_message(chat_id, speaker, text, time))

    def chat(self, chat_id: str, *, after: int = 0, limit: int | None = None) -> Chat:
        """The chat with its messages from `after` on: all of them, or at most `limit`."""
        return self._do_all(calls.chat(chat_id, after, limit))

    def chats(self, *, since: str | None = None, before: str | None = None) -> Iterator[ChatSummary]:
        """All chats of this key."""
        return self._go_through(calls.chats(since, before))

    def delete_chat(self, chat_id: str) -> None:
        """Deletes the chat and its messages for good; a chat that is gone already is fine."""
        try:
            self._do(calls.delete(f"/chats/{chat_id}"))
        except ServiceError as error:
            if error.status != 404:
                raise

    def correct(self, chat_id: str, n: int, emotion: str | None) -> Message:
        """Message n with the label a person thinks right; None takes a correction back."""
        return self._do(calls.correct(chat_id, n, emotion))

    def edit_message(
        self,
        chat_id: str,
        n: int,
        *,
        text: str | None = None,
        speaker: str | None = None,
        time: str | None = None,
        total: int | None = None,
    ) -> ChangedChat:
        """The chat with other words, another speaker or another time in message n; None leaves what stands there.

        total: how many messages you think the chat has; ServiceError 409 where it has others, or too many to be read
        again.
        """
        return self._do(calls.edit_message(chat_id, n, text=text, speaker=speaker, time=time, total=total))

    def delete_message(self, chat_id: str, n: int, *, total: int | None = None) -> ChangedChat:
        """The chat without message n; those after it move up. `total` as for `edit_message`."""
        return self._do(calls.delete_message(chat_id, n, total))

    def rewrite_chat(
        self, chat_id: str, messages: Sequence[Mapping[str, Any]], *, total: int | None = None
    ) -> ChangedChat:
        """The chat in which these messages were said instead: `speaker` and `text` each, and `time`, `correction` and
        `reply`.

        To rename somebody, to undo a change, to bring a chat in. `total` as for `edit_message`.
        """
        return self._do(calls.rewrite_chat(chat_id, messages, total))

    def start_batch(
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
        """Uploads a log to be labelled. It is read piece by piece; tried once only, since a try may be a gigabyte.

        columns says which column of a table is which (`{"text": "Comment Body"}`), and encoding what its bytes are in.
        The address in `callback` is told when it has ended; ServiceError 403 where the service may not call its host.
        """
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
        with Path(log).open("rb") as file:
            return self._once(begun, {}, batch_calls.pieces(file))

    def batch(self, batch_id: str) -> Batch:
        """How far it is."""
        return self._do(batch_calls.look(batch_id))

    def batches(
        self,
        *,
        state: State | None = None,
        filename: str | None = None,
        since: str | None = None,
        before: str | None = None,
    ) -> Iterator[Batch]:
        """All batches of this key: those in a state, with a text in their file's name."""
        return self._go_through(batch_calls.listed(state=state, filename=filename, since=since, before=before))

    def follow_batch(self, batch_id: str, *, every: float = 1.0) -> Iterator[Batch]:
        """The batch as it is, and again whenever it is further, until it has ended. Asks every so many seconds."""
        known = None
        while known is None or not known.ended:
            if known is not None:
                time.sleep(every)
            if (found := self.batch(batch_id)) != known:
                known = found
                yield found

    def save_batch(self, batch_id: str, path: str | Path) -> None:
        """Writes the labelled log to a file. ServiceError 409 while there is none."""
        self._save(f"/batches/{batch_id}/output", path)

    def delete_batch(self, batch_id: str) -> None:
        """Stops it and deletes the log and what was made of it. ServiceError 404 where there is none any more."""
        self._do(calls.delete(f"/batches/{batch_id}"))

    def show_picture(self, picture: Picture, *, caption: str = "") -> VisualDialog:
        """A new dialogue about a picture."""
        return self._do(picture_calls.show(picture, caption))

    def ask(self, dialog_id: str, question: str) -> Round:
        """The answer to one more question, read off the picture and the rounds before."""
        return self._do(picture_calls.ask(dialog_id, question))

    def visual_dialog(self, dialog_id: str) -> VisualDialog:
        """The dialogue so far."""
        return self._do(picture_calls.look(dialog_id))

    def visual_dialogs(
        self, *, caption: str | None = None, since: str | None = None, before: str | None = None
    ) -> Iterator[VisualDialogSummary]:
        """All dialogues of this key: those with a text in their caption."""
        return self._go_through(picture_calls.listed(caption=caption, since=since, before=before))

    def picture(self, dialog_id: str) -> bytes:
        """The picture as the service keeps it: a JPEG, upright and small."""
        with self._stream(f"/visual-dialogs/{dialog_id}/picture") as response:
            return response.read()

    def delete_visual_dialog(self, dialog_id: str) -> None:
        """Deletes the picture and all that was said of it for good. ServiceError 404 where there is none any more."""
        self._do(calls.delete(f"/visual-dialogs/{dialog_id}"))

    def answer(
        self, picture: Picture, question: str, *, rounds: Sequence[tuple[str, str]] = (), caption: str = ""
    ) -> VisualAnswer:
        """The answer to one question after `rounds` of (question, answer); the service keeps nothing."""
        return self._do(picture_calls.answer(picture, question, rounds, caption))

    def start_recording(
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
        """Uploads a recording to be listened to. It is read piece by piece, and `progress` is told the share that is
        sent; tried once only. `speakers` is how many people speak in it, where that is known."""
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
        with Path(sound).open("rb") as file:
            return self._once(begun, {}, batch_calls.pieces(file, progress))

    def recording(self, recording_id: str) -> Recording:
        """How far it is, who speaks in it, and all that is said."""
        return self._do_all(recording_calls.look(recording_id))

    def recordings(
        self,
        *,
        state: State | None = None,
        filename: str | None = None,
        since: str | None = None,
        before: str | None = None,
    ) -> Iterator[Recording]:
        """All recordings of this key: those in a state, with a text in their file's name."""
        return self._go_through(recording_calls.listed(state=state, filename=filename, since=since, before=before))

    def follow_recording(self, recording_id: str, *, every: float = 1.0) -> Iterator[Recording]:
        """The recording as it is, and again whenever it is further, until it has ended."""
        known = None
        while known is None or not known.ended:
            if known is not None:
                time.sleep(every)
            if (found := self.recording(recording_id)) != known:
                known = found
                yield found

    def envelope(self, recording_id: str) -> Envelope:
        """How loud it is. ServiceError 409 before it was listened to."""
        return self._do(recording_calls.envelope(recording_id))

    def save_sound(self, recording_id: str, path: str | Path) -> None:
        """Writes all of it to a wave file."""
        self._save(f"/recordings/{recording_id}/sound", path)

    def save_voice(self, recording_id: str, n: int, path: str | Path) -> None:
        """Writes speaker n alone, at the times at which he speaks, to a wave file."""
        self._save(f"/recordings/{recording_id}/voices/{n}", path)

    def save_recording(self, recording_id: str, path: str | Path, *, to: str = "jsonl") -> None:
        """Writes the labelled conversation to a file. ServiceError 409 while there is none."""
        self._save(f"/recordings/{recording_id}/output?to={to}", path)

    def edit_utterance(
        self, recording_id: str, n: int, *, text: str | None = None, speaker: str | None = None
    ) -> Recording:
        """The recording with other words or another speaker in utterance n, labelled anew; None leaves what stands
        there. A long one is labelled in the background."""
        return self._do(recording_calls.edit(recording_id, n, text=text, speaker=speaker))

    def name_speaker(self, recording_id: str, n: int, name: str) -> Recording:
        """The recording with another name for a speaker; that of another one makes both the same."""
        return self._do(recording_calls.rename(recording_id, n, name))

    def delete_recording(self, recording_id: str) -> None:
        """Stops it and deletes its sound and all that was heard. ServiceError 404 where there is none any more."""
        self._do(calls.delete(f"/recordings/{recording_id}"))

    def fleet_model(self) -> FleetModel:
        """Which model watches fleets: its channels and its unit of time."""
        return self._do(telemetry_calls.model())

    def look_at_fleet(
        self,
        units: Mapping[str, tuple[Sequence[float], telemetry_calls.Rows]],
        *,
        channels: Sequence[str] | None = None,
        time_unit: str | None = None,
        history: bool = False,
    ) -> WatchedFleet:
        """Every unit with all its (times, values), the worst first; the service keeps nothing."""
        return self._do(telemetry_calls.look(units, channels=channels, time_unit=time_unit, history=history))

    def put_samples(
        self,
        unit: str,
        times: Sequence[float],
        values: telemetry_calls.Rows,
        *,
        channels: Sequence[str] | None = None,
        time_unit: str | None = None,
    ) -> WatchedUnit:
        """The unit after its next samples; those that are not later than the last are left out."""
        return self._do(telemetry_calls.put(unit, times, values, channels=channels, time_unit=time_unit))

    def unit(self, name: str) -> WatchedUnit:
        """The unit as it was last told."""
        return self._do(telemetry_calls.unit(name))

    def units(self, *, since: str | None = None, before: str | None = None) -> Iterator[KeptUnit]:
        """All units of this key."""
        return self._go_through(telemetry_calls.units(since=since, before=before))

    def delete_unit(self, name: str) -> None:
        """Forgets the unit for good. ServiceError 404 where there is none any more."""
        self._do(calls.delete(f"/telemetry/units/{name}"))

    def reply(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        responder: str | None = None,
        to_feel: str | None = None,
        instead_of: Sequence[str] = (),
        emotions: bool = True,
    ) -> Reply:
        """The reply to messages of a `role` and a `content` each, as OpenAI's API takes them; the service keeps
        nothing. `to_feel` is the emotion to answer with, `instead_of` are replies that will not do; without `emotions`
        nothing is labelled."""
        return self._do(
            reply_calls.reply(messages, responder=responder, to_feel=to_feel, instead_of=instead_of, emotions=emotions)
        )

    def stream_reply(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        responder: str | None = None,
        to_feel: str | None = None,
        instead_of: Sequence[str] = (),
        emotions: bool = True,
    ) -> Iterator[str | Reply]:
        """The same piece by piece: words as they come, and at the end the whole reply. Tried once; to close it stops
        the reply."""
        call = reply_calls.reply(
            messages, responder=responder, to_feel=to_feel, instead_of=instead_of, emotions=emotions, stream=True
        )
        with self._stream(call.path, method=call.method, content=call.content) as response:
            yield from reply_calls.pieces(response.iter_lines())

    def answer_chat(
        self,
        chat_id: str,
        *,
        responder: str | None = None,
        another: bool = False,
        total: int | None = None,
        to_feel: str | None = None,
    ) -> Message:
        """An assistant's answer to the chat's last message, which becomes a message of it; with `another`, one in the
        place of the last answer. ServiceError 409 where the chat has not `total` messages, where there is nothing to
        answer, or no other answer."""
        return self._do(reply_calls.answer(chat_id, responder=responder, another=another, total=total, to_feel=to_feel))

    def stream_chat_answer(
        self,
        chat_id: str,
        *,
        responder: str | None = None,
        another: bool = False,
        total: int | None = None,
        to_feel: str | None = None,
    ) -> Generator[str | Message, None, None]:
        """The same piece by piece: words as they come, and at the end the message. Tried once; to close it stops the
        answer, and what has come is kept."""
        call = reply_calls.answer(
            chat_id, responder=responder, another=another, total=total, to_feel=to_feel, stream=True
        )
        with self._stream(call.path, method=call.method, content=call.content) as response:
            yield from reply_calls.answer_pieces(response.iter_lines())

    def responders(self) -> tuple[str, ...]:
        """Who can answer, the default first."""
        return self._do(calls.responders())

    def models(self) -> tuple[Model, ...]:
        """The models there are."""
        return self._do(calls.models())

    def labels(self) -> dict[str, tuple[Label, ...]]:
        """The label sets there are, by name."""
        return self._do(calls.labels())

    def limits(self, *, fresh: bool = False) -> Mapping[str, float]:
        """The limits of the service by name, as a ServiceError names them: what exceeds one is refused.

        They are asked for once a minute at most, unless `fresh` ones are wanted.
        """
        now = time.monotonic()
        if fresh or self._limits is None or now > self._limits[0]:
            self._limits = now + LIMITS_SECONDS, self._do(calls.limits())
        return self._limits[1]

    def health(self) -> HealthNow:
        """How the service is, and what it advises where it watches itself."""
        return self._do(calls.health())

    def ready(self) -> bool:
        """Whether the service can label now. Asks once; never raises."""
        try:
            return self._http.get("/health/ready", timeout=10.0).status_code == 200
        except httpx.HTTPError:
            return False

    def _do(self, call: Call[T]) -> T:
        headers = headers_of(call)
        found: T = self._patience.waiting()(self._once, call, headers, call.content)
        return found

    def _do_all(self, steps: Steps[T]) -> T:
        call = next(steps)
        while True:
            try:
                call = steps.send(self._do(call))
            except StopIteration as done:
                found: T = done.value
                return found

    def _go_through(self, pages: Pages[T]) -> Iterator[T]:
        found, cursor = self._do(pages.page(None))
        yield from found
        while cursor is not None:
            found, cursor = self._do(pages.page(cursor))
            yield from found

    def _once(self, call: Call[T], headers: Mapping[str, str], content: bytes | Iterator[bytes] | None) -> T:
        kind = {} if content is None else {"Content-Type": call.kind}
        try:
            response = self._http.request(
                call.method, call.path, params=call.params, content=content, headers={**kind, **headers}
            )
        except httpx.HTTPError as error:
            raise silence(self._http.base_url, error) from error
        return answer_of(call, response)

    def _save(self, found: str, path: str | Path) -> None:
        """Writes what is found there to a file."""
        with self._stream(found) as response, Path(path).open("wb") as file:
            for piece in response.iter_bytes(batch_calls.CHUNK):
                file.write(piece)

    @contextmanager
    def _stream(self, path: str, *, method: str = "GET", content: bytes | None = None) -> Iterator[httpx.Response]:
        """An answer that may be large, or comes slowly; to content of JSON where there is some."""
        kind = {} if content is None else {"Content-Type": "application/json"}
        try:
            with self._http.stream(method, path, content=content, headers=kind) as response:
                if response.status_code >= 400:
                    response.read()
                    raise problem_of(response)
                yield response
        except httpx.HTTPError as error:
            raise silence(self._http.base_url, error) from error


def settings(base_url: str, timeout: float, key: str | None) -> dict[str, Any]:
    """What both kinds of httpx's clients are made with."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    if httpx.URL(base_url).host in ("127.0.0.1", "localhost", "::1"):
        headers["Accept-Encoding"] = "identity"  # on one machine compressing costs more than it saves
    return {
        "base_url": base_url.rstrip("/") + "/v1",
        "timeout": httpx.Timeout(timeout, connect=10.0),
        "headers": headers,
    }


def headers_of(call: Call[Any]) -> dict[str, str]:
    """The headers that every try of a call has in common."""
    return {"Idempotency-Key": uuid.uuid4().hex} if call.makes else {}


def answer_of(call: Call[T], response: httpx.Response) -> T:
    """What was answered, once it is read. ServiceError."""
    if response.status_code >= 400:
        raise problem_of(response)
    return call.read(orjson.loads(response.content) if response.content else None)
