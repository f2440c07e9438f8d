"""JSON: one conversation a line (jsonl), or a document: a conversation, an array of them, `{"conversations": […]}`.

An array of `{"speaker", "text"}` objects is one conversation. Lines are read one at a time; a document is read whole.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from dialog.conversation import Conversation, MalformedConversation
from dialog.formats.source import Line, Source, Unreadable

_MAX_DEPTH = 100
TOO_DEEP = f"nested more than {_MAX_DEPTH} deep"
_RESYNC_TRIES = 1000


def read_json(source: Source) -> Iterator[Conversation | Unreadable]:
    """Conversations in order. One without an id is called after the file and its line (in a document: its number)."""
    if _is_document(source):
        yield from _read_document(source)
        return
    for line in source.lines():
        if line.fault:
            yield Unreadable.at(line.number, line.fault)
        elif line.text.strip():
            yield from _with_warnings(_read_line(line, source.name), source.take_warnings())


def write_jsonl(items: Iterable[Conversation | Unreadable], out: BinaryIO) -> None:
    """One line an item, in order. What was unreadable becomes an object with an `error`: lines match what came in."""
    for item in items:
        out.write(dump(to_object(item)).encode() + b"\n")


def to_object(item: Conversation | Unreadable) -> dict[str, Any]:
    """The JSON object of an item; an unreadable one keeps its fields, or says its line and shows its text."""
    if isinstance(item, Conversation):
        return item.to_dict()
    if item.item is not None:
        return {**item.item, "id": item.item.get("id") or item.id, "error": item.error}
    return {"id": item.id, "utterances": [], "error": item.error, "line": item.line, "text": item.text}


def dump(value: Any) -> str:
    """Compact JSON on one line, encodable as UTF-8. Infinity and half a surrogate pair, if need be, become escapes."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), separators=(",", ":"))
    return text


def load(text: str) -> Any:
    """A JSON value; NaN, which pandas writes and JSON does not know, is null. ValueError says what is wrong."""
    try:
        value = json.loads(text, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if too_deep(value):
        raise ValueError(TOO_DEEP)
    return value


def too_deep(value: Any) -> bool:
    """Whether a value is nested too deep.

    What can just be read could not be written from a deeper stack, so the limit is far below the interpreter's.
    """
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(_MAX_DEPTH):
        level = [v for c in level for v in (c.values() if isinstance(c, dict) else c) if isinstance(v, dict | list)]
        if not level:
            return False
    return True


def no_constant(_: str) -> None:
    """What NaN and Infinity stand for."""
    return None


def _finite(value: Any) -> Any:
    """1e999 parses as infinity, which JSON cannot say: null."""
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list | tuple) else value


def _read_line(line: Line, name: str) -> Iterator[Conversation | Unreadable]:
    try:
        value = load(line.text)
    except ValueError as error:
        yield Unreadable.at(line.number, str(error), line.text)
        return
    yield from _read_value(value, line.number, line.text, f"{name}-{line.number}")


def _read_value(value: Any, line: int, text: str, default_id: str) -> Iterator[Conversation | Unreadable]:
    """One conversation, or those of a `{"conversations": […]}` envelope."""
    if isinstance(value, dict) and "utterances" not in value and isinstance(value.get("conversations"), list):
        for i, inner in enumerate(value["conversations"], 1):
            yield from _read_value(inner, line, "", f"{default_id}-{i}")
        return
    try:
        yield Conversation.from_dict(value, default_id=default_id)
    except MalformedConversation as error:
        yield Unreadable.at(line, str(error), text or dump(value), value if isinstance(value, dict) else None)


def _with_warnings(
    items: Iterable[Conversation | Unreadable], warnings: tuple[str, ...]
) -> Iterator[Conversation | Unreadable]:
    for item in items:
        yield item.with_warnings(warnings) if warnings and isinstance(item, Conversation) else item


def _is_document(source: Source) -> bool:
    """True for JSON that does not stand on single lines. A broken first line of jsonl must not make it one."""
    lines = []
    for line in source.lines():
        if line.text.strip():
            lines.append(line.text.strip())
        if len(lines) == 2 or line.number > 100:
            break
    if not lines or lines[0].startswith("["):
        return bool(lines)
    try:
        load(lines[0])
        return False
    except ValueError:
        return not lines[0].endswith("}") and not (len(lines) == 2 and lines[1].startswith("{"))


def _read_document(source: Source) -> Iterator[Conversation | Unreadable]:
    text, fault = source.text()
    warnings = source.take_warnings()
    yield from _with_warnings(_read_values(text, source.name), warnings)
    if fault:
        yield Unreadable.at(0, fault)


def _read_values(text: str, name: str) -> Iterator[Conversation | Unreadable]:
    """The values of a document one by one, so that one that is broken costs none of the others."""
    decoder = json.JSONDecoder(parse_constant=no_constant)
    opening = re.match(r"\s*\[", text)
    at = opening.end() if opening else 0
    if opening and (turns := _bare_utterances(text)) is not None:
        yield from _read_value({"utterances": turns}, 1, "", f"{name}-1")
        return
    number = line = 0
    counted = 0  # where the line numbers stand
    while True:
        at = _skip(text, at, " \t\r\n,")
        if at >= len(text) or (opening and text[at] == "]"):
            return
        line, counted = line + text.count("\n", counted, at), at
        number += 1
        try:
            value, end = decoder.raw_decode(text, at)
            if too_deep(value):
                raise RecursionError
        except (ValueError, RecursionError) as error:
            reason = f"not JSON: {error.msg}" if isinstance(error, json.JSONDecodeError) else TOO_DEEP
            end = _next_conversation(decoder, text, at + 1)
            yield Unreadable.at(line + 1, reason, text[at : min(end, at + 1000)])
        else:
            yield from _read_value(value, line + 1, "", f"{name}-{number}")
        at = end


def _bare_utterances(text: str) -> list[Any] | None:
    """The array if it is one conversation's utterances rather than conversations."""
    try:
        value = load(text)
    except ValueError:
        return None
    if not isinstance(value, list) or not value:
        return None
    return value if all(isinstance(u, dict) and "text" in u and "utterances" not in u for u in value) else None


def _next_conversation(decoder: json.JSONDecoder, text: str, at: int) -> int:
    """Where the next readable conversation begins after a broken one; the end where there is none."""
    for tries, match in enumerate(re.compile(r"(?<=[\n,\s])\{").finditer(text, at)):
        if tries == _RESYNC_TRIES:
            break
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and "utterances" in value:
            return match.start()
    return len(text)


def _skip(text: str, at: int, characters: str) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at
