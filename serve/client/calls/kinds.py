"""The kinds of calls: what is sent, and how the answer is read."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import httpx

State = Literal["queued", "running", "done", "failed"]
"""Of what the service does in the background."""
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[Any], T]
    """Of the JSON value; None where there is no body."""
    params: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    kind: str = "application/json"
    """The type of the content."""
    makes: bool = False
    """Whether it makes something that must not be made twice: a key says so, however often it is tried."""
    may_be_gone: bool = False
    """Whether it is fine that there is no such thing any more."""


def deletion(path: str, *, may_be_gone: bool = False) -> Call[None]:
    """Deletes what is there."""
    return Call(method="DELETE", path=path, read=lambda _: None, may_be_gone=may_be_gone)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pages(Generic[T]):
    """A list that comes page by page, and how what stands on it is read."""

    path: str
    name: str
    read: Callable[[Any], T]
    asked: Mapping[str, str | None] = field(default_factory=dict)

    def page(self, cursor: str | None) -> Call[tuple[list[T], str | None]]:
        """The page at a cursor, and where the next one begins."""
        asked = {**self.asked, "cursor": cursor}
        return Call(
            method="GET",
            path=self.path,
            params={key: value for key, value in asked.items() if value is not None},
            read=lambda page: ([self.read(value) for value in page[self.name]], page["next"]),
        )


Steps = Generator[Call[T], T, T]
"""Several calls after one another, each given the answer to the one before it."""


def one_step(call: Call[T]) -> Steps[T]:
    """A single call as steps."""
    return (yield call)


@dataclass(frozen=True, kw_only=True, slots=True)
class Form(Generic[T]):
    """A form with a picture in it, which may be a file that is still to be read."""

    path: str
    picture: bytes | str | Path
    fields: Mapping[str, str]
    read: Callable[[Any], T]
    makes: bool = False

    def call(self) -> Call[T]:
        """The form as it is sent: made once, so that a second try sends the same."""
        data = self.picture if isinstance(self.picture, bytes) else Path(self.picture).read_bytes()
        files = {"picture": ("picture", data, "application/octet-stream")}
        request = httpx.Request("POST", "http://form", files=files, data=dict(self.fields))
        content, kind = request.read(), request.headers["content-type"]
        return Call(method="POST", path=self.path, content=content, kind=kind, read=self.read, makes=self.makes)


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload(Generic[T]):
    """A file that is sent piece by piece, and once only, since a try may be a gigabyte."""

    path: str
    file: Path
    params: Mapping[str, Any]
    read: Callable[[Any], T]
    progress: Callable[[float], None] | None = None
    """Is told the share that is sent."""

    def call(self) -> Call[T]:
        """The request, but for its content."""
        kind = "application/octet-stream"
        return Call(method="POST", path=self.path, params=self.params, kind=kind, read=self.read)


@dataclass(frozen=True, slots=True)
class Download:
    """What is found at a path of the service, to be written to a file."""

    path: str
    file: Path


class Ending(Protocol):
    """What the service does in the background, and ends."""

    @property
    def ended(self) -> bool: ...


E = TypeVar("E", bound=Ending)


@dataclass(frozen=True, slots=True)
class Watch(Generic[E]):
    """What is looked at every so many seconds until it has ended."""

    look: Callable[[], Steps[E]]
    every: float


class Gathering(Protocol[T_co]):
    """An answer as it comes, line by line: `add` gives the words of a line, "" where there are none, and `end` all of
    it. ServiceError where it broke off."""

    def add(self, line: str) -> str: ...

    def end(self) -> T_co: ...


@dataclass(frozen=True, slots=True)
class Stream(Generic[T]):
    """A call whose answer comes piece by piece. It is tried once."""

    call: Call[T]
    gathering: Callable[[], Gathering[T]]


def given(**options: Any) -> dict[str, Any]:
    """The options that are not None."""
    return {name: value for name, value in options.items() if value is not None}


def made(kind: type[T], value: Mapping[str, Any], **read: Any) -> T:
    """A thing of its JSON object; `read` are fields in another shape. What a newer service says beside them is left."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # every one of them is a dataclass
    return kind(**{name: found for name, found in value.items() if name in known} | read)
