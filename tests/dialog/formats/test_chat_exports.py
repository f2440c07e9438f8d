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
    assert conversation.warnings == ("left out: 1 call and 1 picture",)
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
    assert conversation.warnings == ("left out: 1 picture and 1 system line",)


def test_a_day_of_slack() -> None:
    assert sniff(json.dumps(SLACK).encode()) == "slack"
    (conversation,) = parsed(SLACK)
    assert said(conversation) == [("U1", "Hi @U2, see this & that"), ("U2", "@here Yo in #general"), ("Bot", "beep")]
    assert [u.time for u in conversation.utterances] == ["2020-12-31T21:41:05+00:00", "2020-12-31T21:41:06+00:00", None]
    assert conversation.warnings == ("left out: 1 empty message and 1 system line",)
    assert conversation.utterances[1].extra == {"thread_ts": "1.0"}


def test_a_whole_export_of_slack() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("users.json", json.dumps(USERS))
        archive.writestr("channels.json", "[]")
        archive.writestr("general/2021-01-01.json", json.dumps([{**SLACK[2], "text": "next day"}]))
        archive.writestr("general/2020-12-31.json", json.dumps(SLACK))
        archive.writestr("random/2020-12-31.json", "{broken")
        archive.writestr("random/2021-01-01.json", json.dumps({"not": "messages"}))
    packed.seek(0)
    general, wrong, other, random = read(packed)
    assert isinstance(general, Conversation)
    assert said(general)[0] == ("Ann", "Hi @Bo B, see this & that")
    assert said(general)[-1] == ("Bo B", "next day")
    assert isinstance(wrong, Unreadable)
    assert wrong.reason.startswith("random/2020-12-31.json: not JSON")
    assert isinstance(other, Unreadable)
    assert other.reason == "random/2021-01-01.json: expected an array of messages"
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
    marked = [*messages[:2], "here", *messages[2:]]
    text = json.dumps(marked if isinstance(export, list) else {**export, "messages": marked}, indent=1)
    expected = text[: text.index('"here"')].count("\n") + 1
    assert all(item.line == expected for item in wrong)


@pytest.mark.parametrize("format", ["telegram", "discord", "slack"])
@pytest.mark.parametrize("value", [5, None, [5], {}, {"messages": 5}, {"chats": {"list": [5]}}, "x"])
def test_json_of_another_kind_is_refused_with_a_reason(format: str, value: Any) -> None:
    for item in parsed(value, format):
        assert isinstance(item, Unreadable) or not item.utterances


def with_texts(export: Any, *messages: dict[str, Any]) -> Conversation:
    """The conversation of an export of these messages."""
    value = list(messages) if isinstance(export, list) else {**export, "messages": list(messages)}
    (conversation,) = parsed(value)
    assert isinstance(conversation, Conversation)
    return conversation


ANN = {"author": {"name": "ann", "nickname": "Ann"}, "timestamp": "2020-12-31T21:41:05+00:00"}


def test_discord_keeps_every_word_that_somebody_wrote() -> None:
    embed = {"title": "Weather", "description": "Rain all day", "fields": [{"name": "Wind", "value": "strong"}]}
    conversation = with_texts(
        DISCORD,
        {**ANN, "type": "20", "content": "/roll 20"},
        {**ANN, "type": "Default", "content": "", "forwardedMessage": {"content": "passed on"}},
        {**ANN, "type": "Default", "content": "look:", "forwardedMessage": {"content": "passed on"}},
        {**ANN, "type": "Default", "content": "", "embeds": [embed]},
        {**ANN, "type": "Default", "content": "see https://x.org", "embeds": [{"title": "X", "description": "A page"}]},
        {**ANN, "type": "Default", "content": "", "poll": {"question": {"text": "Tea or coffee?"}}},
        {**ANN, "type": "99", "content": "a kind of tomorrow"},
        {**ANN, "type": "Default", "content": "\u200b"},
        {**ANN, "type": "Default", "content": "", "stickers": [{"name": "wave"}]},
        {**ANN, "type": "Call", "content": "Started a call."},
        {**ANN, "type": "7", "content": "Joined the server."},
    )
    assert [text for _, text in said(conversation)] == [
        "/roll 20", "passed on", "look:\npassed on", "Weather\nRain all day\nWind: strong", "see https://x.org",
        "Tea or coffee?", "a kind of tomorrow",
    ]  # fmt: skip
    assert conversation.warnings == ("left out: 1 call, 1 empty message, 1 sticker and 1 system line",)
    assert conversation.extra["left_out"] == {"call": 1, "empty message": 1, "sticker": 1, "system line": 1}


def test_slack_reads_words_that_stand_only_in_blocks_or_attachments() -> None:
    section = {"type": "rich_text_section", "elements": [
        {"type": "text", "text": "Hi "}, {"type": "user", "user_id": "U2"}, {"type": "text", "text": ", see "},
        {"type": "link", "url": "https://x.org"}, {"type": "emoji", "name": "wave"},
    ]}  # fmt: skip
    at = {"type": "message", "user": "U1", "text": ""}
    conversation = with_texts(
        SLACK,
        {**at, "ts": "1.0", "blocks": [{"type": "rich_text", "elements": [section]}]},
        {**at, "ts": "2.0", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*Bold* &amp; on"}}]},
        {**at, "ts": "3.0", "attachments": [{"pretext": "New", "title": "A bug", "text": "It <https://x.org|fails>"}]},
        {**at, "ts": "4.0", "attachments": [{"fallback": "A graph of sales"}]},
        {**at, "ts": "5.0", "text": "see this", "attachments": [{"title": "X", "text": "A page"}]},
        {**at, "ts": "6.0", "subtype": "bot_message", "text": "Alert", "attachments": [{"text": "Disk is full"}]},
        {**at, "ts": "7.0", "subtype": "a_kind_of_tomorrow", "text": "hm"},
        {**at, "ts": "8.0", "files": [{"name": "a.png"}]},
        {**at, "ts": "9.0", "subtype": "tombstone", "text": "This message was deleted."},
    )
    assert [text for _, text in said(conversation)] == [
        "Hi @U2, see https://x.org:wave:", "*Bold* & on", "New\nA bug\nIt fails", "A graph of sales", "see this",
        "Alert\nDisk is full", "hm",
    ]  # fmt: skip
    assert conversation.warnings == ("left out: 1 deleted message and 1 picture",)


def zipped(**files: Any) -> io.BytesIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, value in files.items():
            archive.writestr(name, json.dumps(value))
    packed.seek(0)
    return packed


HI, YO = (
    {"type": "message", "user": u, "text": t, "ts": ts} for u, t, ts in (("U1", "Hi", "1.0"), ("U2", "Yo", "2.0"))
)


@pytest.mark.parametrize("root", ["", "My team Slack export/", "a/b/"])
@pytest.mark.parametrize(("people", "names"), [("users.json", ["Ann", "Bo B"]), ("org_users.json", ["Ann", "Bo B"])])
def test_a_slack_export_may_lie_in_a_folder_of_its_own(root: str, people: str, names: list[str], tmp_path: Any) -> None:
    files = {f"{root}{people}": USERS, f"{root}channels.json": [], f"{root}general/2021-01-01.json": [HI, YO]}
    (conversation,) = read(zipped(**files))
    assert (conversation.id, [name for name, _ in said(conversation)]) == ("general", names)
    assert not conversation.warnings
    for name, value in files.items():
        path = tmp_path / "export" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    assert list(read(tmp_path / "export")) == [conversation]


def test_a_slack_export_without_people_is_read_with_their_ids_and_says_so() -> None:
    (conversation,) = read(zipped(**{"x/general/2021-01-01.json": [HI, YO], "x/general/2021-01-02.json": [HI]}))
    assert conversation.id == "general"
    assert sorted(said(conversation)) == [("U1", "Hi"), ("U1", "Hi"), ("U2", "Yo")]
    assert "the export has no list of users; people are called by their ids" in conversation.warnings


def test_an_answer_of_slacks_interface_is_read_newest_last_and_says_so() -> None:
    (conversation,) = parsed({"ok": True, "messages": [YO, HI], "has_more": False})
    assert said(conversation) == [("U1", "Hi"), ("U2", "Yo")]
    assert conversation.warnings == ("the messages did not stand in the order of their times; they were put in it",)


def test_equal_times_keep_their_order() -> None:
    messages = [{**HI, "text": str(i), "ts": f"{1 + i // 2}.0"} for i in range(6)]
    (conversation,) = parsed(messages)
    assert [text for _, text in said(conversation)] == list("012345")
    (turned,) = parsed(messages[::-1])
    assert said(turned) == said(conversation)


def test_telegram_reads_words_that_stand_elsewhere_and_leaves_out_what_has_none() -> None:
    at = {"type": "message", "from": "Ann", "date": "2020-12-31T21:41:05", "text": ""}
    conversation = with_texts(
        TELEGRAM,
        {**at, "poll": {"question": "Tea or coffee?", "answers": [{"text": "Tea"}, {"text": "Coffee"}]}},
        {**at, "todo_list": {"title": "Shopping", "items": [{"id": 1, "text": "milk"}, {"id": 2, "text": "bread"}]}},
        {
            **at,
            "rich_message": {"blocks": [{"type": "heading", "text": "News"}, {"type": "p", "text": ["all"]}]},
        },
        {**at, "dice": {"emoji": "🎲", "value": 3}},
        {**at, "game_title": "Chess", "game_description": "A game"},
        {**at, "invoice_information": {"amount": 5}},
        {**at, "media_type": "voice_message", "file": "a.ogg"},
        {**at},
        {**at, "text": " \u2063 "},
        {**at, "type": "service", "action": "pin_message"},
    )
    assert [text for _, text in said(conversation)] == ["Tea or coffee?", "Shopping\nmilk\nbread", "News"]
    assert conversation.utterances[0].extra == {"media": "poll", "options": ["Tea", "Coffee"]}
    assert conversation.extra["left_out"] == {
        "dice": 1, "empty message": 2, "game": 1, "invoice": 1, "system line": 1, "voice message": 1,
    }  # fmt: skip


def test_telegram_chats_that_were_left_are_read() -> None:
    left = {**TELEGRAM, "name": "Old friends"}
    value = {"about": "Here is the data", "chats": {"list": [TELEGRAM]}, "left_chats": {"list": [left]}}
    assert [c.id for c in parsed(value)] == ["Ann", "Old friends"]


EXPORTS = [(TELEGRAM, "telegram"), (DISCORD, "discord"), (SLACK, "slack")]


@pytest.mark.parametrize(("export", "format"), EXPORTS)
def test_a_file_that_breaks_off_gives_what_stands_before_and_says_where(export: Any, format: str) -> None:
    text = json.dumps(export, indent=1)
    broken = text[: text.index("Yo" if export is not TELEGRAM else "example.org") + 1]
    *wrong, conversation = read(io.BytesIO(broken.encode()), format=format, name="log")
    assert [text for _, text in said(conversation)] == ["Hi @U2, see this & that" if export is SLACK else "Hi"]
    assert [(w.line, "breaks off here" in w.reason) for w in wrong] == [(broken.count("\n") + 1, True)]


@pytest.mark.parametrize(("export", "format"), EXPORTS)
def test_a_message_that_is_no_json_costs_only_itself(export: Any, format: str) -> None:
    text = json.dumps(export, indent=1)
    begin = text.index("Yo" if export is not TELEGRAM else "example.org")
    damaged = text[:begin] + '"' + text[begin:]
    wrong, conversation = read(io.BytesIO(damaged.encode()), format=format, name="log")
    (whole,) = parsed(export, format)
    assert said(conversation) == [said(whole)[0], *said(whole)[2:]]
    line = damaged.count("\n", 0, damaged.rindex("\n  {" if export is not SLACK else "\n {", 0, begin)) + 2
    assert (wrong.line, "not JSON" in wrong.reason) == (line, True)
