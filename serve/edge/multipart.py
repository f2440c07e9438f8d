"""A form with one file in it, as browsers and `curl -F` send it, taken apart from disk to disk."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, get_origin

from pydantic import BaseModel, ValidationError
from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

from serve.edge.limits import Limits
from serve.edge.problems import Fault, Refusal
from serve.edge.reading import invalid, pointer

Options = TypeVar("Options", bound=BaseModel)

_FIELD_BYTES = 4_096
_FIELDS = 20
_CHUNK = 1024**2
_LONGEST_NAME = 120  # bytes of UTF-8; a file system takes 255


def unpack(source: Path, content_type: str, target: Path) -> tuple[str, dict[str, list[str]]]:
    """Writes the part called `file` to `target`; gives its file name and the other fields, each as often as it came.

    Refusal 400 for what is no such form, 422 where there is no file or a second one, or a field is too long.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise Refusal(400, "malformed-form", "multipart/form-data without a boundary")
    with source.open("rb") as stream, target.open("wb") as file:
        form = _Form(file)
        try:
            parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
            while chunk := stream.read(_CHUNK):
                parser.write(chunk)
            parser.finalize()
        except MultipartParseError as error:
            raise Refusal(400, "malformed-form", str(error)) from None
    if not form.ended:
        raise Refusal(400, "malformed-form", "the form breaks off in the middle")
    if form.filename is None:
        raise _wrong("file", "missing")
    return form.filename, form.fields


def with_fields(options: Options, fields: Mapping[str, Sequence[str]], limits: Limits) -> Options:
    """The options with what the other fields of a form say. Refusal 422."""
    known = type(options).model_fields
    given = {
        name: values if name in known and get_origin(known[name].annotation) is list else values[-1]
        for name, values in fields.items()
    }
    try:
        return type(options).model_validate({**options.model_dump(exclude_unset=True), **given})
    except ValidationError as error:
        faults = [Fault(pointer=pointer(*fault["loc"]), detail=fault["msg"]) for fault in error.errors()]
        raise invalid(faults, limits) from None


def safe_name(filename: str, otherwise: str) -> str:
    """A name that a file may have anywhere: no folder, no control, nothing that a shell would read."""
    name = re.sub(r"[^\w.-]+", "_", re.split(r"[/\\]", filename)[-1]).lstrip(".")
    stem, dot, ending = name.rpartition(".")
    if not dot:
        stem, ending = ending, ""
    while len((stem + ending).encode()) > _LONGEST_NAME:
        stem, ending = stem[:-1], ending if stem[:-1] else ending[:-1]
    return f"{stem}{dot}{ending}" or otherwise


class _Form:
    """What a parser's callbacks gather."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.filename: str | None = None
        self.fields: dict[str, list[str]] = {}
        self.ended = False
        self._headers: dict[bytes, bytes] = {}
        self._header = b""
        self._value = b""
        self._name = ""
        self._data: bytearray | None = None

    def callbacks(self) -> dict[str, Any]:
        """For the parser."""
        names = ("part_begin", "part_data", "part_end", "headers_finished", "header_end", "end")
        return {f"on_{name}": getattr(self, f"_on_{name}") for name in names} | {
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
        }

    def _on_part_begin(self) -> None:
        self._headers.clear()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._data = None
        if self._name == "file":
            if self.filename is not None:
                raise _wrong("file", "one file at a time")
            self.filename = options.get(b"filename", b"").decode("utf-8", "replace")
        elif sum(map(len, self.fields.values())) >= _FIELDS:
            raise Refusal(400, "malformed-form", f"more than {_FIELDS} fields")
        else:
            self._data = bytearray()

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._data is None:
            self._file.write(data[start:end])
            return
        self._data += data[start:end]
        if len(self._data) > _FIELD_BYTES:
            raise _wrong(self._name[:100], f"longer than {_FIELD_BYTES:,} bytes")

    def _on_part_end(self) -> None:
        if self._data is not None:
            self.fields.setdefault(self._name, []).append(self._data.decode("utf-8", "replace"))

    def _on_end(self) -> None:
        self.ended = True


def _wrong(field: str, detail: str) -> Refusal:
    return Refusal(422, "invalid", "1 fault in the request", faults=[Fault(pointer=f"/{field}", detail=detail)])
