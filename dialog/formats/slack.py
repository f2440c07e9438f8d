"""Slack's export: the zip as it comes or unpacked (a folder a channel, a file a day, a list of people), one such file,
or an answer of its interface (`{"messages": […]}`).

Each channel is a conversation. A message's words are its text, or where it has none its blocks and attachments.
Mentions become names, links their labels; joins, topics and the like, and files without a word, are left out and
counted. Times are UTC, and messages stand in their order.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

from dialog.conversation import Caveat, Conversation, Utterance
from dialog.formats.chat_json import BadMessage, Gathering, encodable, moment, objects, string
from dialog.formats.json_document import Document, open_document, parse_document
from dialog.formats.left_out import CALL, DELETED, DOCUMENT, EMPTY, SYSTEM, is_silent, kind_of_file
from dialog.formats.source import Source, Unreadable
from dialog.formats.words import words

_SYSTEM = frozenset(
    words(
        "channel_join channel_leave channel_topic channel_purpose channel_name channel_archive channel_unarchive "
        "channel_convert_to_private channel_convert_to_public channel_posting_permissions group_join group_leave "
        "group_topic group_purpose group_name group_archive group_unarchive pinned_item unpinned_item bot_add "
        "bot_remove bot_enable bot_disable reminder_add reminder_delete sh_room_created joiner_notification "
        "joiner_notification_for_inviter bookmark_added ekm_access_denied added_to_usergroup"
    )
)
"""What Slack writes itself; everything else with words is somebody's."""
_LINK = re.compile(r"<([^<>|]{1,2000})(?:\|([^<>]{0,2000}))?>")
_NO_PEOPLE = Caveat("no-people", "the export has no list of users; people are called by their ids")


def read_slack(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each channel, called after it; of one file, called after the file."""
    if source.tree is None:
        document = open_document(source)
        if isinstance(document, Unreadable):
            yield document
            return
        yield from _channel(f"{source.name}-1", [("", document)], {}, document.warnings)
        return
    users: dict[str, str] = {}
    if source.tree.people is not None:
        people = parse_document(source.member(source.tree.people) or "")
        users = _users(people.value) if isinstance(people, Document) else {}
    warnings = () if users else (_NO_PEOPLE,)
    for channel, files in source.tree.chats.items():
        days = [(name, parse_document(source.member(name) or "")) for name in sorted(files)]
        yield from _channel(channel, days, users, warnings)


def _channel(
    id: str, days: list[tuple[str, Document | Unreadable]], users: dict[str, str], warnings: tuple[str, ...]
) -> Iterator[Conversation | Unreadable]:
    gathering = Gathering(id)
    for day, document in days:
        if isinstance(document, Unreadable):
            yield Unreadable.at(document.line, f"{day}: {document.reason}", document.text)
            continue
        for fault in document.faults:
            yield Unreadable.at(fault.line, f"{day}: {fault.reason}" if day else fault.reason, fault.text)
        messages, key = document.value, ""
        if isinstance(messages, dict) and isinstance(messages.get("messages"), list):
            messages, key = messages["messages"], "messages"
        if not isinstance(messages, list):
            gathering.refuse(day or "file", BadMessage("expected an array of messages"))
            continue
        place = day or key
        gathering.take(messages, lambda message: _message(message, users), place, document.lines_of(key))
    yield from gathering.items(warnings)


def _message(message: Any, users: dict[str, str]) -> Utterance | str:
    text = string(message, "text", optional=True)
    subtype = string(message, "subtype", optional=True)
    if message.get("type", "message") != "message" or subtype in _SYSTEM:
        return SYSTEM
    if subtype in ("tombstone", "message_deleted"):
        return DELETED
    if subtype == "huddle_thread":
        return CALL
    comment = message.get("comment")
    if subtype == "file_comment" and isinstance(comment, dict):
        text, message = string(comment, "comment", optional=True), {**message, "user": comment.get("user")}
    shown = _LINK.sub(lambda match: _shown(match, users), text)
    parts = [] if is_silent(shown) else [unescape(shown)]
    if not parts:
        parts = [part for part in (_of_block(b, users) for b in objects(message.get("blocks"))) if not is_silent(part)]
    if not parts or subtype == "bot_message" or message.get("bot_id"):
        parts += [part for a in objects(message.get("attachments")) for part in _of_attachment(a, users)]
    if not parts:
        return _kind(message)
    thread = message.get("thread_ts")
    return Utterance(
        speaker=_speaker(message, users),
        text="\n".join(parts),
        time=moment(message.get("ts")),
        extra={"thread_ts": thread} if isinstance(thread, str) else {},
    )


def _of_block(block: Any, users: dict[str, str]) -> str:
    """The words of a block, or of what stands in it: paragraphs on lines of their own, their pieces on one."""
    if not isinstance(block, dict):
        return ""
    kind, text = block.get("type"), block.get("text")
    if isinstance(text, dict):
        text = text.get("text")
    if isinstance(text, str):
        return unescape(_LINK.sub(lambda match: _shown(match, users), encodable(text)))
    if kind == "user":
        return f"@{users.get(str(block.get('user_id')), block.get('user_id'))}"
    if kind in ("link", "channel", "broadcast", "emoji"):
        name = block.get({"link": "url", "channel": "channel_id", "broadcast": "range", "emoji": "name"}[kind])
        return {"link": "{}", "channel": "#{}", "broadcast": "@{}", "emoji": ":{}:"}[kind].format(name)
    inner = [*objects(block.get("elements")), *objects(block.get("fields"))]
    joint = "" if kind in ("rich_text_section", "rich_text_quote", "rich_text_preformatted") else "\n"
    return joint.join(part for part in (_of_block(element, users) for element in inner) if part)


def _of_attachment(attachment: dict[str, Any], users: dict[str, str]) -> list[str]:
    fields = [
        f"{f['title']}: {f['value']}" for f in objects(attachment.get("fields")) if f.get("title") and f.get("value")
    ]
    given = [attachment.get(key) for key in ("pretext", "title", "text")]
    found = [part for part in (*given, *fields) if isinstance(part, str) and not is_silent(part)]
    found += [part for b in objects(attachment.get("blocks")) if not is_silent(part := _of_block(b, users))]
    if not found and isinstance(attachment.get("fallback"), str):
        found = [attachment["fallback"]] if not is_silent(attachment["fallback"]) else []
    return [unescape(_LINK.sub(lambda match: _shown(match, users), encodable(part))) for part in found]


def _kind(message: dict[str, Any]) -> str:
    files = objects(message.get("files")) or objects([message.get("file")])
    if not files:
        return EMPTY
    name = files[0].get("name")
    if files[0].get("mode") == "tombstone":
        return DELETED
    return kind_of_file(name) if isinstance(name, str) else DOCUMENT


def _speaker(message: dict[str, Any], users: dict[str, str]) -> str:
    profile = message.get("user_profile")
    for key in ("display_name", "real_name", "name"):
        if isinstance(profile, dict) and isinstance(profile.get(key), str) and profile[key].strip():
            return encodable(profile[key].strip())
    user = string(message, "user", optional=True)
    bot = message.get("bot_profile")
    named = string(bot, "name", optional=True) if isinstance(bot, dict) else ""
    return users.get(user) or user or string(message, "username", optional=True) or named or "unknown"


def _shown(match: re.Match[str], users: dict[str, str]) -> str:
    target, label = match[1], match[2]
    if target.startswith("@"):
        return f"@{label or users.get(target[1:], target[1:])}"
    if target.startswith("#"):
        return f"#{label or target[1:]}"
    if target.startswith("!"):
        return label or f"@{target[1:].split('^')[0]}"
    return label or target


def _users(value: Any) -> dict[str, str]:
    """Ids to the names people see."""
    names = {}
    for user in objects(value):
        if isinstance(user.get("id"), str):
            given = user.get("profile")
            profile = given if isinstance(given, dict) else {}
            known = (profile.get("display_name"), profile.get("real_name"), user.get("real_name"), user.get("name"))
            name = next((n.strip() for n in known if isinstance(n, str) and n.strip()), user["id"])
            names[user["id"]] = encodable(name)
    return names
