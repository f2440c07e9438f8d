"""Messenger, assistants, Teams, Whisper, LINE, KakaoTalk, Zoom, iMessage, IRC and mail: written by hand in the shape
their programs write, each with what somebody said and what nobody did."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from dialog.conversation import Conversation
from dialog.formats import Unreadable, read, sniff, write


def parsed(given: Any, format: str = "auto") -> list[Any]:
    data = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return list(read(io.BytesIO(data.encode()), format=format, name="log"))


def one(given: Any, format: str = "auto") -> Conversation:
    (conversation,) = parsed(given, format)
    assert isinstance(conversation, Conversation)
    return conversation


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [(u.speaker, u.text) for u in conversation.utterances]


def times(conversation: Conversation) -> list[str | None]:
    return [u.time for u in conversation.utterances]


def garbled(text: str) -> str:
    return text.encode().decode("latin-1")


MESSENGER: dict[str, Any] = {
    "participants": [{"name": garbled("Zoë Müller")}, {"name": "Bo"}],
    "title": garbled("Zoë Müller"),
    "thread_path": "inbox/zoe_1",
    "messages": [
        {"sender_name": "Bo", "timestamp_ms": 1609450900000, "content": "Bo sent an attachment.", "photos": [{}]},
        {"sender_name": "Bo", "timestamp_ms": 1609450890000, "content": garbled("Reacted 😀 to your message ")},
        {"sender_name": "Bo", "timestamp_ms": 1609450880000, "call_duration": 5, "content": "Bo started a call."},
        {"sender_name": "Bo", "timestamp_ms": 1609450870000, "content": garbled("schön 😀")},
        {"sender_name": garbled("Zoë Müller"), "timestamp_ms": 1609450865000, "content": "We left the group at noon"},
        {"sender_name": "Bo", "timestamp_ms": 1609450860000, "is_unsent": True},
        {"sender_name": "Bo", "timestamp_ms": 1609450850000, "sticker": {"uri": "s.png"}},
        {"sender_name": "Bo", "timestamp_ms": 1609450840000, "photos": [{"uri": "p.jpg"}], "content": "look"},
    ],
}  # fmt: skip


def test_messenger_and_instagram() -> None:
    assert sniff(json.dumps(MESSENGER).encode()) == "messenger"
    conversation = one(MESSENGER)
    assert conversation.id == "Zoë Müller"
    assert said(conversation) == [("Bo", "look"), ("Zoë Müller", "We left the group at noon"), ("Bo", "schön 😀")]
    assert times(conversation)[1] == "2020-12-31T21:41:05+00:00"
    assert conversation.extra["left_out"] == {
        "call": 1, "deleted message": 1, "picture": 1, "sticker": 1, "system line": 1,
    }  # fmt: skip
    assert "order of their times" in conversation.warnings[0]


def test_messengers_encrypted_chats() -> None:
    messages = [
        {"isUnsent": False, "senderName": "Bo", "text": "Yo", "timestamp": 1609450866000, "type": "text"},
        {"isUnsent": False, "senderName": "Ann", "text": "Hi", "timestamp": 1609450865000, "type": "text"},
        {"isUnsent": False, "senderName": "Ann", "text": "", "media": [{"uri": "a"}], "timestamp": 1609450864000},
    ]
    conversation = one({"participants": ["Ann", "Bo"], "threadName": "Bo_7", "messages": messages})
    assert (conversation.id, said(conversation)) == ("Bo_7", [("Ann", "Hi"), ("Bo", "Yo")])
    assert conversation.extra["left_out"] == {"media message": 1}


@pytest.mark.parametrize("packed", [True, False])
def test_a_whole_export_of_facebooks(packed: bool, tmp_path: Path) -> None:
    root = "your_facebook_activity/messages"
    older = {**MESSENGER, "messages": [{"sender_name": "Bo", "timestamp_ms": 1, "content": "first"}]}
    files = {
        f"{root}/inbox/zoe_1/message_1.json": MESSENGER,
        f"{root}/inbox/zoe_1/message_2.json": older,
        f"{root}/archived_threads/cem_2/message_1.json": {**MESSENGER, "title": "Cem"},
        f"{root}/autofill_information.json": {},
    }
    if packed:
        with zipfile.ZipFile(tmp_path / "facebook.zip", "w") as archive:
            for name, value in files.items():
                archive.writestr(name, json.dumps(value))
    else:
        for name, value in files.items():
            path = tmp_path / "facebook" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value))
    cem, zoe = sorted(read(tmp_path / ("facebook.zip" if packed else "facebook")), key=lambda c: c.id)
    assert isinstance(zoe, Conversation)
    assert (cem.id, zoe.id) == ("Cem", "Zoë Müller")
    assert [text for _, text in said(zoe)] == ["first", "look", "We left the group at noon", "schön 😀"]


def node(id: str, parent: str | None, role: str, *parts: Any, kind: str = "text") -> dict[str, Any]:
    message = {"author": {"role": role}, "create_time": 1609450865.5, "content": {"content_type": kind, "parts": parts}}
    return {"id": id, "parent": parent, "message": message}


def test_chatgpt() -> None:
    mapping = {
        "r": {"id": "r", "parent": None, "message": None},
        "s": node("s", "r", "system", ""),
        "u": node("u", "s", "user", "Hi"),
        "x": node("x", "u", "assistant", "an answer that was taken back"),
        "a": node("a", "u", "assistant", "Hello!"),
        "t": node("t", "a", "tool", "42"),
        "h": node("h", "t", "assistant", "", kind="thoughts"),
        "i": node("i", "h", "user", {"content_type": "image_asset_pointer"}, "what is this?", kind="multimodal_text"),
        "b": node("b", "i", "assistant", "A cat."),
    }
    chat = {"title": "Cats", "mapping": mapping, "current_node": "b", "create_time": 1.0}
    conversation = one([chat])
    assert sniff(json.dumps([chat]).encode()) == "chatgpt"
    assert conversation.id == "Cats"
    assert said(conversation) == [
        ("user", "Hi"), ("assistant", "Hello!"), ("user", "what is this?"), ("assistant", "A cat."),
    ]  # fmt: skip
    assert times(conversation)[0] == "2020-12-31T21:41:05+00:00"
    assert conversation.extra["left_out"] == {
        "empty message": 1, "message of another branch": 1, "thought": 1, "tool message": 1,
    }  # fmt: skip


def test_an_assistants_whole_export_is_read_out_of_its_zip(tmp_path: Path) -> None:
    chat = {"title": "Cats", "mapping": {"u": node("u", None, "user", "Hi")}, "current_node": "u"}
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("conversations.json", json.dumps([chat, {**chat, "title": "Cats"}]))
        archive.writestr("user.json", "{}")
        archive.writestr("message_feedback.json", "[]")
    assert [c.id for c in read(tmp_path / "export.zip")] == ["Cats", "Cats (2)"]


def test_claude() -> None:
    at = {"created_at": "2024-05-01T10:20:00Z"}
    messages = [
        {**at, "sender": "human", "text": "Hi", "content": [{"type": "text", "text": "Hi"}]},
        {**at, "sender": "assistant", "text": "", "content": [
            {"type": "thinking", "thinking": "hm", "text": "hm"}, {"type": "tool_use", "name": "x"},
            {"type": "text", "text": "Hello!"},
        ]},
        {**at, "sender": "human", "text": "older form", "content": []},
        {**at, "sender": "human", "text": "", "content": [], "attachments": [{"file_name": "a.txt"}]},
    ]  # fmt: skip
    chat = {"uuid": "1", "name": "Greetings", "chat_messages": messages}
    assert sniff(json.dumps([chat]).encode()) == "claude"
    conversation = one([chat])
    assert (conversation.id, said(conversation)) == (
        "Greetings", [("human", "Hi"), ("assistant", "Hello!"), ("human", "older form")],
    )  # fmt: skip
    assert conversation.extra["left_out"] == {"document": 1}


ROLES = [
    {"role": "system", "content": "Be nice."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": None, "tool_calls": [{}]},
    {"role": "tool", "content": "42"},
    {"role": "assistant", "content": [{"type": "text", "text": "Hello!"}, {"type": "image_url", "image_url": {}}]},
]
SHARED = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]


@pytest.mark.parametrize("given", [ROLES, {"messages": ROLES}, [{"messages": ROLES}]])
def test_messages_with_a_role(given: Any) -> None:
    assert sniff(json.dumps(given).encode()) == "roles"
    conversation = one(given)
    assert said(conversation) == [("user", "Hi"), ("assistant", "Hello!")]
    assert conversation.extra["left_out"] == {"system prompt": 1, "tool message": 2}


def test_messages_with_a_role_one_conversation_a_line() -> None:
    lines = [json.dumps({"messages": ROLES}), json.dumps({"id": "s", "conversations": SHARED}), "{broken"]
    first, second, wrong = parsed("\n".join(lines))
    assert (first.id, said(first)) == ("log-1", [("user", "Hi"), ("assistant", "Hello!")])
    assert (second.id, said(second)) == ("s", [("human", "Hi"), ("gpt", "Hello!")])
    assert isinstance(wrong, Unreadable)
    assert wrong.line == 3


def test_skype_and_teams_personal_export() -> None:
    messages = [
        {"displayName": "Ann", "originalarrivaltime": "2024-05-01T10:21:00Z", "messagetype": "RichText",
         "content": "hi &amp; <b>hello</b>"},
        {"displayName": None, "from": "8:bo", "originalarrivaltime": "2024-05-01T10:20:00Z", "messagetype": "Text",
         "content": "first"},
        {"messagetype": "Event/Call", "content": "<partlist/>", "from": "8:bo"},
        {"messagetype": "ThreadActivity/AddMember", "content": "<x/>", "from": "8:bo"},
        {"messagetype": "RichText/UriObject", "content": "<URIObject/>", "from": "8:bo"},
    ]  # fmt: skip
    value = {"userId": "8:ann", "conversations": [{"id": "8:bo", "displayName": "Bo", "MessageList": messages}]}
    assert sniff(json.dumps(value).encode()) == "teams"
    conversation = one(value)
    assert (conversation.id, said(conversation)) == ("Bo", [("bo", "first"), ("Ann", "hi & hello")])
    assert conversation.extra["left_out"] == {"call": 1, "media message": 1, "system line": 1}


def test_skype_shows_pictures_for_signs_and_quotes_what_is_answered() -> None:
    quote = (
        '<quote author="bo" timestamp="1"><legacyquote>[1] Bo: </legacyquote>hi<legacyquote>\n</legacyquote></quote>'
    )
    contents = ('hi <ss type="smile">:)</ss> &amp; you?', f"{quote}no way")
    messages = [{"messagetype": "RichText", "content": c, "from": "8:ann"} for c in contents]
    value = {"conversations": [{"id": "8:bo", "MessageList": messages}]}
    assert [u.text for u in one(value).utterances] == ["hi :) & you?", "no way"]


def test_teams_own_interface() -> None:
    body = {"contentType": "html", "content": "<div><p>Hi <at id='0'>Bo</at></p><p>there</p></div>"}
    sender = {"user": {"displayName": "Ann"}}
    value = {"value": [
        {"messageType": "message", "createdDateTime": "2024-05-01T10:20:00Z", "from": sender, "body": body},
        {"messageType": "systemEventMessage", "createdDateTime": "2024-05-01T10:21:00Z", "from": None, "body": {}},
    ]}  # fmt: skip
    conversation = one(value)
    assert said(conversation) == [("Ann", "Hi Bo\nthere")]


def test_whisper() -> None:
    segments = [
        {"id": 0, "start": 0.0, "end": 62.5, "text": " Hi there."},
        {"id": 1, "start": 62.5, "end": 70, "text": " "},
    ]
    conversation = one({"text": " Hi there.", "segments": segments, "language": "en"})
    assert [(u.speaker, u.text, u.time, u.extra) for u in conversation.utterances] == [
        ("unknown", "Hi there.", "00:00:00.000", {"end": "00:01:02.500"}),
    ]  # fmt: skip
    assert "names no speakers" in conversation.warnings[0]
    assert conversation.extra["left_out"] == {"empty message": 1}
    named = [
        {"start": 0, "end": 1, "text": "Hi", "speaker": "SPEAKER_00"},
        {"start": 1, "end": 2, "text": "Yo", "speaker": "B"},
    ]
    assert said(one({"segments": named})) == [("SPEAKER_00", "Hi"), ("B", "Yo")]
    cpp = {"transcription": [{"timestamps": {"from": "00:00:01,000", "to": "00:00:02,000"}, "text": " Hi"}]}
    assert times(one(cpp)) == ["00:00:01.000"]


LINE = """[LINE] Chat history with Bo
Saved on: 2024/05/13 10:30

2024/05/01(Wed)
10:20\tMira\thi
10:21\tBo\t[Sticker]
10:22\tMira\t"two
lines"
10:23\t\tCem joined the chat.
10:24\tBo\t☎ Call time 0:10
10:25\tMira unsent a message.

2024/05/13(Mon)
9:05 PM\tBo\tnote: later
"""


def test_line() -> None:
    assert sniff(LINE.encode()) == "line"
    conversation = one(LINE)
    assert said(conversation) == [("Mira", "hi"), ("Mira", "two\nlines"), ("Bo", "note: later")]
    assert times(conversation) == ["2024-05-01T10:20:00", "2024-05-01T10:22:00", "2024-05-13T21:05:00"]
    assert conversation.extra["left_out"] == {"call": 1, "sticker": 1, "system line": 2}


def test_line_in_japanese() -> None:
    text = "[LINE] ボとのトーク履歴\n保存日時：2024/05/01 10:30\n\n2024/05/01(水)\n"
    text += "午前10:20\tミラ\tこんにちは\n午後9:05\tボ\t[写真]\n"
    conversation = one(text)
    assert (said(conversation), times(conversation)) == ([("ミラ", "こんにちは")], ["2024-05-01T10:20:00"])
    assert conversation.extra["left_out"] == {"picture": 1}


KAKAO = {
    "computer": """보 님과 카카오톡 대화
저장한 날짜 : 2024-05-02 10:20:30

--------------- 2024년 5월 1일 수요일 ---------------
[미라] [오전 10:20] 안녕
[보] [오후 9:05] 사진
[보] [오후 9:06] 두
줄
쳄님이 나갔습니다.
""",
    "Android": """보 님과 카카오톡 대화
저장한 날짜 : 2024년 5월 2일 오전 10:20

2024년 5월 1일 수요일
2024년 5월 1일 오전 10:20, 미라 : 안녕
2024년 5월 1일 오후 9:05, 보 : 사진
2024년 5월 1일 오후 9:06, 보 : 두
줄
2024년 5월 1일 오후 9:07, 쳄님이 나갔습니다.
""",
    "iOS": """2024. 5. 1. 오전 10:20, 미라 : 안녕
2024. 5. 1. 오후 9:05, 보 : 사진
2024. 5. 1. 오후 9:06, 보 : 두
줄
2024. 5. 1. 오후 9:07: 쳄님이 나갔습니다.
""",
}


@pytest.mark.parametrize("device", KAKAO)
def test_kakaotalk(device: str) -> None:
    assert sniff(KAKAO[device].encode()) == "kakaotalk"
    conversation = one(KAKAO[device])
    if device == "computer":  # there a notice looks like a line of the message above
        assert said(conversation) == [("미라", "안녕"), ("보", "두\n줄\n쳄님이 나갔습니다.")]
    else:
        assert said(conversation) == [("미라", "안녕"), ("보", "두\n줄")]
    assert times(conversation) == ["2024-05-01T10:20:00", "2024-05-01T21:06:00"]
    assert conversation.extra["left_out"]["picture"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "10:20:30 From Mira to Everyone: hi: you\n10:21:00 From Bo to Mira(Direct Message): yo\n",
        "10:20:30\t From  Mira : hi: you\n10:21:00\t From  Bo : yo\n",
        "10:20:30 From Mira to Everyone:\n\thi: you\n10:21:00 From Bo to Everyone:\n\tyo\n",
        "10:20:30 From Mira to Everyone:\n\thi: you\n10:21:00 From Bo to Everyone:\n"
        '\tReplying to "hi: you"\n\t\n\tyo\n',
    ],
)
def test_zoom(text: str) -> None:
    assert sniff(text.encode()) == "zoom"
    more = '10:22:00 From Bo to Everyone:\n\tReacted to "hi: you" with 👍\n'
    conversation = one(text + more)
    assert said(conversation) == [("Mira", "hi: you"), ("Bo", "yo")]
    assert times(conversation) == ["10:20", "10:21"]
    assert conversation.extra["left_out"] == {"reaction": 1}


def test_answers_of_imessage_are_read_in_their_own_place() -> None:
    conversation = one(
        "May 17, 2022  5:29:42 PM\nMe\nhello\n\n    May 17, 2022  5:31:42 PM\n    Bo\n    yes\n    sure\n\n"
        "May 17, 2022  5:31:42 PM\nBo\nyes\nsure\nThis message responded to an earlier message.\n\n"
    )
    assert said(conversation) == [("Me", "hello"), ("Bo", "yes\nsure")]


def test_signal_export_as_text() -> None:
    conversation = one(
        "[2024-05-01 10:20:11] Me: hey\n[2024-05-01 10:21:51] Ana: ![image](./media/x.jpg)\n"
        "[2024-05-01 10:22:51] Me: \n\n> how's it going?\n\nfine thanks\n(- Ana: 👍, Bo: 🎉 -)\n"
        "[2024-05-01 10:23:51] Ana: > not a quote of the program's\n"
    )
    assert said(conversation) == [("Me", "hey"), ("Me", "fine thanks"), ("Ana", "> not a quote of the program's")]
    assert conversation.extra["left_out"] == {"media message": 1}


def test_imessage() -> None:
    text = """May 17, 2022  5:29:42 PM (Read by them after 3 seconds)
Me
hello
you

May 17, 2022  5:30:00 PM
+49 170 1234567
attachments/1/a.jpg

May 17, 2022  5:31:00 PM
Bo Smith
nice
Tapbacks:
Loved by Me

May 17, 2022  5:32:00 PM Bo Smith named the conversation x

"""
    assert sniff(text.encode()) == "imessage"
    conversation = one(text)
    assert said(conversation) == [("Me", "hello\nyou"), ("Bo Smith", "nice")]
    assert times(conversation) == ["2022-05-17T17:29:42", "2022-05-17T17:31:00"]
    assert conversation.extra["left_out"] == {"picture": 1, "reaction": 1, "system line": 1}


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("[10:20] <@mira> hi: you\n[10:21] <bo> yo\n[10:22] *** cem has joined #x\n[10:23] * bo waves\n", "10:20"),
        ("10:20 <mira> hi: you\n10:21 < bo> yo\n10:22 -!- cem [c@x] has joined #x\n10:23  * bo waves\n", "10:20"),
        ("2024-05-01T10:20:30 <mira> hi: you\n2024-05-01T10:21:00 <bo> yo\n2024-05-01T10:22:00 *** Joins: cem\n"
         "2024-05-01T10:23:00 * bo waves\n", "2024-05-01T10:20:30"),
        ("2024-05-01 10:20:30\tmira\thi: you\n2024-05-01 10:21:00\t@bo\tyo\n2024-05-01 10:22:00\t-->\tcem has joined\n"
         "2024-05-01 10:23:00\t *\tbo waves\n", "2024-05-01T10:20:30"),
        ("<mira> hi: you\n<bo> yo\n*** cem has joined\n* bo waves\n", None),
    ],
)  # fmt: skip
def test_irc(text: str, time: str | None) -> None:
    assert sniff(text.encode()) == "irc"
    conversation = one(text)
    assert said(conversation) == [("mira", "hi: you"), ("bo", "yo"), ("bo", "waves")]
    assert times(conversation)[0] == time
    assert conversation.utterances[2].extra == {"action": True}
    assert conversation.extra["left_out"] == {"system line": 1}


@pytest.mark.parametrize(
    ("log", "first", "last"),
    [
        ("--- Log opened Wed May 01 10:20:00 2024\n10:20 -!- a [a@x] has joined #c\n10:20 <@mira> hi all\n"
         "10:21 -!- b [b@x] has joined #c\n10:22 -!- b [b@x] has quit [x]\n--- Day changed Thu May 02 2024\n"
         "09:00 < bo> yo\n", "2024-05-01T10:20:00", "2024-05-02T09:00:00"),
        ("**** BEGIN LOGGING AT Wed May  1 10:20:00 2024\n\nMay 01 10:20:00 *\tNow talking on #c\n"
         "May 01 10:20:30 <mira>\thi all\nMay 02 09:00:30 <bo>\tyo\n**** ENDING LOGGING AT Thu May  2 10:20:00 2024\n",
         "2024-05-01T10:20:30", "2024-05-02T09:00:30"),
        ("Session Start: Wed May 01 10:20:00 2024\nSession Ident: #c\n[10:20] * Now talking in #c\n"
         "[10:20] <mira> hi all\n"
         "[10:21] <+bo> yo\nSession Close: Wed May 01 11:20:00 2024\n", "2024-05-01T10:20:00", "2024-05-01T10:21:00"),
        ("[10:20:00] *** Joins: a\n[10:20:30] <mira> hi all\n[10:20:31] *** Quits: a\n[10:20:32] -ChanServ- hello\n"
         "[10:21:30] <bo> yo\n", "10:20:30", "10:21:30"),
    ],
)  # fmt: skip
def test_quiet_channels_of_irc_have_more_notices_than_words(log: str, first: str, last: str) -> None:
    assert sniff(log.encode(), "x.log") == "irc"
    conversation = one(log)
    assert said(conversation) == [("mira", "hi all"), ("bo", "yo")]
    assert times(conversation) == [first, last]


MAIL = """From ann@x.org Wed May  1 10:20:00 2024
From: Ann Smith <ann@x.org>
To: bo@x.org
Subject: Lunch?
Date: Wed, 1 May 2024 10:20:00 +0200
Message-ID: <1@x>

Shall we have lunch?
>From noon on I am free.

--\x20
Ann Smith, X Ltd

From bo@x.org Wed May  1 11:20:00 2024
From: =?utf-8?q?B=C3=B6?= <bo@x.org>
Subject: Re: Lunch?
Date: Wed, 1 May 2024 11:20:00 +0200
Message-ID: <2@x>
In-Reply-To: <1@x>
Content-Type: text/html; charset=utf-8

<p>Yes &amp; soon!</p>

From cem@x.org Wed May  1 12:20:00 2024
From: cem@x.org
Subject: Re: Lunch?
Date: Wed, 1 May 2024 12:20:00 +0200
References: <1@x> <2@x>

Me too.

On Wed, 1 May 2024 at 11:20, Bo <bo@x.org> wrote:
> Yes & soon!

From dee@x.org Wed May  1 13:20:00 2024
From: Dee <dee@x.org>
Subject: Other
Date: Wed, 1 May 2024 13:20:00 +0200

Hi
"""


def test_mail() -> None:
    assert sniff(MAIL.encode()) == "mail"
    lunch, other = parsed(MAIL)
    assert (lunch.id, other.id) == ("Lunch?", "Other")
    assert said(lunch) == [
        ("Ann Smith", "Shall we have lunch?\nFrom noon on I am free."), ("Bö", "Yes & soon!"), ("cem@x.org", "Me too."),
    ]  # fmt: skip
    assert times(lunch)[0] == "2024-05-01T10:20:00+02:00"
    single = MAIL.split("\n", 1)[1].split("\nFrom bo@")[0]
    assert sniff(single.encode()) == "mail"
    assert said(one(single)) == said(lunch)[:1]


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        ("<!doctype html><html><body>hello", "x.html", "a web page; save the chat as text"),
        ("SQLite format 3\0", "viber.db", "an SQLite database, as phones and Viber keep their chats in"),
        ("\1\2\3", "msgstore.db.crypt15", "an encrypted backup of WhatsApp's"),
        ("\1\2\3", "signal-2024-05-01.backup", "an encrypted backup of Signal's"),
    ],
)
def test_what_is_not_read_is_named(data: str, name: str, message: str) -> None:
    stream = io.BytesIO(data.encode())
    stream.name = name
    (wrong,) = read(stream)
    assert isinstance(wrong, Unreadable)
    assert message in wrong.reason


def lines(*values: Any) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def test_signals_own_export_names_people_and_groups_and_counts_what_nobody_said() -> None:
    def item(chat: str, who: str, **what: Any) -> dict[str, Any]:
        return {"chatItem": {"chatId": chat, "authorId": who, "dateSent": "1714557600000", **what}}

    def said(text: str) -> dict[str, Any]:
        return {"incoming": {"dateReceived": "1"}, "standardMessage": {"text": {"body": text}}}

    log = lines(
        {"version": "1", "backupTimeMs": "1714557600000"},
        {"account": {"givenName": "Ann"}},
        {"recipient": {"id": "1", "self": {}}},
        {"recipient": {"id": "2", "contact": {"e164": "491234", "profileGivenName": "Bo", "profileFamilyName": "Ek"}}},
        {"recipient": {"id": "3", "contact": {"e164": "491235"}}},
        {"recipient": {"id": "4", "group": {"snapshot": {"title": {"title": "Choir"}}}}},
        {"chat": {"id": "7", "recipientId": "2"}},
        {"chat": {"id": "8", "recipientId": "4"}},
        item("7", "2", **said("hi")),
        item("7", "1", **said("Hello: Bo")),
        item("7", "2", updateMessage={"individualCall": {"type": "AUDIO_CALL"}}),
        item("7", "2", updateMessage={"simpleUpdate": {"type": "JOINED_SIGNAL"}}),
        item("7", "2", remoteDeletedMessage={}),
        item("7", "2", standardMessage={"attachments": [{"pointer": {}}]}),
        item("8", "3", **said("who sings?")),
        item("8", "9", poll={"question": "tea?"}),
    )
    assert sniff(log.encode()) == "signal"
    bo, choir = parsed(log)
    assert (bo.id, choir.id) == ("Bo Ek", "Choir")
    first, second = bo.utterances
    assert (first.speaker, first.text, first.time) == ("Bo Ek", "hi", "2024-05-01T10:00:00+00:00")
    assert (second.speaker, second.text) == ("Me", "Hello: Bo")
    assert bo.extra["left_out"] == {"call": 1, "system line": 1, "deleted message": 1, "media message": 1}
    assert [(u.speaker, u.text) for u in choir.utterances] == [("+491235", "who sings?"), ("person 9", "tea?")]


def test_what_signal_cli_receives_is_read_by_chat() -> None:
    bo = {"source": "+491", "sourceNumber": "+491", "sourceUuid": "u", "sourceName": "Bo", "timestamp": 1714557600000}
    group = {"groupInfo": {"groupId": "abcdefghijk=", "groupName": "Choir", "type": "DELIVER"}}

    def envelope(**what: Any) -> dict[str, Any]:
        return {"envelope": {**bo, **what}, "account": "+490"}

    sent = {"sentMessage": {"destinationNumber": "+491", "timestamp": 1714557660000, "message": "Hello"}}
    log = lines(
        envelope(dataMessage={"timestamp": 1714557600000, "message": "hi"}),
        {"jsonrpc": "2.0", "method": "receive", "params": envelope(syncMessage=sent)},
        envelope(typingMessage={"action": "STARTED"}),
        envelope(receiptMessage={"isRead": True}),
        envelope(dataMessage={"message": None, "reaction": {"emoji": "x"}}),
        envelope(editMessage={"targetSentTimestamp": 1, "dataMessage": {"message": "hi!", "timestamp": 1714557700000}}),
        envelope(dataMessage={"timestamp": 1714557600000, "message": "la la", **group}),
    )
    assert sniff(log.encode()) == "signal"
    torn, alone, choir = parsed(log + "{torn\n")
    assert "not JSON" in torn.error
    assert (alone.id, choir.id) == ("Bo", "Choir")
    assert [(u.speaker, u.text) for u in alone.utterances] == [("Bo", "hi"), ("Me", "Hello"), ("Bo", "hi!")]
    assert alone.utterances[2].extra == {"edited": True}
    assert alone.extra["left_out"] == {"reaction": 1, "receipt": 1, "typing sign": 1}
    assert [u.text for u in choir.utterances] == ["la la"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("2024-05-01T10:00:00+02:00 Mira: hi", "2024-05-01T10:00:00+02:00"),
        ("[2024-05-01 10:00:00 -0530] Mira: hi", "2024-05-01T10:00:00-05:30"),
        ("2024-05-01T08:20:00Z Mira: hi", "2024-05-01T08:20:00+00:00"),
        ("2024-05-01 08:20 UTC - Mira: hi", "2024-05-01T08:20:00+00:00"),
        ("2024-05-01 08:20 - Mira: hi", "2024-05-01T08:20:00"),
    ],
)
@pytest.mark.parametrize("to", ["jsonl", "csv", "parquet"])
def test_a_time_zone_survives_reading_and_writing(written: str, kept: str, to: str) -> None:
    def times(items: Any) -> list[str | None]:
        return [u.time for c in items for u in c.utterances]

    items = list(read(io.BytesIO(f"{written}\n{written}\n".encode())))
    assert times(items) == [kept, kept]
    out = io.BytesIO()
    write(items, out, to)
    assert times(read(io.BytesIO(out.getvalue()))) == [kept, kept]
