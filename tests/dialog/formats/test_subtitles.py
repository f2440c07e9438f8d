"""SubRip and WebVTT."""

import io
from typing import Any

import pytest

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
        ("Ann Smith", "Hi there & you"), ("Ann Smith", "What?"), ("Bo", "No!"),
    ]  # fmt: skip
    assert conversation.utterances[0].time == "00:00:01.000"
    assert conversation.extra["left_out"] == {"caption of a sound": 1}


def test_a_colon_inside_a_sentence_names_nobody_and_what_stands_in_brackets_as_a_sentence_was_said() -> None:
    (conversation,) = parsed("WEBVTT\n\n00:01.000 --> 00:02.000\nnot bad: really\n\n00:02.000 --> 00:03.000\n(I do.)\n")
    assert said(conversation) == [("unknown", "not bad: really"), ("unknown", "(I do.)")]


def test_a_broken_caption_costs_only_itself() -> None:
    for text, format, line in (
        (SRT.replace("00:00:03,000 -->", "00:00:xx -->").replace("\n3\n", "\n\n3\n"), "srt", 6),
        (VTT.replace("00:00:03.000 -->", "00:xx -->"), "vtt", 12),
    ):
        wrong, conversation = parsed(text, format)
        assert isinstance(wrong, Unreadable)
        assert wrong.line == line
        assert len(conversation.utterances) == (2 if format == "srt" else 1)


def test_dashes_tell_the_voices_of_one_caption_apart() -> None:
    caption = "1\n00:00:01,000 --> 00:00:02,000\n- Are you mad?\nReally?\n- ANN: No!\n"
    (conversation,) = parsed(caption, "srt")
    assert said(conversation) == [("unknown", "Are you mad?\nReally?"), ("ANN", "No!")]
    (conversation,) = parsed(caption.replace("- Are", "Are"), "srt")
    assert len(conversation.utterances) == 1


def test_a_number_with_words_and_no_times_is_no_part_of_the_caption_before() -> None:
    conversation, wrong = sorted(parsed(SRT + "\n4\nlost\n", "srt"), key=lambda item: isinstance(item, Unreadable))
    assert (wrong.line, wrong.text) == (15, "4\nlost")
    assert said(conversation)[-1] == ("unknown", "1984\nwas a year")


@pytest.mark.parametrize("format", ["srt", "vtt"])
@pytest.mark.parametrize(
    ("times", "start", "end"),
    [
        ("00:04:40 --> 00:04:41", "00:04:40.000", "00:04:41.000"),
        ("0:0:4,8 --> 0:0:9,4000", "00:00:04.800", "00:00:09.400"),
        ("00:00:04,08 --> 00:00:09.4", "00:00:04.080", "00:00:09.400"),
        ("4:05 --> 4:06.5", "00:04:05.000", "00:04:06.500"),
        ("00:00:01,000 -> 00:00:02,000", "00:00:01.000", "00:00:02.000"),
        ("00:00:01,000-->00:00:02,000  X1:100 Y1:50", "00:00:01.000", "00:00:02.000"),
        ("00:00:01.000 --> 00:00:02.000 align:start position:0%", "00:00:01.000", "00:00:02.000"),
        ("100:00:01.000 --> 100:00:02.000", "100:00:01.000", "100:00:02.000"),
    ],
)
def test_times_may_be_shorter_or_longer_than_the_rule(times: str, start: str, end: str, format: str) -> None:
    head = "WEBVTT\n\n" if format == "vtt" else "1\n"
    assert sniff(f"{head}{times}\nANN: Hi\n".encode()) == format
    (conversation,) = parsed(f"{head}{times}\nANN: Hi\n")
    (utterance,) = conversation.utterances
    assert (utterance.speaker, utterance.text, utterance.time, utterance.extra) == ("ANN", "Hi", start, {"end": end})


def captions(*texts: str, gap: str = "\n") -> str:
    cues = (f"{i}\n00:00:{i:02},000 --> 00:00:{i + 1:02},000\n{text}" for i, text in enumerate(texts, 1))
    return "\n\n".join(cues) + "\n"


@pytest.mark.parametrize("empty", ["", " ", "\u200b", "<i></i>", "&nbsp;", "{\\an8}"])
def test_an_empty_caption_is_left_out_and_the_number_after_it_is_nobodys_words(empty: str) -> None:
    text = f"49\n00:00:01,000 --> 00:00:02,000\n{empty}\n\n50\n00:00:03,000 --> 00:00:04,000\nHi\n"
    for joined in (text, text.replace("\n\n50", "\n50")):
        (conversation,) = parsed(joined, "srt")
        assert said(conversation) == [("unknown", "Hi")]
        assert conversation.warnings == ("left out: 1 caption without text",)


def test_a_number_after_a_blank_line_is_what_somebody_says() -> None:
    (conversation,) = parsed("1\n00:00:01,000 --> 00:00:02,000\n\n50\n\n2\n00:00:03,000 --> 00:00:04,000\nHi\n", "srt")
    assert said(conversation) == [("unknown", "50"), ("unknown", "Hi")]


def test_a_line_of_one_space_ends_no_caption() -> None:
    for text, format in (
        (captions("one\n \ntwo", "three"), "srt"),
        ("WEBVTT\n\n" + captions("one\n \ntwo", "three"), "vtt"),
    ):
        (conversation,) = parsed(text, format)
        assert said(conversation) == [("unknown", "one\ntwo"), ("unknown", "three")]


def test_a_blank_line_after_the_times_costs_nothing() -> None:
    text = captions("\none", "\nANN: two\nmore")
    for given, format in ((text, "srt"), ("WEBVTT\n\n" + text, "vtt")):
        (conversation,) = parsed(given, format)
        assert said(conversation) == [("unknown", "one"), ("ANN", "two\nmore")]


ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.000 --> 00:00:02.000 align:start position:0%
 
hello<00:00:00.500><c> there</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
hello there
 

00:00:02.010 --> 00:00:04.000 align:start position:0%
hello there
how<00:00:02.500><c> are</c><00:00:03.000><c> you</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
how are you
 

00:00:04.010 --> 00:00:06.000 align:start position:0%
how are you
fine<00:00:05.000><c> thanks</c>
"""  # noqa: W293


def test_captions_that_roll_count_once() -> None:
    (conversation,) = parsed(ROLLING)
    assert [u.text for u in conversation.utterances] == ["hello there", "how are you", "fine thanks"]
    assert [u.time for u in conversation.utterances] == ["00:00:00.000", "00:00:02.010", "00:00:04.010"]
    assert conversation.warnings == ("left out: 2 repeated captions",)
    (conversation,) = parsed(captions("hello there", "hello there\nhow are you", "how are you\nfine thanks"), "srt")
    assert [u.text for u in conversation.utterances] == ["hello there", "how are you", "fine thanks"]


def test_who_repeats_themselves_is_heard_twice() -> None:
    (conversation,) = parsed(captions("No!", "No!", "Yes!", "Yes!", "Never."), "srt")
    assert [u.text for u in conversation.utterances] == ["No!", "No!", "Yes!", "Yes!", "Never."]


def test_a_note_with_an_arrow_is_a_note_and_words_with_one_are_words() -> None:
    text = "WEBVTT\n\nNOTE from a --> to b\nand more\n\n00:01.000 --> 00:02.000\nhe goes --> there\n"
    (conversation,) = parsed(text)
    assert said(conversation) == [("unknown", "he goes --> there")]


def test_sbv_is_read_too() -> None:
    text = "0:00:01.000,0:00:02.500\nANN: Hi\n\n0:00:03.000,0:00:04.000\nYo\n"
    assert sniff(text.encode()) == "srt"
    (conversation,) = parsed(text)
    assert said(conversation) == [("ANN", "Hi"), ("unknown", "Yo")]
    assert conversation.utterances[0].extra == {"end": "00:00:02.500"}


def test_substation_alpha() -> None:
    text = (
        "[Script Info]\nTitle: x\n\n[V4+ Styles]\nFormat: Name\nStyle: D\n\n[Events]\nFormat: Start, End, Name, Text\n"
        "Dialogue: 0:00:01.00,0:00:02.00,Ann,{\\i1}Hi{\\i0}, you\\Nthere\nComment: 0:00:01.00,0:00:02.00,Ann,unsaid\n"
        "Dialogue: 0:00:03.00,0:00:04.00,,Who's that?\nDialogue: 0:00:05.00,0:00:06.00,Ann,{\\p1}m 0 0 l 1 1\n"
        "Dialogue: 0:00:07.00\n"
    )
    assert sniff(text.encode(), "x.ass") == "ass"
    wrong, conversation = parsed(text)
    assert wrong.line == 14
    assert "expected 4" in wrong.error
    assert said(conversation) == [("Ann", "Hi, you\nthere"), ("unknown", "Who's that?")]
    first = conversation.utterances[0]
    assert (first.time, first.extra) == ("0:00:01.00", {"end": "0:00:02.00"})
    assert conversation.extra["left_out"] == {"comment": 1, "drawing": 1}
