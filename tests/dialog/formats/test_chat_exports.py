"""Telegram, Discord and Slack: small exports written by hand in the shape their programs write."""

import io
import json
import zipfile
from typing import Any

import pytest

from dialog.conversation import Conversation
from dialog.formats import Unreadable, read, sniff

TELEGRAM: dict[str, Any] = {
    "name": "Ann",
    "type": "personal_chat",
    "id": 1,
    "messages": [
        {"id": 1, "type": "service", "date": "2020-12-31T21:40:00", "actor": "Ann", "action": "phone_call", "text": ""},
        {"id": 2, "type": "message", "date": "2020-12-31T21:41:05", "from": "Ann", "text": "Hi"},
        {
            "id": 3, "type": "message", "date": "2020-12-31T21:42:05", "from": "Bo",
            "text": ["see ", {"type": "link", "text": "example.org"}, "!"],
        },
        {"id": 4, "type": "message", "date": "2020-12-31T21:43:05", "from": "Bo", "photo": "a.jpg", "text": ""},
        {"id": 5, "type": "message", "date": "2020-12-31T21:44", "from": None, "media_type": "sticker", "text": "ok"},
    ],
}  # fmt: skip
DISCORD: dict[str, Any] = {
    "guild": {"id": "1", "name": "Guild"},
    "channel": {"id": "2", "type": "GuildTextChat", "name": "general"},
    "messages": [
        {"id": "1", "type": "GuildMemberJoin", "timestamp": "t0", "content": "Joined.", "author": {"name": "ann"}},
        {
            "id": "2", "type": "Default", "timestamp": "2020-12-31T21:41:05.1+00:00", "content": "Hi",
            "author": {"name": "ann", "nickname": "Ann"}, "attachments": [{"fileName": "a.png"}],
        },
        {"id": "3", "type": "Reply", "timestamp": "t2", "content": "Yo", "author": {"name": "bo", "nickname": None}},
        {"id": "4", "type": "Default", "content": "", "author": {"name": "bo"}, "attachments": [{"fileName": "b.png"}]},
    ],
}  # fmt: skip
SLACK: list[dict[str, Any]] = [
    {"type": "message", "subtype": "channel_join", "user": "U1", "text": "<@U1> has joined", "ts": "1609450800.000100"},
    {
        "type": "message",
        "user": "U1",
        "text": "Hi <@U2>, see <https://x.org|this> &amp; that",
        "ts": "1609450865.000100",
    },
    {"type": "message", "user": "U2", "text": "<!here> Yo in <#C1|general>", "ts": "1609450866.0", "thread_ts": "1.0"},
    {"type": "message", "subtype": "file_share", "user": "U2", "text": "", "ts": "1609450867.0"},
    {"type": "message", "subtype": "bot_message", "username": "Bot", "text": "beep", "ts": "nonsense"},
]
USERS = [
    {"id": "U1", "name": "ann", "profile": {"display_name": "Ann"}},
    {"id": "U2", "name": "bo", "real_name": "Bo B"},
]


def parsed(value: Any, format: str = "auto") -> list[Any]:
    return list(read(io.BytesIO(json.dumps(value, indent=1).encode()), format=format, name="log"))


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [(u.speaker, u.text) for u in conversation.utterances]


def test_telegram_chats() -> None:
    assert sniff(json.dumps(TELEGRAM).encode()) == "telegram"
    (conversation,) = parsed(TELEGRAM)
    assert conversation.id == "Ann"
    assert said(conversation) == [("Ann", "Hi"), ("Bo", "see example.org!"), ("deleted account", "ok")]
    assert conversation.utterances[0].time == "2020-12-31T21:41:05"
    assert conversation.utterances[2].extra == {"media": "sticker"}
    assert conversation.warnings == ("left out: 1 media message(s) and 1 system message(s)",)
    nameless = {**TELEGRAM, "name": None}
    assert [c.id for c in parsed({"about": "x", "chats": {"list": [TELEGRAM, nameless]}}, "telegram")] == [
        "Ann",
        "log-2",
    ]


def test_discord_channels() -> None:
    assert sniff(json.dumps(DISCORD).encode()) == "discord"
    (conversation,) = parsed(DISCORD)
    assert conversation.id == "general"
    assert said(conversation) == [("Ann", "Hi"), ("bo", "Yo")]
    assert conversation.utterances[0].extra == {"media": ["a.png"]}
    assert conversation.warnings == ("left out: 1 media message(s) and 1 system message(s)",)


def test_a_day_of_slack() -> None:
    assert sniff(json.dumps(SLACK).encode()) == "slack"
    (conversation,) = parsed(SLACK)
    assert said(conversation) == [("U1", "Hi @U2, see this & that"), ("U2", "@here Yo in #general"), ("Bot", "beep")]
    assert [u.time for u in conversation.utterances] == ["2020-12-31T21:41:05+00:00", "2020-12-31T21:41:06+00:00", None]
    assert conversation.utterances[1].extra == {"thread_ts": "1.0"}


def test_a_whole_export_of_slack() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("users.json", json.dumps(USERS))
        archive.writestr("channels.json", "[]")
        archive.writestr("general/2021-01-01.json", json.dumps([{**SLACK[2], "text": "next day"}]))
        archive.writestr("general/2020-12-31.json", json.dumps(SLACK))
        archive.writestr("random/2020-12-31.json", "{broken")
    packed.seek(0)
    general, wrong, random = read(packed)
    assert isinstance(general, Conversation)
    assert said(general)[0] == ("Ann", "Hi @Bo B, see this & that")
    assert said(general)[-1] == ("Bo B", "next day")
    assert isinstance(wrong, Unreadable)
    assert wrong.reason == "random/2020-12-31.json: expected an array of messages"
    assert (random.id, general.id) == ("random", "general")


@pytest.mark.parametrize(("export", "format"), [(TELEGRAM, "telegram"), (DISCORD, "discord"), (SLACK, "slack")])
@pytest.mark.parametrize("bad", [5, None, [], {}, {"type": "message", "text": 5, "content": 5, "from": 5}, {"type": 5}])
def test_a_bad_message_costs_only_itself(export: Any, format: str, bad: Any) -> None:
    messages = export if isinstance(export, list) else export["messages"]
    damaged = [*messages[:2], bad, *messages[2:]]
    value = damaged if isinstance(export, list) else {**export, "messages": damaged}
    *wrong, conversation = parsed(value, format)
    (whole,) = parsed(export, format)
    assert said(conversation) == said(whole)
    assert all(isinstance(item, Unreadable) and "[2]" in item.reason for item in wrong)


@pytest.mark.parametrize("format", ["telegram", "discord", "slack"])
@pytest.mark.parametrize("value", [5, None, [5], {}, {"messages": 5}, {"chats": {"list": [5]}}, "x"])
def test_json_of_another_kind_is_refused_with_a_reason(format: str, value: Any) -> None:
    for item in parsed(value, format):
        assert isinstance(item, Unreadable) or not item.utterances
