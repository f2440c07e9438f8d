"""A typed client of the service: conversations, chats, batches and pictures, and retries that know when to stop."""

import ssl
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self

import httpx
import orjson
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from dialog.conversation import Caveat, Conversation, Prediction
from serve.client.batches import BatchCalls
from serve.client.pictures import VisualCalls

Mode = Literal["offline", "live"]
_LIMITS_SECONDS = 60.0
"""A service that was started anew may have others."""


class ServiceError(Exception):
    """The service answered with a problem, or did not answer (status 0). `kind` is stable, `detail` is for people."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        request_id: str | None = None,
        faults: Sequence[tuple[str, str]] = (),
        limit: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        places = "; ".join(f"{pointer}: {problem}" for pointer, problem in faults)
        super().__init__(f"{detail} ({places})" if places else detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.request_id = request_id
        self.faults = tuple(faults)
        """(JSON pointer, what is wrong there)."""
        self.limit = limit
        self.retry_after = retry_after
        """Seconds, where the service said so."""

    @property
    def overloaded(self) -> bool:
        """Whether waiting helps."""
        return self.status in (429, 503)


@dataclass(frozen=True, kw_only=True, slots=True)
class EmotionsAnswer:
    """Labelled conversations, in the order they were sent."""

    conversations: tuple[Conversation, ...]
    model_version: str
    mode: Mode
    warnings: tuple[Caveat, ...]
    request_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message of a live chat. `n` counts from 0; `error` says why there is no prediction."""

    n: int
    speaker: str
    text: str
    time: str | None
    prediction: Prediction | None
    error: str | None
    correction: str | None
    warnings: tuple[Caveat, ...] = ()

    @property
    def emotion(self) -> str | None:
        """The label to show: a person's where there is one, else the model's."""
        return self.correction or (self.prediction.emotion if self.prediction else None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chat:
    """A live chat. `messages` may be a part of its `total`."""

    id: str
    created: str
    model: str
    model_version: str
    labels: tuple[str, ...]
    total: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatSummary:
    """A chat in a list. `touched` is when something was last said in it."""

    id: str
    created: str
    touched: str | None
    model: str
    model_version: str
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """A label, and how to show it."""

    name: str
    sentiment: str | None
    symbol: str | None
    colour: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A model the service can use, as its card tells it."""

    name: str
    task: str
    labels: tuple[str, ...]
    label_set: str | None
    summary: str
    scores: Mapping[str, Any]
    default: bool


class Client(BatchCalls, VisualCalls):
    """Calls a running service. Safe to use from several threads; close it, or use it in a `with`.

    429 and 503 are tried again `retries` times, as late as the service asks and with some chance in it; a 500 once.
    What makes something has a key, so that it is made once however often it is tried. Every method raises ServiceError.
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
            base_url=base_url.rstrip("/") + "/v1",
            timeout=httpx.Timeout(timeout, connect=10.0),
            headers={} if key is None else {"Authorization": f"Bearer {key}"},
            verify=verify,
            transport=transport,
        )
        self._retries = retries
        self._longest_wait = longest_wait
        self._wait = wait_exponential_jitter(multiplier=0.2, max=longest_wait, jitter=0.5)
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
        options = {"causes": causes, "label_set": label_set, "mode": mode, "model": model}
        body = {"conversations": [c.to_dict() for c in conversations], "options": options}
        answer = self._call("POST", "/emotions", body)
        return EmotionsAnswer(
            conversations=tuple(Conversation.from_dict(c) for c in answer["conversations"]),
            model_version=answer["model_version"],
            mode=answer["mode"],
            warnings=tuple(Caveat.of(w) for w in answer["warnings"]),
            request_id=answer["request_id"],
        )

    def start_chat(self, *, model: str | None = None, label_set: str | None = None) -> Chat:
        """A new, empty chat."""
        return _chat(self._call("POST", "/chats", {"model": model, "label_set": label_set}, makes=True))

    def add_message(self, chat_id: str, speaker: str, text: str, *, time: str | None = None) -> Message:
        """The message, labelled from what came before it."""
        body = {"speaker": speaker, "text": text, "time": time}
        return _message(self._call("POST", f"/chats/{chat_id}/messages", body, makes=True))

    def chat(self, chat_id: str, *, after: int = 0, limit: int | None = None) -> Chat:
        """The chat with its messages from `after` on: all of them, or at most `limit`."""
        messages: list[Message] = []
        while True:
            wanted = {"after": after + len(messages)}
            if limit is not None:
                wanted["limit"] = limit - len(messages)
            page = self._call("GET", f"/chats/{chat_id}", params=wanted)
            messages += [_message(m) for m in page["messages"]]
            enough = limit is not None and len(messages) >= limit
            if enough or not page["messages"] or after + len(messages) >= page["total"]:
                return _chat(page, messages)

    def chats(self, *, since: str | None = None, before: str | None = None) -> Iterator[ChatSummary]:
        """All chats of this key, the newest first, made between two times (`2026-01-31`, `2026-01-31T12:00:00Z`). They
        are asked for page by page. ServiceError 403 where the service keeps them secret."""
        return (ChatSummary(**c) for c in self._pages("/chats", "chats", {"since": since, "before": before}))

    def delete_chat(self, chat_id: str) -> None:
        """Deletes the chat and its messages for good; a chat that is gone already is fine."""
        try:
            self._call("DELETE", f"/chats/{chat_id}")
        except ServiceError as error:
            if error.status != 404:
                raise

    def correct(self, chat_id: str, n: int, emotion: str | None) -> Message:
        """Message n with the label a person thinks right; None takes a correction back."""
        path = f"/chats/{chat_id}/messages/{n}/correction"
        if emotion is None:
            return _message(self._call("DELETE", path))
        return _message(self._call("PUT", path, {"emotion": emotion}))

    def models(self) -> tuple[Model, ...]:
        """The models there are."""
        found = self._call("GET", "/models")["models"]
        return tuple(Model(**{**m, "labels": tuple(m["labels"])}) for m in found)

    def labels(self) -> dict[str, tuple[Label, ...]]:
        """The label sets there are, by name."""
        found = self._call("GET", "/labels")["label_sets"]
        return {s["name"]: tuple(Label(**label) for label in s["labels"]) for s in found}

    def limits(self, *, fresh: bool = False) -> Mapping[str, float]:
        """The limits of the service by name, as a ServiceError names them: what exceeds one is refused.

        They are asked for once a minute at most, unless `fresh` ones are wanted.
        """
        now = time.monotonic()
        if fresh or self._limits is None or now > self._limits[0]:
            self._limits = now + _LIMITS_SECONDS, MappingProxyType(self._call("GET", "/limits")["limits"])
        return self._limits[1]

    def ready(self) -> bool:
        """Whether the service can label now. Asks once; never raises."""
        try:
            return self._http.get("/health/ready", timeout=10.0).status_code == 200
        except httpx.HTTPError:
            return False

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        params: dict[str, Any] | None = None,
        makes: bool = False,
    ) -> Any:
        """makes: something that must not be made twice; a key says so to the service, however often it is tried."""
        headers = {"Idempotency-Key": uuid.uuid4().hex} if makes else {}
        return self._retrying()(self._once, method, path, body, params, headers)

    def _pages(self, path: str, name: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        asked = {key: value for key, value in params.items() if value is not None}
        while True:
            page = self._call("GET", path, params=asked)
            yield from page[name]
            if page["next"] is None:
                return
            asked["cursor"] = page["next"]

    def _retrying(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception(_Again()),
            wait=self._seconds,
            stop=stop_after_attempt(self._retries + 1),
            reraise=True,
        )

    def _send(self, path: str, content: Iterator[bytes], params: dict[str, Any]) -> Any:
        """Posts what may be large, once."""
        headers = {"Content-Type": "application/octet-stream"}
        return self._answer("POST", path, content=content, headers=headers, params=params)

    def _send_form(self, path: str, picture: bytes, fields: dict[str, str]) -> Any:
        """Posts a form with a picture, as often as another call."""
        return self._retrying()(self._form_once, path, picture, fields)

    def _form_once(self, path: str, picture: bytes, fields: dict[str, str]) -> Any:
        files = {"picture": ("picture", picture, "application/octet-stream")}
        return self._answer("POST", path, files=files, data=fields)

    @contextmanager
    def _stream(self, path: str) -> Iterator[httpx.Response]:
        """An answer that may be large."""
        try:
            with self._http.stream("GET", path) as response:
                if response.status_code >= 400:
                    response.read()
                    raise _problem(response)
                yield response
        except httpx.HTTPError as error:
            raise self._silence(error) from error

    def _once(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        params: dict[str, Any] | None,
        headers: dict[str, str],
    ) -> Any:
        content = None if body is None else orjson.dumps(body)
        kind = {} if body is None else {"Content-Type": "application/json"}
        return self._answer(method, path, content=content, headers={**kind, **headers}, params=params)

    def _answer(self, method: str, path: str, **request: Any) -> Any:
        try:
            response = self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise self._silence(error) from error
        if response.status_code >= 400:
            raise _problem(response)
        return orjson.loads(response.content) if response.content else None

    def _silence(self, error: httpx.HTTPError) -> ServiceError:
        kind = "timeout" if isinstance(error, httpx.TimeoutException) else "unreachable"
        return ServiceError(0, kind, f"the service at {self._http.base_url} does not answer ({kind})")

    def _seconds(self, state: RetryCallState) -> float:
        """How long to wait: what the service asked for, and a little more so that not everybody returns at once."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, ServiceError) and error.retry_after else 0.0
        return min(asked + self._wait(state), self._longest_wait)


class _Again:
    """Whether a call is made again after this error; remembers the one second chance that a 500 has."""

    def __init__(self) -> None:
        self._chances = 1

    def __call__(self, error: BaseException) -> bool:
        if not isinstance(error, ServiceError):
            return False
        if error.kind == "model-missing":
            return False
        if error.overloaded or error.kind == "in-progress":
            return True
        if error.status == 500 and self._chances:
            self._chances -= 1
            return True
        return False


def _problem(response: httpx.Response) -> ServiceError:
    try:
        problem = orjson.loads(response.content)
        faults = [(f["pointer"], f["detail"]) for f in problem.get("errors") or ()]
        kind, detail = problem["type"].rpartition(":")[2], problem["detail"]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):  # a proxy in between
        problem, faults, kind, detail = {}, [], "other", f"HTTP {response.status_code} {response.reason_phrase}"
    asked = response.headers.get("retry-after", "")
    return ServiceError(
        response.status_code,
        kind,
        detail,
        request_id=problem.get("request_id") or response.headers.get("x-request-id"),
        faults=faults,
        limit=problem.get("limit"),
        retry_after=float(asked) if asked.isdigit() else None,
    )


def _chat(value: Mapping[str, Any], messages: Sequence[Message] | None = None) -> Chat:
    found = messages if messages is not None else [_message(m) for m in value["messages"]]
    return Chat(
        id=value["id"],
        created=value["created"],
        model=value["model"],
        model_version=value["model_version"],
        labels=tuple(value["labels"]),
        total=value["total"],
        messages=tuple(found),
    )


def _message(value: Mapping[str, Any]) -> Message:
    prediction = value["prediction"]
    return Message(
        n=value["n"],
        speaker=value["speaker"],
        text=value["text"],
        time=value["time"],
        prediction=None if prediction is None else Prediction.from_dict(prediction),
        error=value["error"],
        correction=value["correction"],
        warnings=tuple(Caveat.of(w) for w in value.get("warnings", ())),
    )
