"""Exports as web pages, which is how Telegram, Discord, Element, Snapchat and Facebook export unless they are asked for
something else."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import html

from dialog.conversation import Conversation
from dialog.formats import Unreadable, read, sniff
from dialog.formats.page import BROKEN_OFF, shown
from tests.dialog.formats.test_chat_exports import said

TELEGRAM = """<!DOCTYPE html>
<html><head><meta charset="utf-8"/><title>Exported Data</title></head>
<body onload="CheckLocation();"><div class="page_wrap">
<div class="page_header"><div class="content"><div class="text bold">
Ann &amp; friends
</div></div></div>
<div class="page_body chat_page"><div class="history">
<div class="message service" id="message-1"><div class="body details">
12 March 2023
</div></div>
<div class="message service" id="message1"><div class="body details">Ann created group</div></div>
<div class="message default clearfix" id="message2">
 <div class="pull_left userpic_wrap"><div class="userpic userpic3"><div class="initials">A</div></div></div>
 <div class="body">
  <div class="pull_right date details" title="12.03.2023 18:22:10 UTC+01:00">18:22</div>
  <div class="from_name">
Ann B
  </div>
  <div class="text">
Hi <strong>you</strong> &lt;3<br><br>how are you? <a href="https://example.org">example.org</a>
  </div>
  <span class="reactions"><span class="reaction"><span class="emoji">👍</span></span></span>
 </div>
</div>
<div class="message default clearfix joined" id="message3"><div class="body">
  <div class="pull_right date details" title="12.03.2023 18:22:40 UTC+01:00">18:22</div>
  <div class="text">anyone?</div>
</div></div>
<div class="message default clearfix" id="message4"><div class="body">
  <div class="pull_right date details" title="12.03.2023 18:23:00">18:23</div>
  <div class="from_name">Bo <span class="details">via @gif</span></div>
  <div class="reply_to details">In reply to <a href="#go_to_message2">this message</a></div>
  <div class="media_wrap clearfix"><a class="photo_wrap clearfix pull_left" href="p.jpg"><img class="photo"/></a></div>
  <div class="text">look!</div>
</div></div>
<div class="message default clearfix joined" id="message5"><div class="body">
  <div class="media_wrap clearfix"><div class="media clearfix pull_left media_photo"><div class="body">
    <div class="title bold">Sticker</div><div class="status details">🙂, 512x512</div></div></div></div>
</div></div>
<div class="message default clearfix joined" id="message6"><div class="body">
  <div class="forwarded body"><div class="from_name">Cem <span class="date details" title="x">1.1.</span></div>
  <div class="text">good news</div></div>
</div></div>
<div class="message default clearfix" id="message7"><div class="body"><div class="from_name">Dia</div>
  <div class="media_wrap clearfix"><div class="media_poll"><div class="question bold">Pizza?</div>
  <div class="details">Anonymous poll</div><div class="answer">- yes</div><div class="answer">- no</div></div></div>
</div></div>
<div class="message default clearfix" id="message8"><div class="body"><div class="from_name">Dia</div>
  <div class="media_wrap clearfix"><div class="media clearfix pull_left media_call"><div class="body">
  <div class="title bold">Cem</div><div class="status details">Outgoing (30 seconds)</div></div></div></div>
</div></div>
</div></div></div></body></html>
"""
SECOND = """<!DOCTYPE html><html><body><div class="page_wrap"><div class="history">
<div class="message default clearfix joined" id="message9"><div class="body"><div class="text">and so on</div></div>
</div></div></div></body></html>"""
SNOWFLAKE = 1084512345678901234  # 2023-03-12, by Discord's own formula
DISCORD = f"""<!DOCTYPE html><html lang=en><head><title>Friends - general</title>
<style>.chatlog__message{{}}</style></head><body>
<div class=preamble><div class=preamble__entries-container><div class=preamble__entry>Friends</div>
<div class=preamble__entry>Text Channels / general</div></div></div><div class=chatlog>
<div class=chatlog__message-group><div id=chatlog__message-container-{SNOWFLAKE} class=chatlog__message-container
 data-message-id={SNOWFLAKE}><div class=chatlog__message><div class=chatlog__message-aside></div>
<div class=chatlog__message-primary><div class=chatlog__header><span class=chatlog__author title=ann#1>Ann</span>
<span class=chatlog__timestamp title="Sunday"><a href=#x>12/03/2023</a></span></div>
<div class="chatlog__content chatlog__markdown"><span class=chatlog__markdown-preserve>Hi all
second line <img class=chatlog__emoji alt=😀 title=grinning></span>
<span class=chatlog__edited-timestamp title=x>(edited)</span></div>
<div class=chatlog__reactions><div class=chatlog__reaction>👍<span class=chatlog__reaction-count>3</span></div></div>
</div></div></div>
<div id=chatlog__message-container-1084512345678901235 class=chatlog__message-container
 data-message-id=1084512345678901235><div class=chatlog__message><div class=chatlog__message-primary>
<div class=chatlog__attachment><a href=https://cdn/x/cat.png?ex=1><img class=chatlog__attachment-media
 title="Image: cat.png (12 KB)"></a></div></div></div></div>
<div class=chatlog__message-container data-message-id=1084512345678901236><div class=chatlog__message>
<div class=chatlog__message-primary><div class=chatlog__content>still me</div></div></div></div></div>
<div class=chatlog__message-group><div class=chatlog__message-container data-message-id=1084512345678901237>
<div class=chatlog__message><div class=chatlog__message-primary><div class=chatlog__header>
<span class=chatlog__system-notification-author>Cem</span>
<span class=chatlog__system-notification-content>joined the server.</span></div></div></div></div></div>
<div class=chatlog__message-group><div class=chatlog__message-container data-message-id=1084512345678901238>
<div class=chatlog__message><div class=chatlog__reply><div class=chatlog__reply-author>Ann</div>
<div class=chatlog__reply-content>Hi all</div></div><div class=chatlog__message-primary><div class=chatlog__header>
<span class=chatlog__author>Bot</span> <span class=chatlog__author-tag>BOT</span></div>
<div class=chatlog__embed><div class=chatlog__embed-title>News</div>
<div class=chatlog__embed-description>It rains.</div></div></div></div></div></div>
</div></body></html>"""
OLD_DISCORD = """<!DOCTYPE html><html><body><div class="preamble"></div><div class="chatlog">
<div class="chatlog__message-group"><div class="chatlog__messages">
<span class="chatlog__author-name" title="ann#1">Ann</span><span class="chatlog__timestamp">12-Mar-20 10:20 AM</span>
<div class="chatlog__message" data-message-id="687600000000000000"><div class="chatlog__content">
<div class="markdown"><span class="preserve-whitespace">Hi</span></div></div></div>
<div class="chatlog__message"><div class="chatlog__content">not a message of its own number</div></div>
</div></div></div></body></html>"""


def meta(*boxes: tuple[str, str, str], title: str = "Mei &amp; me", heading: str = "h2") -> str:
    return (
        f"<html><head><title>{title}</title></head><body><div><h1 class='_a70e'>{title}</h1>"
        "<div class='_a6-g'><div class='_a6-h'>Participants: Mei and Bo</div></div>"
        + "".join(
            f"<div class='pam _3-95 _2ph- _a6-g uiBoxWhite noborder'><{heading} class='_3-95 _2pim _a6-h _a6-i'>{name}"
            f"</{heading}><div class='_3-95 _a6-p'>{words}</div><div class='_3-94 _a6-o'>{date}</div></div>"
            for name, words, date in boxes
        )
        + "</div></body></html>"
    )


def words(text: str) -> str:
    return f"<div><div></div><div>{text}</div><div></div><div></div></div>"


MESSENGER = meta(
    ("Bo", words("third <a href='https://x.org'>https://x.org</a>"), "Sep 24, 2025 10:44 pm"),
    ("Mei", words("") + "<div><img src='a.jpg'/></div>", "Sep 24, 2025 10:44 pm"),
    ("Mei", words("second<ul class='_a6-q'><li>❤Bo</li></ul>"), "Sep 24, 2025 10:44 pm"),
    ("Mei", words("Mei sent an attachment."), "Sep 24, 2025 9:00 am"),
    ("Bo", words("first"), "Sep 23, 2025 8:15 pm"),
)
OLD_MESSENGER = (
    "<html><head><title>Mei</title></head><body><div class='pam _3-95 _2pi0 _2lej uiBoxWhite noborder'>"
    "<div class='_3-96 _2pio _2lek _2lel'>Mei</div><div class='_3-96 _2let'><div><div></div><div>Hi</div></div></div>"
    "<div class='_3-94 _2lem'>12.03.2019, 10:20</div></div></body></html>"
)
ELEMENT = """<!DOCTYPE html><html><head><title>Exported Data</title></head><body><main class="mx_RoomView">
<div class="mx_LegacyRoomHeader_nametext" title="x">Study group</div><ol class="mx_RoomView_MessageList">
<li><div class="mx_DateSeparator"><hr><h2 class="mx_DateSeparator_dateHeading">Wed, May 1, 2024</h2><hr></div></li>
<div class="mx_Export_EventWrapper"><li class="mx_EventTile"><div class="mx_TextualEvent">Bo joined</div></li></div>
<div class="mx_Export_EventWrapper"><li class="mx_EventTile">
<span class="mx_DisambiguatedProfile_displayName">Ann</span>
<span class="mx_MessageTimestamp" title="Wed, May 1, 2024, 10:21:02 AM">10:21</span>
<div class="mx_MTextBody"><span class="mx_EventTile_body">how was it?</span></div></li></div>
<div class="mx_Export_EventWrapper"><li class="mx_EventTile"><span class="mx_DisambiguatedProfile_displayName">Bo</span>
<span class="mx_MessageTimestamp">10:22</span>
<div class="mx_ReplyChain_wrapper"><span class="mx_DisambiguatedProfile_displayName">Ann</span>
<div class="mx_MTextBody"><span class="mx_EventTile_body">how was it?</span></div></div>
<div class="mx_MTextBody"><span class="mx_EventTile_body">awful<br>really</span></div></li></div>
<div class="mx_Export_EventWrapper"><li class="mx_EventTile mx_EventTile_continuation">
<span class="mx_MessageTimestamp">10:23</span>
<div class="mx_MEmoteBody"><span class="mx_EventTile_body">* Bo sighs</span>
</div></li></div>
<div class="mx_Export_EventWrapper"><li class="mx_EventTile"><div class="mx_MImageBody"><img src="x"></div></li></div>
</ol></main></body></html>"""
IMESSAGE = """<html><head><meta charset="UTF-8"><style>.sent{}</style></head><body>
<div class="message"><div class="sent iMessage"><p>
<span class="timestamp"><a href="sms://x">May 17, 2022  5:29:42 PM</a>
</span><span class="sender">Me</span></p><hr><div class="message_part"><span class="bubble">hello</span></div>
<div class="replies"><div class="reply"><div class="message"><div class="received"><p>
<span class="timestamp">May 17, 2022
5:31:42 PM</span><span class="sender">Bo</span></p>
<div class="message_part"><span class="bubble">answer</span></div></div>
</div></div></div></div></div>
<div class="message"><div class="received"><p>
<span class="timestamp">May 17, 2022  5:30:42 PM (Read by you)</span>
<span class="sender">Bo</span></p><hr><div class="message_part"><span class="bubble">hi<br>more</span>
<div class="tapbacks"><p>Tapbacks:</p><div class="tapback"><b>Loved</b> by Me</div></div></div></div></div>
<div class="message"><div class="received"><p><span class="timestamp">May 17, 2022  5:31:42 PM</span>
<span class="sender">Bo</span></p><div class="message_part"><span class="bubble">answer</span></div></div></div>
<div class="announcement"><p><span class="timestamp">May 17, 2022  5:32:42 PM</span> Bo named it <b>X</b></p></div>
</body></html>"""
SIGNAL = """<!doctype html><html><head><title>Ana</title></head><body><div class="page" id="pg0">
<div class="msg me"><span class="date">2024-05-01</span><span class="time">10:20:11</span><span class="sender">Me</span>
<span class="quote"></span><span class="body"><p>hey</p></span><span class="reaction"></span></div>
<div class="msg sender-1"><span class="date">2024-05-01</span><span class="time">10:20:51</span>
<span class="sender">Ana</span><span class="quote">hey</span><span class="body"><p>hi!</p></span></div>
<div class="msg me"><span class="date">2024-05-01</span><span class="time">10:21:11</span><span class="sender">Me</span>
<span class="body"><img src="media/x.jpg"></span></div></div></body></html>"""
SNAPCHAT = """<!DOCTYPE html><html><head><title>My Data</title></head><body><div class="rightpanel">
<h1>Chat History with bo_b</h1>
<div><h6>Saved</h6><h4>bo_b</h4><h6>TEXT</h6><p>did you &amp; she see</p><h6>2024-03-02 18:22:10 UTC</h6></div>
<div><h4>ann</h4><h6>TEXT</h6><p>look up!!</p><h6>2024-03-02 18:21:40 UTC</h6></div>
<div><h4>ann</h4><h6>MEDIA</h6><h6>2024-03-02 18:20:40 UTC</h6></div></div></body></html>"""
PAGES = {
    "telegram": TELEGRAM,
    "discord": DISCORD,
    "messenger": MESSENGER,
    "element": ELEMENT,
    "imessage": IMESSAGE,
    "signal": SIGNAL,
    "snapchat": SNAPCHAT,
}


def parsed(page: str, format: str = "auto") -> list[Conversation | Unreadable]:
    return list(read(io.BytesIO(page.encode()), format=format, name="log"))


@pytest.mark.parametrize("program", PAGES)
def test_a_page_is_told_by_its_program(program: str) -> None:
    assert sniff(PAGES[program].encode()) == program
    assert sniff(PAGES[program].encode("utf-16"), "x.json") == program


def test_a_chat_of_telegram() -> None:
    (chat,) = parsed(TELEGRAM)
    assert isinstance(chat, Conversation)
    assert chat.id == "Ann & friends"
    assert said(chat) == [
        ("Ann B", "Hi you <3\n\nhow are you? example.org"),
        ("Ann B", "anyone?"),
        ("Bo", "look!"),
        ("Bo", "good news"),
        ("Dia", "Pizza?"),
    ]
    times = [u.time for u in chat.utterances]
    assert times == ["2023-03-12T18:22:10+01:00", "2023-03-12T18:22:40+01:00", "2023-03-12T18:23:00", None, None]
    assert chat.utterances[2].extra == {"media": "photo_wrap"}
    assert chat.utterances[4].extra == {"media": "media_poll", "options": ["yes", "no"]}
    assert chat.warnings == ("left out: 1 call, 1 sticker and 1 system line",)


@pytest.mark.parametrize("packed", [True, False])
def test_an_export_of_telegram_of_many_pages(tmp_path: Path, packed: bool) -> None:
    files = {
        "chats/chat_1/messages.html": TELEGRAM,
        "chats/chat_1/messages2.html": SECOND,
        "chats/chat_1/messages10.html": SECOND.replace("and so on", "the end"),
        "chats/chat_2/messages.html": SECOND,
        "chats/chat_1/files/notes.txt": "Ann: a file that was sent",
        "lists/contacts.html": "<html><body>nobody</body></html>",
    }
    folder = tmp_path / "export"
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    with zipfile.ZipFile(tmp_path / "export.zip") as archive:
        archive.extractall(folder)
    first, second = read(tmp_path / "export.zip" if packed else folder)
    assert isinstance(first, Conversation)
    assert isinstance(second, Conversation)
    assert said(first)[-2:] == [("Dia", "and so on"), ("Dia", "the end")]
    assert (second.id, said(second)) == ("chat_2", [("unknown", "and so on")])


def test_where_telegram_wrote_both_the_json_is_read(tmp_path: Path) -> None:
    (tmp_path / "messages.html").write_text(TELEGRAM, "utf-8")
    json = '{"type":"personal_chat","name":"J","messages":[{"type":"message","from":"Ann","text":"Hi"}]}'
    (tmp_path / "result.json").write_text(json, "utf-8")
    (chat,) = read(tmp_path)
    assert chat.id == "J"


def test_a_channel_of_discord() -> None:
    (chat,) = parsed(DISCORD)
    assert isinstance(chat, Conversation)
    assert chat.id == "general"
    assert said(chat) == [("Ann", "Hi all\nsecond line 😀"), ("Ann", "still me"), ("Bot", "News\nIt rains.")]
    assert chat.utterances[0].time == "2023-03-12T16:24:52+00:00"
    assert chat.warnings == ("left out: 1 picture and 1 system line",)


def test_a_page_of_an_old_discord() -> None:
    (chat,) = parsed(OLD_DISCORD)
    assert isinstance(chat, Conversation)
    assert said(chat) == [("Ann", "Hi")]
    assert chat.utterances[0].time == "2020-03-12T09:56:54+00:00"


def test_a_chat_of_messenger_stands_newest_first() -> None:
    (chat,) = parsed(MESSENGER)
    assert isinstance(chat, Conversation)
    assert chat.id == "Mei & me"
    assert said(chat) == [("Bo", "first"), ("Mei", "second"), ("Bo", "third https://x.org")]
    assert [u.time for u in chat.utterances] == ["2025-09-23T20:15:00", *["2025-09-24T22:44:00"] * 2]
    assert chat.warnings == ("left out: 1 picture and 1 system line",)


def test_pages_of_messenger_before_2022() -> None:
    (chat,) = parsed(OLD_MESSENGER)
    assert isinstance(chat, Conversation)
    assert (chat.id, said(chat), chat.utterances[0].time) == ("Mei", [("Mei", "Hi")], "2019-03-12T10:20:00")


def test_dates_in_a_language_nobody_knows_keep_the_order() -> None:
    page = meta(("Bo", words("later"), "ngày 24 thg 9, 2025"), ("Mei", words("sooner"), "ngày 23 thg 9, 2025"))
    (chat,) = parsed(page)
    assert isinstance(chat, Conversation)
    assert said(chat) == [("Mei", "sooner"), ("Bo", "later")]
    assert chat.utterances[0].time is None


def test_a_whole_export_of_messenger(tmp_path: Path) -> None:
    older = meta(("Bo", words("oldest"), "Sep 22, 2025 8:15 pm"))
    for name, page in (("message_1", MESSENGER), ("message_2", older), ("message_10", older.replace("22", "21"))):
        path = tmp_path / "messages" / "inbox" / "mei_1" / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, "utf-8")
    (tmp_path / "start_here.html").write_text("<html><body>an index</body></html>")
    (chat,) = read(tmp_path)
    assert isinstance(chat, Conversation)
    assert [text for _, text in said(chat)] == ["oldest", "oldest", "first", "second", "third https://x.org"]


@pytest.mark.parametrize(
    ("program", "id", "words", "times", "left_out"),
    [
        (
            "element",
            "Study group",
            [("Ann", "how was it?"), ("Bo", "awful\nreally"), ("Bo", "sighs")],
            ["2024-05-01T10:21:02", "2024-05-01T10:22:00", "2024-05-01T10:23:00"],
            {"picture": 1, "system line": 1},
        ),
        (
            "imessage",
            "log-1",
            [("Me", "hello"), ("Bo", "hi\nmore"), ("Bo", "answer")],
            ["2022-05-17T17:29:42", "2022-05-17T17:30:42", "2022-05-17T17:31:42"],
            {"reaction": 1, "system line": 1},
        ),
        (
            "signal",
            "Ana",
            [("Me", "hey"), ("Ana", "hi!")],
            ["2024-05-01T10:20:11", "2024-05-01T10:20:51"],
            {"media message": 1},
        ),
        (
            "snapchat",
            "bo_b",
            [("ann", "look up!!"), ("bo_b", "did you & she see")],
            ["2024-03-02T18:21:40+00:00", "2024-03-02T18:22:10+00:00"],
            {"media message": 1},
        ),
    ],
)
def test_chats_of_further_programs(
    program: str, id: str, words: list[tuple[str, str]], times: list[str], left_out: dict[str, int]
) -> None:
    (chat,) = parsed(PAGES[program])
    assert isinstance(chat, Conversation)
    assert (chat.id, said(chat), [u.time for u in chat.utterances]) == (id, words, times)
    assert chat.extra["left_out"] == left_out


def test_tables_of_an_old_snapchat() -> None:
    rows = "<tr><td>bo</td><td>TEXT</td><td>2021-03-02 18:22:10 UTC</td><td>see that?</td></tr>"
    sent = "<tr><td>bo</td><td>TEXT</td><td>yes!!!</td><td>2021-03-02 18:22:40 UTC</td></tr>"
    (chat,) = parsed(
        f"<html><body><h1>Chat History</h1><table><tr><th>From</th></tr>{rows}</table>"
        f"<table><tr><th>To</th></tr>{sent}</table></body></html>"
    )
    assert isinstance(chat, Conversation)
    assert said(chat) == [("bo", "see that?"), ("Me", "yes!!!")]


def test_pages_of_archives_are_chats_by_their_names() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("html/chat_history/subpage_bo_b.html", SNAPCHAT)
        archive.writestr("html/chat_history/subpage_cem.html", SNAPCHAT.replace("Chat History with bo_b", "cem"))
        archive.writestr("index.html", "<html></html>")
    data.seek(0)
    assert [c.id for c in read(data) if isinstance(c, Conversation)] == ["bo_b", "cem"]


@pytest.mark.parametrize("program", PAGES)
def test_a_page_that_breaks_off_gives_what_there_is_and_says_so(program: str) -> None:
    (chat,) = parsed(PAGES[program][:-40], program)
    assert isinstance(chat, Conversation)
    assert BROKEN_OFF in chat.warnings
    assert len(chat.utterances) >= 2


@pytest.mark.parametrize("program", PAGES)
def test_a_page_without_messages_is_refused(program: str) -> None:
    (item,) = parsed("<!DOCTYPE html><html><body><p>nothing</p></body></html>", program)
    assert isinstance(item, Unreadable)
    assert "nobody says anything" in item.reason


MARKS = ("<div>", "</div>", '<div class="message default">', "</body>", "<!--", "&#0;", "\0", "&amp", '"')


@pytest.mark.parametrize("program", PAGES)
@settings(max_examples=20)
@given(cuts=st.lists(st.tuples(st.integers(0, 6000), st.sampled_from(MARKS) | st.text(max_size=3)), max_size=6))
@example(cuts=[(0, "<div>" * 3000)])
def test_a_damaged_page_never_crashes_it(program: str, cuts: list[tuple[int, str]]) -> None:
    page = PAGES[program]
    for at, piece in cuts:
        page = page[: at % len(page)] + piece + page[at % len(page) :]
    assert list(read(io.BytesIO(page.encode("utf-8", "surrogatepass")), format=program, name="f"))


def test_what_one_would_see_of_a_piece() -> None:
    piece = html.fragment_fromstring(
        "<div>a<br/>b <b>c</b><!-- unseen -->d<script>no</script><p>e\n f</p><p></p><img alt='😀'/>g"
        "<pre>h\n  i</pre></div>"
    )
    assert shown(piece) == "a\nb cd\ne f\n😀g\nh\ni"
    assert shown(piece, without=("p", "pre")) == "a\nb cd😀g"
    assert shown(None) == ""
