"""Transcripts of `Name: text` lines."""

import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog.conversation import Conversation, Utterance
from dialog.formats import Unreadable, read, sniff

LETTERS = st.characters(categories=["L", "N", "S", "P", "Zs"], exclude_characters=":：\u200e\u200f\ufeff")
SPEAKERS = st.text(LETTERS, min_size=1, max_size=40).map(lambda s: f"A{s}".strip())
LINES = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=40).map(str.strip).filter(bool)
CONVERSATIONS = st.lists(
    st.lists(
        st.builds(Utterance, speaker=SPEAKERS, text=st.lists(LINES, min_size=1, max_size=3).map("\n".join)),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=3,
)


def parsed(text: str, format: str = "plain") -> list[Any]:
    return list(read(io.BytesIO(text.encode()), format=format, name="log"))


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [(u.speaker, u.text) for u in conversation.utterances]


def render(conversations: list[list[Utterance]]) -> str:
    return "\n---\n".join(
        "\n".join(f"{u.speaker}: " + u.text.replace("\n", "\n    ") for u in turns) for turns in conversations
    )


@settings(max_examples=50)
@given(CONVERSATIONS)
def test_what_is_rendered_is_read_again(conversations: list[list[Utterance]]) -> None:
    assert [list(c.utterances) for c in parsed(render(conversations))] == conversations


def test_indented_lines_go_on_and_rules_cut() -> None:
    first, second = parsed("Ann: one\n\n   two\nBo: \n***\nAnn: three\n", format="auto")
    assert said(first) == [("Ann", "one\ntwo")]
    assert first.warnings == ("left out: 1 empty message",)
    assert first.extra == {"left_out": {"empty message": 1}}
    assert said(second) == [("Ann", "three")]
    assert (first.id, second.id) == ("log-1", "log-2")


def test_a_line_without_a_name_costs_only_itself() -> None:
    wrong, conversation = parsed("Ann: one\n\njust words, http://example.org\nBo: two\n")
    assert isinstance(wrong, Unreadable)
    assert wrong.line == 3
    assert said(conversation) == [("Ann", "one"), ("Bo", "two")]


@pytest.mark.parametrize(
    "text",
    [
        "Ann: I was there, and then\nI was not.\n\nBo: oh\nAnn: yes\n",
        "Ann:\nI was there, and then\nI was not.\nBo:\noh\nAnn:\nyes\n",
        "# Our chat\n\n**Ann** (10:20): I was there, and then\nI was not.\n\n**Bo** (10:21): oh\n**Ann**: yes\n",
        "Ann  0:03\nI was there, and then\nI was not.\n\nBo  0:10\noh\nAnn  1:02:03\nyes\n",
        "The meeting\nMarch 12, 2024\n\nAnn\t0:03\nI was there, and then\nI was not.\nBo\t0:10\noh\nAnn\t0:11\nyes\n",
    ],
)
def test_lines_under_a_name_go_on_with_it(text: str) -> None:
    (conversation,) = parsed(text, format="auto")
    assert said(conversation) == [("Ann", "I was there, and then\nI was not."), ("Bo", "oh"), ("Ann", "yes")]


def test_names_that_come_again_make_a_transcript_of_long_lines() -> None:
    turn = "I began to speak\nand went on\nfor a long time\nuntil nobody listened\n"
    (conversation,) = parsed("".join(f"{name}: {turn}" for name in "ABABAB"), format="auto")
    assert len(conversation.utterances) == 6
    assert conversation.utterances[3].text == turn.strip()


def test_names_may_be_of_any_kind() -> None:
    text = "Dr. Ann-Marie O'Neil: a\n🎉 Bo 🎉: b\n小明：c\n+49 170 1234567: d\nAnn:e\n"
    (conversation,) = parsed(text, format="auto")
    assert [u.speaker for u in conversation.utterances] == [
        "Dr. Ann-Marie O'Neil", "🎉 Bo 🎉", "小明", "+49 170 1234567", "Ann",
    ]  # fmt: skip


def test_a_time_before_the_name_is_kept() -> None:
    (conversation,) = parsed("[12:30] Ann: a\n(12:30:05) Bo: b\n00:01:02.500 Ann: c\n12:31 - Bo: d\n", format="auto")
    assert [u.time for u in conversation.utterances] == ["12:30", "12:30:05", "00:01:02.500", "12:31"]
    assert [u.speaker for u in conversation.utterances] == ["Ann", "Bo", "Ann", "Bo"]


def test_a_file_most_of_whose_lines_are_no_turns_is_refused() -> None:
    text = "Minutes: the third meeting\nWe met at noon and talked.\nNothing was decided.\nThen we left again.\n"
    (wrong,) = parsed(text)
    assert isinstance(wrong, Unreadable)
    assert wrong.line == 0
    assert "3 of 4 lines are no turns" in wrong.reason
    assert "beginning with line 2" in wrong.reason
    assert wrong.text == "We met at noon and talked."


def test_messages_copied_out_of_telegram_are_read() -> None:
    text = "Mira, [01.05.2024 10:20]\nhi: you\n\nmore\n\nBo Smith, [13.05.2024 21:05:10]\nyo\nCem, [13.05.2024 21:06]\n"
    (conversation,) = parsed(text, format="auto")
    assert said(conversation) == [("Mira", "hi: you\nmore"), ("Bo Smith", "yo")]
    assert [u.time for u in conversation.utterances] == ["2024-05-01T10:20:00", "2024-05-13T21:05:10"]
    assert conversation.extra == {"left_out": {"empty message": 1}}


def test_a_named_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "chat.txt"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("Ann: hello\nBo: hi there\n",))
    writer.start()
    items = list(read(pipe))
    writer.join()
    assert [[u.text for u in c.utterances] for c in items if isinstance(c, Conversation)] == [["hello", "hi there"]]


@pytest.mark.parametrize(
    "text",
    [
        "> Ann: hi\n> Bo: hello\n> Ann: bye\n",
        "1. Ann: hi\n2. Bo: hello\n3. Ann: bye\n",
        "- Ann: hi\n- Bo: hello\n- Ann: bye\n",
        "**Ann:** hi\n\n**Bo:** hello\n\n**Ann**: bye\n",
        "*Ann:* hi\n*Bo:* hello\n*Ann:* bye\n",
        "Ann — 05/01/2024 10:20 AM\nhi\nBo — 05/01/2024 10:21 AM\nhello\nAnn — 05/01/2024 10:25 AM\nbye\n",
        "Ann — Today at 10:20 AM\nhi\nBo — Today at 10:21 AM\nhello\nAnn — Today at 10:25 AM\nbye\n",
        "Ann  10:20 AM\nhi\nBo  10:21 AM\nhello\nAnn  10:25 AM\nbye\n",
    ],
)
def test_what_stands_around_a_name_where_text_was_copied_is_no_part_of_it(text: str) -> None:
    (c,) = read(io.BytesIO(text.encode()))
    assert [(u.speaker, u.text) for u in c.utterances] == [("Ann", "hi"), ("Bo", "hello"), ("Ann", "bye")]


def test_one_quotation_or_one_number_stays_as_it_is_written() -> None:
    (c,) = read(io.BytesIO(b"Ann: hi\nBo: hello\n> Ann: hi\nAnn: 1. bread\n**really** Bo: yes\n"))
    assert [u.speaker for u in c.utterances] == ["Ann", "Bo", "> Ann", "Ann", "**really** Bo"]
    assert c.utterances[3].text == "1. bread"


@pytest.mark.parametrize(
    ("log", "words", "times"),
    [
        (
            "2024-05-01 10:20:11 小明\n你好\n\n2024-05-01 10:21:11 小红(12345)\n在吗\n我很忙\n\n"
            "2024-05-01 10:22:11 小明\n[图片]\n",
            [("小明", "你好"), ("小红(12345)", "在吗\n我很忙")],
            ["2024-05-01T10:20:11", "2024-05-01T10:21:11"],
        ),
        (
            "消息记录\n\n=====\n消息分组:好友\n=====\n\n2024-05-01 10:20:11 小明\n你好\n\n"
            "2024-05-01 10:21:11 小红\n在吗\n",
            [("小明", "你好"), ("小红", "在吗")],
            ["2024-05-01T10:20:11", "2024-05-01T10:21:11"],
        ),
        (
            "[10:20 AM] Ann Kay\nhello\n[10:21 AM] Bo Lee\nhi there\nsecond: line\n",
            [("Ann Kay", "hello"), ("Bo Lee", "hi there\nsecond: line")],
            ["10:20 AM", "10:21 AM"],
        ),
        (
            "[01/05 10:20] Ann Kay: hello\n[01/05 10:21] Bo Lee: hi\n",
            [("Ann Kay", "hello"), ("Bo Lee", "hi")],
            ["01/05 10:20", "01/05 10:21"],
        ),
        (
            ">>> Chat History with bo_22::\n2024-05-01 10:21:11 UTC\nbo_22: lol\n\n"
            "2024-05-01 10:20:11 UTC\nme: watch: this\n",
            [("me", "watch: this"), ("bo_22", "lol")],
            ["2024-05-01T10:20:11+00:00", "2024-05-01T10:21:11+00:00"],
        ),
        (
            "=====\nGuild: Friends\nChannel: general\n=====\n\n[05/31/2024 10:20 AM] ann#1\nhello\n# all\n\n"
            "[05/31/2024 10:21 AM] bo\nhi\nthere\n\n{Attachments}\nhttps://x/y.png\n\n{Reactions}\n👍 (2)\n\n"
            "[05/31/2024 10:22 AM] bo\n\n{Stickers}\nx.png\n\n=====\nExported 3 message(s)\n=====\n",
            [("ann#1", "hello\n# all"), ("bo", "hi\nthere")],
            ["2024-05-31T10:20:00", "2024-05-31T10:21:00"],
        ),
        (
            "Mira K  00:03\nHello.\n\nBo  00:09\nYes.\n\nTranscribed by https://otter.ai\n",
            [("Mira K", "Hello."), ("Bo", "Yes.")],
            ["00:03", "00:09"],
        ),
    ],
)
def test_names_and_times_on_lines_of_their_own(log: str, words: list[tuple[str, str]], times: list[str]) -> None:
    assert sniff(log.encode(), "chat.txt") == "plain"
    (conversation,) = parsed(log)
    assert [(u.speaker, u.text) for u in conversation.utterances] == words
    assert [u.time for u in conversation.utterances] == times


def test_who_left_a_group_is_no_name_above_words() -> None:
    log = "14/05/24, 9:40 pm - Ann left\nsome words\n14/05/24, 9:41 pm - Bo left\n14/05/24, 9:42 pm - Cem: hi\n"
    assert sniff(log.encode()) == "whatsapp"


def test_lines_with_a_time_and_no_name_are_no_headings() -> None:
    log = "10:20 took the pills\n10:40 felt better\n11:00 went out\n"
    (item,) = parsed(log)
    assert isinstance(item, Unreadable)
