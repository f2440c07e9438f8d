"""A JSON export as one value, with the line every message stands on, and mended where it is broken.

A message that is no JSON costs only itself, and a file that breaks off gives all that stands whole before the break:
what is cut out is reported as an Unreadable, on its line.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from dialog.formats.jsonl import TOO_DEEP, no_constant, too_deep
from dialog.formats.source import Source, Unreadable

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:"|$)|[{}\[\]]', re.DOTALL)
_KEY = re.compile(r'"(\w+)"\s*:\s*$')
_ARRAY = r'(?<!\\)"{}"\s*:\s*\['
_NEXT = re.compile(r"(?<=[\n,\s\[}])\{")
_KEYS = ("messages", "list", "items", "chat_messages", "segments", "conversations")
_MENDS = 50
_TRIES = 2000
_WHITE = re.compile(r"[\s,]*")


class Messages(NamedTuple):
    """An array of messages, what it is called, and what tells the line of each."""

    items: list[Any]
    place: str
    line_of: Callable[[int], int]


@dataclass(frozen=True)
class Document:
    """The value of a JSON file, what could not be read of it, and what to know of it."""

    value: Any
    text: str = field(repr=False)
    faults: tuple[Unreadable, ...] = ()
    warnings: tuple[str, ...] = ()

    def lines_of(self, key: str = "messages", number: int = 0) -> Callable[[int], int]:
        """Tells the line, from 1, on which an element begins: of the number-th array of this key, or with the key ""
        of the document itself. 0 where it is not known."""
        places: list[int] = []

        def line(i: int) -> int:
            if not places:
                places.extend(self._places(key, number) or [-1])
            return self._line_at(places[i]) if 0 <= i < len(places) and places[i] >= 0 else 0

        return line

    def messages(self, *keys: str) -> Messages | None:
        """The document itself where it is an array, or the first array it has under one of these keys."""
        if isinstance(self.value, list):
            return Messages(self.value, keys[0], self.lines_of(""))
        held = self.value if isinstance(self.value, dict) else {}
        key = next((key for key in keys if isinstance(held.get(key), list)), None)
        return None if key is None else Messages(held[key], key, self.lines_of(key))

    def _places(self, key: str, number: int) -> list[int]:
        pattern = re.compile(_ARRAY.format(re.escape(key)) if key else r"\s*\[")
        openings = [pattern.match(self.text)] if not key else list(pattern.finditer(self.text))
        if number >= len(openings) or (opening := openings[number]) is None:
            return []
        decoder = json.JSONDecoder(parse_constant=no_constant)
        at = opening.end()
        places: list[int] = []
        while True:
            at = _WHITE.match(self.text, at).end()  # type: ignore[union-attr]
            if at >= len(self.text) or self.text[at] == "]":
                return places
            places.append(at)
            try:
                _, at = decoder.raw_decode(self.text, at)
            except (ValueError, RecursionError):
                return places

    def _line_at(self, place: int) -> int:
        return bisect_right(self._ends, place - 1) + 1

    @cached_property
    def _ends(self) -> Sequence[int]:
        return [match.start() for match in re.finditer("\n", self.text)]


def opened(source: Source) -> Generator[Unreadable, None, Document | None]:
    """The file's value, None where nothing in it can be read as JSON; what cannot be read is yielded."""
    document = open_document(source)
    if isinstance(document, Unreadable):
        yield document
        return None
    yield from document.faults
    return document


def open_document(source: Source) -> Document | Unreadable:
    """The file's value; an Unreadable where nothing in it can be read as JSON."""
    text, fault = source.text()
    warnings = source.take_warnings()
    read = parse_document(text.removeprefix("\ufeff"), warnings)
    if fault and isinstance(read, Document):
        return Document(read.value, read.text, (*read.faults, Unreadable.at(0, fault)), read.warnings)
    return Unreadable.at(0, fault) if fault else read


def parse_document(text: str, warnings: tuple[str, ...] = ()) -> Document | Unreadable:
    """The same, of a text."""
    faults: list[Unreadable] = []
    for _ in range(_MENDS):
        try:
            value = json.loads(text, parse_constant=no_constant)
        except json.JSONDecodeError as error:
            mended = _mend(text, error)
            if mended is None:
                return Unreadable.at(error.lineno, f"not JSON: {error.msg}", _line_of(text, error.pos))
            text, cut = mended
            faults.append(cut)
        except (ValueError, RecursionError):  # too many digits, or brackets
            return Unreadable.at(0, TOO_DEEP)
        else:
            return Unreadable.at(0, TOO_DEEP) if too_deep(value) else Document(value, text, tuple(faults), warnings)
    return Unreadable.at(faults[0].line, f"not JSON in more than {_MENDS} places", faults[0].text)


def _line_of(text: str, at: int) -> str:
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    return text[start : end if end >= 0 else len(text)]


def _mend(text: str, error: json.JSONDecodeError) -> tuple[str, Unreadable] | None:
    """The text without the message that is broken, or closed after the last whole one; and what went."""
    kept, opened, stack = _last_whole(text, error.pos)
    if kept is None:
        return None
    end = _next_message(text, max(error.pos, kept + 1), _keys_of(text, opened, kept))
    begin = _WHITE.match(text, kept).end()  # type: ignore[union-attr]
    if end is None:
        reason = f"the file breaks off here ({error.msg}); what stands before it was read"
        cut = Unreadable.at(error.lineno, reason, text[begin : begin + 1000])
        closing = "".join("}" if c == "{" else "]" for c in reversed(stack))
        return text[:kept] + closing, cut
    cut = Unreadable.at(text.count("\n", 0, begin) + 1, f"not JSON: {error.msg}", text[begin:end].rstrip(" \n,"))
    comma = "" if text[:kept].rstrip().endswith("[") else ","
    return text[:kept] + comma + "\n" * text.count("\n", kept, end) + text[end:], cut


def _last_whole(text: str, before: int) -> tuple[int | None, int, list[str]]:
    """Where the last whole message ends that begins before a place; where its array begins; what is open there."""
    stack: list[tuple[str, int, bool]] = []
    kept: int | None = None
    opened = 0
    still_open: list[str] = []
    for token in _TOKEN.finditer(text, 0, before):
        sign = token[0][0]
        if sign in "[{":
            key = _KEY.search(text, max(0, token.start() - 80), token.start())
            holds = sign == "[" and (key[1] in _KEYS if key else not stack)
            stack.append((sign, token.end(), holds))
        elif sign in "]}" and stack:
            stack.pop()
        if sign != '"' and stack and stack[-1][2]:
            kept, opened, still_open = token.end(), stack[-1][1], [s for s, _, _ in stack]
    return kept, opened, still_open


def _keys_of(text: str, opened: int, kept: int) -> frozenset[str]:
    """The fields of the first message of an array, which tell a message from an object inside one."""
    try:
        value, _ = json.JSONDecoder().raw_decode(text[:kept], _WHITE.match(text, opened).end())  # type: ignore[union-attr]
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(value) if isinstance(value, dict) else frozenset()


def _next_message(text: str, at: int, keys: frozenset[str]) -> int | None:
    decoder = json.JSONDecoder(parse_constant=no_constant)
    for tries, match in enumerate(_NEXT.finditer(text, at)):
        if tries == _TRIES:
            return None
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        shared = len(keys & set(value)) if keys else len({"text", "content", "type", "id", "ts"} & set(value))
        if 2 * shared >= (len(keys) or 4):
            return match.start()
    return None
