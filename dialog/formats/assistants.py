"""Chats with assistants: the exports of ChatGPT (`mapping`) and Claude (`chat_messages`), and lists of messages with a
role, as they are sent to models and trained on (`{"role": "user", "content": "…"}`), in a document or one a line.

What people and the assistant said to each other is kept, of ChatGPT's branches the one that was shown last; prompts of
the system, tools and thoughts are left out and counted.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import BadMessage, Gathering, encodable, moment, name_of, objects, string
from dialog.formats.json_document import opened
from dialog.formats.jsonl import load
from dialog.formats.left_out import DOCUMENT, EMPTY, PICTURE, is_silent
from dialog.formats.source import Source, Unreadable

_TOOL, _THOUGHT, _PROMPT, _BRANCH = "tool message", "thought", "system prompt", "message of another branch"
_ASIDE = {
    "system": _PROMPT,
    "developer": _PROMPT,
    "tool": _TOOL,
    "function": _TOOL,
    "observation": _TOOL,
    "function_call": _TOOL,
    "thinking": _THOUGHT,
    "thoughts": _THOUGHT,
    "reasoning": _THOUGHT,
    "reasoning_recap": _THOUGHT,
    "redacted_thinking": _THOUGHT,
    "tool_use": _TOOL,
    "tool_result": _TOOL,
    "code": _TOOL,
    "execution_output": _TOOL,
    "user_editable_context": _PROMPT,
    "model_editable_context": _PROMPT,
    "image": PICTURE,
    "image_url": PICTURE,
    "input_image": PICTURE,
    "image_asset_pointer": PICTURE,
    "document": DOCUMENT,
    "file": DOCUMENT,
}
"""Roles and kinds of content that are no part of what was said."""


def read_chatgpt(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each chat of a `conversations.json`, called after its title."""
    yield from _exported(source, "mapping", _of_chatgpt)


def read_claude(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each chat of a `conversations.json`, called after its name."""
    yield from _exported(source, "chat_messages", _of_claude)


def read_roles(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each list of messages with a role: the document's, or one a line."""
    if _is_lines(source):
        for line in source.lines():
            if line.fault:
                yield Unreadable.at(line.number, line.fault)
            elif line.text.strip():
                try:
                    value = load(line.text)
                except ValueError as error:
                    yield Unreadable.at(line.number, str(error), line.text)
                    continue
                yield from _of_roles(value, f"{source.name}-{line.number}", line.number, source.take_warnings())
        return
    document = yield from opened(source)
    if document is None:
        return
    value = document.value
    several = isinstance(value, list) and not any(isinstance(m, dict) and _role(m) for m in value)
    line_of = document.lines_of("")
    for number, one in enumerate(value if several else [value], 1):
        begins = line_of(number - 1) if several else 1
        yield from _of_roles(one, f"{source.name}-{number}", begins, document.warnings)


def _exported(source: Source, key: str, read: Any) -> Iterator[Conversation | Unreadable]:
    document = yield from opened(source)
    if document is None:
        return
    chats = document.value if isinstance(document.value, list) else [document.value]
    line_of = document.lines_of("")
    for number, chat in enumerate(chats, 1):
        if not isinstance(chat, dict) or not chat.get(key):
            yield Unreadable.at(line_of(number - 1), f"chat {number}: {key}: missing")
            continue
        gathering = Gathering(name_of(chat.get("title") or chat.get("name"), f"{source.name}-{number}"))
        read(chat, gathering)
        yield from gathering.items(document.warnings)


def _of_chatgpt(chat: dict[str, Any], gathering: Gathering) -> None:
    """The branch that ends with the current node, from the root."""
    mapping = chat["mapping"] if isinstance(chat["mapping"], dict) else {}
    nodes = {id: node for id, node in mapping.items() if isinstance(node, dict)}
    parents = {node.get("parent") for node in nodes.values()}
    at = chat.get("current_node")
    if at not in nodes:
        at = next((id for id in reversed(nodes) if id not in parents), None)
    branch: list[str] = []
    seen = set[str]()
    while isinstance(at, str) and at in nodes and at not in seen:
        branch.append(at)
        seen.add(at)
        at = nodes[at].get("parent")
    messages = [nodes[id]["message"] for id in reversed(branch) if nodes[id].get("message") is not None]
    gathering.take(messages, _chatgpt_message, "mapping")
    for id, node in nodes.items():
        if id not in seen and isinstance(node.get("message"), dict):
            gathering.add(_BRANCH)


def _chatgpt_message(message: Any) -> Utterance | str:
    author, content = (message.get("author"), message.get("content")) if isinstance(message, dict) else (None, None)
    if not isinstance(author, dict) or not isinstance(content, dict):
        raise BadMessage("expected a message with an author and a content")
    role, kind = string(author, "role"), content.get("content_type")
    metadata = message.get("metadata")
    if isinstance(metadata, dict) and metadata.get("is_visually_hidden_from_conversation"):
        return _PROMPT
    if role in _ASIDE or kind in _ASIDE:
        text = "".join(part for part in content.get("parts") or () if isinstance(part, str))
        return EMPTY if role == "system" and is_silent(text) else _ASIDE.get(role) or _ASIDE[str(kind)]
    return _said(role, content.get("parts", content.get("text")), moment(message.get("create_time")))


def _of_claude(chat: dict[str, Any], gathering: Gathering) -> None:
    messages = chat["chat_messages"]
    gathering.take(messages if isinstance(messages, list) else [], _claude_message, "chat_messages")


def _claude_message(message: Any) -> Utterance | str:
    sender, at = string(message, "sender"), string(message, "created_at", optional=True) or None
    said = _said(sender, message.get("content"), at)
    text = string(message, "text", optional=True)
    if isinstance(said, str) and not is_silent(text) and not objects(message.get("content")):
        said = Utterance(speaker=sender, text=text, time=at)
    files = [f["file_name"] for k in ("attachments", "files") for f in objects(message.get(k)) if f.get("file_name")]
    if isinstance(said, str):
        return DOCUMENT if files and said == EMPTY else said
    return Utterance(speaker=said.speaker, text=said.text, time=said.time, extra={"media": files} if files else {})


def _of_roles(value: Any, id: str, line: int, warnings: tuple[str, ...]) -> Iterator[Conversation | Unreadable]:
    messages = value
    if isinstance(value, dict):
        messages = next((value[k] for k in ("messages", "conversations", "conversation") if k in value), None)
        id = next((str(value[k]) for k in ("id", "conversation_id") if isinstance(value.get(k), str | int)), id)
    if not isinstance(messages, list):
        yield Unreadable.at(line, "messages: expected an array of messages with a role", str(value))
        return
    gathering = Gathering(id)
    gathering.take(messages, _role_message, line_of=lambda _: line)
    yield from gathering.items(warnings)


def _role(message: dict[str, Any]) -> str:
    found = (message.get(key) for key in ("role", "from"))
    return next((role for role in found if isinstance(role, str)), "")


def _role_message(message: Any) -> Utterance | str:
    if not isinstance(message, dict) or not _role(message):
        raise BadMessage("expected an object with a role")
    role = _role(message)
    if role in _ASIDE:
        return _ASIDE[role]
    at = next((message[k] for k in ("timestamp", "created_at", "time") if isinstance(message.get(k), str)), None)
    content = next((message[k] for k in ("content", "value", "parts", "text") if message.get(k) is not None), None)
    if content is None and (message.get("tool_calls") or message.get("function_call")):
        return _TOOL
    name = message.get("name")
    return _said(name if isinstance(name, str) and name.strip() else role, content, at)


def _said(speaker: str, content: Any, at: str | None) -> Utterance | str:
    """The words of a content, whole or in parts; the kind of its first part where it has none."""
    parts = content if isinstance(content, list) else [content]
    texts: list[str] = []
    kinds: list[str] = []
    for part in parts:
        aside = isinstance(part, dict) and part.get("type") in ("thinking", "tool_result")
        text = part.get("text") if isinstance(part, dict) and not aside else part
        if isinstance(text, str) and not is_silent(text):
            texts.append(encodable(text))
        elif isinstance(part, dict):
            kind = part.get("type", part.get("content_type"))
            kinds.append(_ASIDE.get(kind, "media message") if isinstance(kind, str) and kind != "text" else EMPTY)
        elif part is not None and not isinstance(part, str):
            raise BadMessage(f"content: expected a string or parts, got {part!r}"[:120])
    if texts:
        return Utterance(speaker=speaker, text="\n".join(texts), time=at)
    return kinds[0] if kinds else EMPTY


def _is_lines(source: Source) -> bool:
    """Whether the first line is a whole value, and another follows."""
    some = [line for line in islice(source.lines(), 50) if not line.fault]
    first = [line.text for line in some if line.text.strip()]
    try:
        return len(first) > 1 and isinstance(load(first[0]), dict)
    except ValueError:
        return False
