"""Snapchat, Element, X, Reddit, Hangouts and Google Chat, alone and in the archives they are downloaded as: written by
hand in the shape their programs write."""

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from dialog.conversation import Conversation
from dialog.formats import Unreadable, read, sniff
from tests.dialog.formats.test_further_exports import one, parsed, said, times

SNAPS = {
    "bo_b": [
        {"From": "bo_b", "Media Type": "TEXT", "Created": "2024-03-02 18:22:10 UTC", "Content": "you &amp; she saw"},
        {"From": "ann", "Media Type": "TEXT", "Created": "2024-03-02 18:21:40 UTC", "Content": "look up!!"},
        {"From": "ann", "Media Type": "MEDIA", "Created": "2024-03-02 18:20:40 UTC", "Content": None},
        {"From": "ann", "Media Type": "STATUSERASEDMESSAGE", "Created": "2024-03-02 18:20:00 UTC", "Content": ""},
    ],
    "5f3a": [
        {"From": "jo", "Media Type": "TEXT", "Created": "2024-03-03 10:00:00 UTC", "Content": "who is in",
         "Conversation Title": "Friday crew"},
        {"From": "ann", "Media Type": "NOTE", "Created": "2024-03-03 10:01:00 UTC", "Content": ""},
    ],
}  # fmt: skip


def packed(files: dict[str, Any]) -> io.BytesIO:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, held in files.items():
            archive.writestr(name, held if isinstance(held, str) else json.dumps(held))
    data.seek(0)
    return data


def conversations(data: io.BytesIO) -> dict[str, Conversation]:
    items = list(read(data, name="log"))
    assert all(isinstance(item, Conversation) for item in items), items
    return {item.id: item for item in items if isinstance(item, Conversation)}


def test_snapchat() -> None:
    assert sniff(json.dumps(SNAPS).encode()) == "snapchat"
    bo, crew = parsed(SNAPS)
    assert (bo.id, crew.id) == ("bo_b", "Friday crew")
    assert said(bo) == [("ann", "look up!!"), ("bo_b", "you & she saw")]
    assert times(bo) == ["2024-03-02T18:21:40+00:00", "2024-03-02T18:22:10+00:00"]
    assert bo.extra["left_out"] == {"deleted message": 1, "media message": 1}
    assert (said(crew), crew.extra["left_out"]) == ([("jo", "who is in")], {"voice message": 1})


def test_snapchat_before_2023_is_put_together_by_the_other_person() -> None:
    old = {
        "Received Saved Chat History": [
            {"From": "bo", "Media Type": "TEXT", "Created": "2021-03-02 18:22:10 UTC", "Text": "see that?"},
            {"From": "cem", "Media Type": "TEXT", "Created": "2021-03-02 19:22:10 UTC", "Text": "hey"},
        ],
        "Sent Saved Chat History": [
            {"To": "bo", "Media Type": "TEXT", "Created": "2021-03-02 18:22:40 UTC", "Text": "yes!!!"},
            {"To": "bo", "Media Type": "TEXT", "Created": 5, "Text": "lost"},
        ],
    }
    wrong, bo, cem = parsed(old)
    assert "Created: expected a string" in wrong.error
    assert said(bo) == [("bo", "see that?"), ("Me", "yes!!!")]
    assert said(cem) == [("cem", "hey")]


def test_snapchats_archive_is_read_whole() -> None:
    archive = packed({"index.html": "<html></html>", "json/account.json": {"a": 1}, "json/chat_history.json": SNAPS})
    assert list(conversations(archive)) == ["bo_b", "Friday crew"]


def event(number: int, sender: str, body: str, **content: Any) -> dict[str, Any]:
    content = {"msgtype": "m.text", "body": body, **content}
    time = 1714558860000 + 1000 * number
    return {
        "type": "m.room.message", "sender": f"@{sender}:x.org", "content": content, "origin_server_ts": time,
        "event_id": f"${number}",
    }  # fmt: skip


def test_element() -> None:
    quoted = {"m.in_reply_to": {"event_id": "$2"}}
    changed = {"rel_type": "m.replace", "event_id": "$2"}
    answers = {"question": {"org.matrix.msc1767.text": "Pizza?"}, "answers": []}
    poll = {"type": "org.matrix.msc3381.poll.start", "content": {"org.matrix.msc3381.poll.start": answers}}
    room = {"room_name": "Study group", "messages": [
        {"type": "m.room.member", "sender": "@ann:x.org", "state_key": "@ann:x.org", "content": {"displayname": "Ann"}},
        event(1, "ann", "how was the exam?"),
        event(2, "bo", "awfull"),
        event(3, "ann", "> <@bo:x.org> awfull\n\noh no", **{"m.relates_to": quoted}),
        event(4, "bo", "* awful", **{"m.relates_to": changed, "m.new_content": {"msgtype": "m.text", "body": "awful"}}),
        event(5, "bo", "IMG_1.jpg", msgtype="m.image"),
        event(6, "bo", "my desk", msgtype="m.image", filename="IMG_2.jpg"),
        event(7, "bo", "shrugs", msgtype="m.emote"),
        {**event(8, "bo", ""), "content": {}},
        {"type": "m.reaction", "sender": "@ann:x.org", "content": {}},
        {"type": "m.room.encrypted", "sender": "@ann:x.org", "content": {"ciphertext": "x"}},
        {**event(9, "bo", ""), **poll},
        "torn",
    ]}  # fmt: skip
    assert sniff(json.dumps(room).encode()) == "element"
    wrong, conversation = parsed(room)
    assert isinstance(wrong, Unreadable)
    assert conversation.id == "Study group"
    bo = "@bo:x.org"
    assert said(conversation) == [
        ("Ann", "how was the exam?"), (bo, "awful"), ("Ann", "oh no"), (bo, "my desk"), (bo, "shrugs"), (bo, "Pizza?"),
    ]  # fmt: skip
    assert times(conversation)[0] == "2024-05-01T10:21:01+00:00"
    extras = [u.extra for u in conversation.utterances]
    assert extras == [{}, {"edited": True}, {}, {"media": "picture"}, {"action": True}, {}]
    assert conversation.extra["left_out"] == {
        "deleted message": 1, "edit": 1, "message that was not decrypted": 1, "picture": 1, "reaction": 1,
        "system line": 1,
    }  # fmt: skip


def test_element_as_text() -> None:
    conversation = one(
        "5/14/2024, 10:20:11 AM - Ann created this room.\n5/14/2024, 10:21:02 AM - Ann: how was it?\n"
        '5/14/2024, 10:21:40 AM - Bo: <@ann:x.org "how was it?"> awful\nreally\n'
        "5/14/2024, 10:22:30 AM - Bo sent an image.\n5/14/2024, 10:23:30 AM - * Bo shrugs\n"
    )
    assert said(conversation) == [("Ann", "how was it?"), ("Bo", "awful\nreally"), ("Bo", "shrugs")]
    assert conversation.utterances[2].extra == {"action": True}


def direct(*messages: dict[str, Any], id: str = "1-2") -> list[dict[str, Any]]:
    return [{"dmConversation": {"conversationId": id, "messages": list(messages)}}]


def created(sender: str, text: str, at: str, **more: Any) -> dict[str, Any]:
    return {"messageCreate": {"senderId": sender, "text": text, "createdAt": at, "mediaUrls": [], **more}}


MESSAGES = direct(
    created("1", "see you &lt;3", "2024-05-01T10:21:11.123Z"),
    created("2", "party at 8?", "2024-05-01T10:20:11.123Z"),
    created("2", "", "2024-05-01T10:19:11.123Z", mediaUrls=["x.jpg"]),
)
GROUP = direct({"joinConversation": {"initiatingUserId": "1"}}, created("1", "welcome", "2024-05-02T10:00:00Z"), id="9")
TWEETS = [
    {"tweet": {"full_text": "so tired of this weather", "created_at": "Wed May 01 10:20:11 +0000 2024"}},
    {"tweet": {"full_text": "RT @x: hello", "created_at": "Wed May 01 10:20:11 +0000 2024"}},
]


def script(name: str, value: Any) -> str:
    return f"window.YTD.{name}.part0 = {json.dumps(value, indent=2)}"


def test_direct_messages_of_x() -> None:
    log = script("direct_messages", MESSAGES)
    assert sniff(log.encode(), "direct-messages.js") == "twitter"
    conversation = one(log)
    assert conversation.id == "1-2"
    assert said(conversation) == [("user 2", "party at 8?"), ("user 1", "see you <3")]
    assert conversation.extra["left_out"] == {"media message": 1}


def test_the_archive_of_x_knows_its_owner() -> None:
    account = [{"account": {"accountId": "1", "username": "ann", "accountDisplayName": "Ann B"}}]
    found = conversations(packed({
        "Your archive.html": "<html></html>",
        "assets/js/main.js": "var x = 1;",
        "data/account.js": script("account", account),
        "data/direct-messages.js": script("direct_messages", MESSAGES),
        "data/direct-messages-group.js": script("direct_messages_group", GROUP),
        "data/tweets.js": script("tweets", TWEETS),
    }))  # fmt: skip
    assert list(found) == ["9", "1-2", "log-posts"]
    assert said(found["1-2"])[1] == ("Ann B", "see you <3")
    assert (said(found["9"]), found["9"].extra["left_out"]) == ([("Ann B", "welcome")], {"system line": 1})
    posts = found["log-posts"]
    assert (said(posts), times(posts)) == ([("Ann B", TWEETS[0]["tweet"]["full_text"])], ["2024-05-01T10:20:11+00:00"])
    assert posts.extra["left_out"] == {"repost": 1}


def test_other_scripts_of_x_are_refused_by_what_is_wanted() -> None:
    (item,) = parsed(script("ad_engagements", [{"ad": 1}]))
    assert "direct-messages.js" in item.error
    (torn,) = parsed("window.YTD.tweets.part0 = [{")
    assert "breaks off" in torn.error


def test_a_thread_of_reddit() -> None:
    def thing(kind: str, **data: Any) -> dict[str, Any]:
        return {"kind": kind, "data": data}

    def listing(*children: Any) -> dict[str, Any]:
        return thing("Listing", children=list(children))

    answer = thing("t1", link_id="t3_a", author="ann", body="Easy to say &gt;:(", created_utc=30, replies="")
    thread = [
        listing(
            thing("t3", name="t3_a", author="ann", title="How do I say no?", selftext="To my boss.", created_utc=10)
        ),
        listing(
            thing("t1", link_id="t3_a", author="bo", body="Just say no!", created_utc=20, replies=listing(answer)),
            thing("t1", link_id="t3_a", author="[deleted]", body="[removed]", created_utc=25),
            thing("more", link_id="t3_a", count=3, children=["x"]),
        ),
    ]
    assert sniff(json.dumps(thread).encode()) == "reddit"
    conversation = one(thread)
    assert conversation.id == "How do I say no?"
    assert said(conversation) == [
        ("ann", "How do I say no?\nTo my boss."), ("bo", "Just say no!"), ("ann", "Easy to say >:("),
    ]  # fmt: skip
    assert conversation.extra["left_out"] == {"comment that was not loaded": 3, "deleted message": 1}
    assert "3 comments that were not loaded" in conversation.warnings[0]


def test_hangouts() -> None:
    people = [{"id": {"gaia_id": n}, "fallback_name": name} for n, name in (("1", "Ann"), ("2", "Bo"))]

    def message(sender: str, at: int, **what: Any) -> dict[str, Any]:
        return {"sender_id": {"gaia_id": sender}, "timestamp": str(1_400_000_000_000_000 + at * 1_000_000), **what}

    def words(*segments: dict[str, str]) -> dict[str, Any]:
        return {"chat_message": {"message_content": {"segment": list(segments)}}}

    lines = ({"type": "TEXT", "text": "hi"}, {"type": "LINE_BREAK"}, {"type": "LINK", "text": "http://x.y"})
    chat = {"conversation": {"conversation": {"participant_data": people}}, "events": [
        message("1", 0, **words(*lines)), message("3", 60, **words({"type": "TEXT", "text": "yo"})),
        message("2", 70, chat_message={"message_content": {"attachment": [{}]}}), message("2", 80, hangout_event={}),
        message("2", 90, membership_change={}),
    ]}  # fmt: skip
    assert sniff(json.dumps({"conversations": [chat]}).encode()) == "hangouts"
    conversation = one({"conversations": [chat]})
    assert conversation.id == "Ann, Bo"
    assert said(conversation) == [("Ann", "hi\nhttp://x.y"), ("3", "yo")]
    assert times(conversation)[0] == "2014-05-13T16:53:20+00:00"
    assert conversation.extra["left_out"] == {"call": 1, "media message": 1, "system line": 1}


def google(*words: str, date: str = "Wednesday, May 1, 2024 at 10:20:11\u202fAM UTC") -> dict[str, Any]:
    creator = {"name": "Ann", "email": "a@x.org", "user_type": "Human"}
    return {"messages": [{"creator": creator, "created_date": date, **({"text": w} if w else {})} for w in words]}


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("Wednesday, May 1, 2024 at 10:20:11 PM UTC", "2024-05-01T22:20:11+00:00"),
        ("Mittwoch, 1. Mai 2024 um 10:20:11 UTC", "2024-05-01T10:20:11+00:00"),
        ("sometime", "sometime"),
    ],
)
def test_google_chat(written: str, time: str) -> None:
    chat = google("Hi", "", date=written)
    assert sniff(json.dumps(chat).encode()) == "googlechat"
    conversation = one(chat)
    assert (said(conversation), times(conversation)) == ([("Ann", "Hi")], [time])


def test_googles_takeout_has_every_chat_by_its_name() -> None:
    groups = "Takeout/Google Chat/Groups"
    found = conversations(packed({
        "Takeout/archive_browser.html": "<html></html>",
        "Takeout/Google Chat/Users/User 1/user_info.json": {"user": {}},
        f"{groups}/DM a/group_info.json": {"members": [{"name": "Ann"}, {"name": "Bo"}]},
        f"{groups}/DM a/messages.json": google("one"),
        f"{groups}/Space b/group_info.json": {"name": "Team"},
        f"{groups}/Space b/messages.json": google("two"),
        f"{groups}/Space c/messages.json": google("three"),
    }))  # fmt: skip
    assert [(c.id, said(c)[0][1]) for c in found.values()] == [("Ann, Bo", "one"), ("Team", "two"), ("log-3", "three")]


def test_skypes_export_is_a_tar(tmp_path: Path) -> None:
    value = {"conversations": [{"displayName": "Bo", "MessageList": [
        {"messagetype": "RichText", "content": "hi", "from": "8:bo"},
    ]}]}  # fmt: skip
    path = tmp_path / "8_ann_export.tar"
    with tarfile.open(path, "w") as archive:
        for name, held in (("messages.json", value), ("endpoints.json", {}), ("media/a.mp4", {})):
            data = json.dumps(held).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    (conversation,) = read(path)
    assert isinstance(conversation, Conversation)
    assert said(conversation) == [("bo", "hi")]
    cut = io.BytesIO(path.read_bytes()[:600])
    (item,) = read(cut)
    assert isinstance(item, Unreadable)
