"""Messages as JSON objects of whatever program: lists of them anywhere in a document, or one a line.

Their fields are found by what they are called, as columns of a table are, also a level down (`author.name`,
`content.body`). A list is a conversation, called after its object's id or the key it stands under; where the messages
name their conversation themselves, that counts.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import encodable, moment, objects
from dialog.formats.json_document import opened
from dialog.formats.jsonl import load
from dialog.formats.source import Source, Unreadable
from dialog.formats.table import COLUMNS, NO_SPEAKER, NoSuchColumn, gather, roles_of
from dialog.formats.words import words

_KEYS = re.compile(rf'"[^"]{{0,40}}?(?:{"|".join(COLUMNS["text"])})"\s*:\s*"', re.IGNORECASE)
_LOOKED_AT = 200  # messages by which the fields of a list are told
_DEEPEST = 6
_NAMES = ("match_id", "id", "name", "title", "conversation_id", "dialogue_id", "dialog_id", "chat_id", "channel")
_NAMELESS = frozenset(
    words(
        "messages data items turns dialog dialogue conversation conversations chat chats log history results records "
        "list"
    )
)
"""Keys that say what stands under them and not what it is called."""
_ANSWERS = frozenset(words("replies comments answers responses children kids thread"))
"""Keys under which messages stand that answer the one they are in."""
_SECONDS, _MILLISECONDS, _MICROSECONDS = 1e8, 1e11, 1e14
"""From here on a number is a time in these units: since 1973, if it is one at all."""
_NO_LIST = (
    f"no messages in it: expected JSON objects with a field for the text, called {', '.join(COLUMNS['text'][:6])} …"
)


@dataclass(frozen=True)
class _List:
    """Messages that stand together, what that is called, and the path of the field that has each role."""

    name: str
    objects: Sequence[Mapping[str, Any]]
    roles: Mapping[str, str]


def has_records(head: str) -> bool:
    """Whether JSON has fields that are called as a message's text is."""
    return _KEYS.search(head) is not None


def read_records(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each list of messages, in order."""
    value: Any
    if _is_lines(source):
        objects: list[Any] = []
        for line in source.lines():
            if not line.fault and not line.text.strip():
                continue
            try:
                one = None if line.fault else load(line.text)
                fault = line.fault or ("" if isinstance(one, dict) else "expected an object")
            except ValueError as error:
                fault = str(error)
            if fault:
                yield Unreadable.at(line.number, fault, line.text)
                continue
            objects.append(one)
        value, warnings = objects, source.take_warnings()
    else:
        document = yield from opened(source)
        if document is None:
            return
        value, warnings = document.value, document.warnings
    lists = list(_lists(value, source.columns))
    if not lists:
        yield Unreadable.at(0, _NO_LIST)
    for number, found in enumerate(lists, 1):
        for item in _conversations(found, found.name or f"{source.name}-{number}"):
            yield item.with_warnings(warnings) if isinstance(item, Conversation) else item


def _is_lines(source: Source) -> bool:
    """Whether the first line is an object by itself, and not the last."""
    first = [line.text for line in islice((line for line in source.lines() if line.text.strip()), 2)]
    try:
        return len(first) > 1 and isinstance(load(first[0]), dict)
    except ValueError:
        return False


def _lists(value: Any, columns: Mapping[str, str], name: str = "", depth: int = 0) -> Iterator[_List]:
    """Every list of messages in a value, the outermost of those inside one another."""
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        found = objects(value)
        if found and 2 * len(found) >= len(value) and (roles := _roles(found, columns)):
            yield _List(name, list(_with_answers(found, roles["text"])), roles)
            return
        for one in value:
            yield from _lists(one, columns, name, depth + 1)
    elif isinstance(value, dict):
        answered = any(key.lower() in _ANSWERS and objects(v) for key, v in value.items())
        if answered and (roles := _roles([value], columns)):
            # A post with its comments: what it says itself comes first.
            title = value.get("title")
            yield _List(title if isinstance(title, str) else name, list(_with_answers([value], roles["text"])), roles)
            return
        called = next((str(value[key]) for key in _NAMES if isinstance(value.get(key), str | int) and value[key]), "")
        for key, v in value.items():
            yield from _lists(v, columns, called or (name if key.lower() in _NAMELESS else key), depth + 1)


def _with_answers(messages: Sequence[Mapping[str, Any]], text: str) -> Iterator[Mapping[str, Any]]:
    """Messages, each with the answers that stand inside it, however deep, under it."""
    for one in messages:
        yield one
        for key, value in one.items():
            if str(key).lower() in _ANSWERS:
                answers = [held for held in objects(value) if isinstance(_flat(held).get(text), str)]
                yield from _with_answers(answers, text)


def _roles(objects: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> dict[str, str] | None:
    """Role to the path of the field that has it; None where these are no messages."""
    some = [_flat(one) for one in objects[:_LOOKED_AT]]
    paths = list(dict.fromkeys(path for one in some for path in one))
    last = [path.rpartition(".")[2] for path in paths]
    plain = {path for path in paths if "." not in path}
    called = [
        path if "." not in path or name in plain or last.count(name) > 1 else name
        for path, name in zip(paths, last, strict=True)
    ]
    try:
        roles = {role: paths[i] for role, i in roles_of(called, columns).items()}
    except NoSuchColumn:
        return None
    texts = sum(isinstance(one.get(roles.get("text", "")), str) for one in some)
    told = columns or "speaker" in roles or "time" in roles  # a text alone is anything's
    return roles if "text" in roles and told and texts else None


def _flat(message: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are no lists, those of objects a level down as `author.name`."""
    flat: dict[str, Any] = {}
    for key, value in message.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": v for inner, v in value.items() if not isinstance(v, dict | list)}
        elif not isinstance(value, list):
            flat[str(key)] = value
    return flat


def _conversations(found: _List, name: str) -> Iterator[Conversation | Unreadable]:
    roles = found.roles
    rows = [_flat(message) for message in found.objects]
    ids = [str(row.get(roles.get("conversation", "")) or name) for row in rows]
    said = [(id, _utterance(row, roles)) for id, row in zip(ids, rows, strict=True)]
    # Beside messages that name their conversation, what names none and says nothing is no message.
    said = [(id, u) for id, u in said if id != name or u.text or "conversation" not in roles]
    for item in gather([id for id, _ in said], said):
        yield item if isinstance(item, Unreadable) else item.conversation(() if "speaker" in roles else (NO_SPEAKER,))


def _utterance(row: Mapping[str, Any], roles: Mapping[str, str]) -> Utterance:
    def field(role: str) -> Any:
        return row.get(roles.get(role, ""))

    text, emotion = field("text"), field("emotion")
    return Utterance(
        speaker=encodable(_shown(field("speaker"))).strip() or "unknown",
        text=encodable(text) if isinstance(text, str) else "",
        emotion=(emotion.strip() or None) if isinstance(emotion, str) else None,
        time=_time(field("time")),
        extra={k: v for k, v in row.items() if k not in roles.values() and "." not in k and v is not None},
    )


def _shown(value: Any) -> str:
    return "" if value is None or isinstance(value, bool) else str(value)


def _time(value: Any) -> str | None:
    """As it is written; a number is seconds, milliseconds or microseconds since 1970, by its size."""
    if isinstance(value, str):
        return encodable(value).strip() or None
    if not isinstance(value, int | float) or isinstance(value, bool) or value < _SECONDS:
        return None if value is None or isinstance(value, bool) else str(value)
    per_second = 1_000_000 if value >= _MICROSECONDS else 1000 if value >= _MILLISECONDS else 1
    return moment(value / per_second)
