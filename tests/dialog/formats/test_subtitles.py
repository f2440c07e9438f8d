"""SubRip and WebVTT."""

import io
from typing import Any

from dialog.conversation import Conversation
from dialog.formats import Unreadable, read, sniff

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>ANN: Hi</i>
there

2
00:00:03,000 --> 00:00:04,000
{\\an8}- Bo Smith: Yo
3
00:00:05,000 --> 00:00:06,000
1984

was a year
"""
VTT = """WEBVTT - a title

NOTE nobody says: this

STYLE
::cue { color: red }

one
00:01.000 --> 00:02.500 align:start
<v.loud Ann Smith>Hi <b>there</b> &amp; you</v>

00:00:03.000 --> 00:00:04.000
<v Ann Smith>What?</v>
<v Bo>No!</v>

00:00:05.000 --> 00:00:06.000
(music)
"""


def parsed(text: str, format: str = "auto") -> list[Any]:
    return list(read(io.BytesIO(text.encode()), format=format, name="film"))


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [(u.speaker, u.text) for u in conversation.utterances]


def test_subrip() -> None:
    assert sniff(SRT.encode()) == "srt"
    (conversation,) = parsed(SRT)
    assert said(conversation) == [("ANN", "Hi\nthere"), ("Bo Smith", "Yo"), ("unknown", "1984\nwas a year")]
    assert [u.time for u in conversation.utterances] == ["00:00:01.000", "00:00:03.000", "00:00:05.000"]
    assert conversation.utterances[0].extra == {"end": "00:00:02.500"}


def test_webvtt() -> None:
    assert sniff(VTT.encode()) == "vtt"
    (conversation,) = parsed(VTT)
    assert said(conversation) == [
        ("Ann Smith", "Hi there & you"), ("Ann Smith", "What?"), ("Bo", "No!"), ("unknown", "(music)"),
    ]  # fmt: skip
    assert conversation.utterances[0].time == "00:00:01.000"


def test_a_broken_caption_costs_only_itself() -> None:
    for text, format, line in (
        (SRT.replace("00:00:03,000 -->", "00:00:xx -->").replace("\n3\n", "\n\n3\n"), "srt", 6),
        (VTT.replace("00:00:03.000 -->", "00:xx -->"), "vtt", 12),
    ):
        wrong, conversation = parsed(text, format)
        assert isinstance(wrong, Unreadable)
        assert wrong.line == line
        assert len(conversation.utterances) == 2


def test_dashes_tell_the_voices_of_one_caption_apart() -> None:
    caption = "1\n00:00:01,000 --> 00:00:02,000\n- Are you mad?\nReally?\n- ANN: No!\n"
    (conversation,) = parsed(caption, "srt")
    assert said(conversation) == [("unknown", "Are you mad?\nReally?"), ("ANN", "No!")]
    (conversation,) = parsed(caption.replace("- Are", "Are"), "srt")
    assert len(conversation.utterances) == 1


def test_a_number_with_words_and_no_times_is_no_part_of_the_caption_before() -> None:
    conversation, wrong = sorted(parsed(SRT + "\n4\nlost\n", "srt"), key=lambda item: isinstance(item, Unreadable))
    assert (wrong.line, wrong.text) == (15, "4")
    assert said(conversation)[-1] == ("unknown", "1984\nwas a year")
