"""Date and time at the beginning of a line, as phones, programs and people write them; and what is none."""

import io
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog.conversation import Conversation
from dialog.formats import Unreadable, read, sniff
from dialog.formats.stamp import find_stamp

MIRA = "2024-05-01T10:20:00"
# Every line is of Mira, who says hi, on the first of May 2024 at 10:20.
WRITTEN = [
    "2024-05-01 10:20:00 Mira: hi",
    "2024-05-01T10:20:00 Mira: hi",
    "2024-05-01T10:20:00.123Z Mira: hi",
    "2024-05-01 10:20 - Mira: hi",
    "2024-05-01 10 h 20 - Mira: hi",
    "2024-05-01 10h20 - Mira: hi",
    "2024-05-01 | Mira: hi".replace("|", "10:20 |"),
    "[10:20, 1/5/2024] Mira: hi",
    "[10:20 am, 1/5/2024] Mira: hi",
    "[10:20 a. m., 1/5/2024] Mira: hi",
    "[1/5/2024 10:20:00] Mira:hi",
    "[2024/5/1 10:20:00] Mira:hi",
    "[2024-05-01] [10:20] Mira: hi",
    "[Wed 1/5/2024 10:20] Mira: hi",
    "(01.05.2024 10:20) Mira: hi",
    "1.05.24 г., 10:20 - Mira: hi",
    "1.05.24 р., 10:20 - Mira: hi",
    "1.05.24 xyz., 10:20 - Mira: hi",
    "1.5.2024 klo 10.20 - Mira: hi",
    "1. 5. 2024 10:20 - Mira: hi",
    "1/5/24, 10:20 Uhr - Mira: hi",
    "Mi., 1.5.2024, 10:20 - Mira: hi",
    "1 May 2024 at 10:20 - Mira: hi",
    "May 1, 2024, 10:20 AM - Mira: hi",
    "[1. Mai 2024, 10:20] Mira: hi",
    "1 de mayo de 2024 10:20 - Mira: hi",
    "1 мая 2024 г., 10:20 - Mira: hi",
    "2024. máj. 1. 10:20 - Mira: hi",
    "2024. 5. 1. 오전 10:20 - Mira: hi",
    "2024년 5월 1일 오전 10:20 - Mira: hi",
    "2024年5月1日 上午10:20 - Mira: hi",
    "２０２４／０５／０１　１０：２０ - Mira: hi",
    "٠١/٠٥/٢٠٢٤, ١٠:٢٠ ص - Mira: hi",
    "01/05/2567 10:20 - Mira: hi",
]
MARKS = ["\u200b", "\u200d", "\u200e", "\u200f", "\u2060", "\u2063", "\u061c", "\ufeff", "\u00ad", "\u180e", "\u2066"]


def parsed(text: str, format: str = "auto") -> list[Any]:
    return list(read(io.BytesIO(text.encode()), format=format, name="chat"))


def one(text: str, format: str = "auto") -> Conversation:
    (conversation,) = parsed(text, format)
    assert isinstance(conversation, Conversation)
    return conversation


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [(u.speaker, u.text) for u in conversation.utterances]


@pytest.mark.parametrize("format", ["auto", "whatsapp", "plain"])
@pytest.mark.parametrize("line", WRITTEN)
def test_a_stamp_is_no_part_of_the_name(line: str, format: str) -> None:
    (utterance,) = one(f"{line}\n", format).utterances
    time = f"{MIRA}+00:00" if "Z " in line else MIRA
    assert (utterance.speaker, utterance.text, utterance.time) == ("Mira", "hi", time)


@settings(max_examples=150)
@given(line=st.sampled_from(WRITTEN), seed=st.integers(0, 10**6))
def test_invisible_marks_may_stand_anywhere_in_a_stamp(line: str, seed: int) -> None:
    found = find_stamp(line)
    assert found is not None
    chosen = random.Random(seed)
    stamp = line.removesuffix(found.rest)
    marked = "".join(chosen.choice(["", chosen.choice(MARKS)]) + c for c in stamp)
    again = find_stamp(marked + found.rest)
    assert again is not None
    assert again.stamp._replace(marker="") == found.stamp._replace(marker="")
    assert again.rest == found.rest


@pytest.mark.parametrize(
    ("marker", "hour"),
    [
        ("AM", 9), ("pm", 21), ("a. m.", 9), ("p.\u00a0m.", 21), ("nachm.", 21), ("오전", 9), ("오후", 21),
        ("上午", 9), ("下午", 21), ("午前", 9), ("午後", 21), ("ص", 9), ("م", 21), ("ق.ظ.", 9),
        ("ب.ظ.", 21), ("π.μ.", 9), ("μ.μ.", 21), ("ÖÖ", 9), ("ÖS", 21), ("dop.", 9), ("odp.", 21),
        ("de.", 9), ("du.", 21), ("fm", 9), ("em", 21), ("ap.", 9), ("ip.", 21), ("SA", 9),
        ("CH", 21), ("पूर्वाह्न", 9), ("अपराह्न", 21), ("לפנה״צ", 9), ("אחה״צ", 21), ("PTG", 21), ("da manhã", 9),
        ("da tarde", 21), ("de la noche", 21), ("priekšp.", 9), ("pēcp.", 21), ("дп", 9), ("пп", 21),
    ],
)  # fmt: skip
def test_morning_and_evening_in_many_languages(marker: str, hour: int) -> None:
    for line in (f"31/12/20, 9:41 {marker} - Ann: x", f"[31/12/20, 9:41:00 {marker}] Ann: x"):
        (utterance,) = one(line).utterances
        assert (utterance.speaker, utterance.time) == ("Ann", f"2020-12-31T{hour:02}:41:00")


def test_a_sign_for_the_evening_that_nobody_knows_is_told() -> None:
    conversation = one("31/12/20, 9:41 qq - Ann: x\n31/12/20, 9:42 qq - Bo: y\n")
    assert said(conversation) == [("Ann", "x"), ("Bo", "y")]
    assert "times with 'qq' were read as they stand" in conversation.warnings[0]


@pytest.mark.parametrize("name", ["Em", "Sa", "Am", "Mira", "Ma", "P", "Ch", "Dr. No"])
def test_a_name_is_never_taken_for_morning_or_evening(name: str) -> None:
    text = f"2024-05-01 10:00:00 {name}: I am so happy today\n2024-05-01 10:01:00 Bo: me too\n"
    for format in ("auto", "plain"):
        conversation = one(text, format)
        assert said(conversation) == [(name, "I am so happy today"), ("Bo", "me too")]
        assert [u.time for u in conversation.utterances] == ["2024-05-01T10:00:00", "2024-05-01T10:01:00"]
        assert not [w for w in conversation.warnings if "left out" in w]


def test_the_evening_behind_a_colon_is_the_evening() -> None:
    (utterance,) = one("31/12/20 9:41:05 PM: Ann Smith: hi\n").utterances
    assert (utterance.speaker, utterance.text, utterance.time) == ("Ann Smith", "hi", "2020-12-31T21:41:05")


@pytest.mark.parametrize(
    "text",
    [
        "12 eggs: yes", "10.20 euros: that is much", "5/6 people: yes", "+49 170 1234567: hi", "24/7: always open",
        "555-12-34: my number", "3PO: hi", "[laughs] Ann: hi", "(50 %) Ann: hi",
    ],
)  # fmt: skip
def test_numbers_that_are_no_date_stay_what_they_are(text: str) -> None:
    (utterance,) = one(f"{text}\nBo: yes\nBo: no\n", "plain").utterances[:1]
    assert f"{utterance.speaker}: {utterance.text}" == text
    assert utterance.time is None


@pytest.mark.parametrize(
    "line",
    [
        "32 2024-05-01 at ten - Mira: hi",
        "1. fooruary 2024 10.20 - Mira: hi",
        ", 1/5/2024] Mira: hi",
        "2024-05-01 10 past 9 on 3 - Mira: hi",
        "10:20] Mira: hi",
    ],
)
def test_no_name_begins_with_the_rest_of_a_stamp(line: str) -> None:
    items = parsed(f"Ann: one\nBo: two\n{line}\n", "plain")
    assert [said(i) for i in items if isinstance(i, Conversation)] == [[("Ann", "one"), ("Bo", "two")]]
    assert [(i.line, i.text) for i in items if isinstance(i, Unreadable)] == [(3, line)]


def test_a_time_behind_the_name_is_kept() -> None:
    conversation = one("Ann [12:30]: a\nBo (2024-05-01 12:31): b\nAnn, [12:32:10]: c\n", "plain")
    assert [(u.speaker, u.text, u.time) for u in conversation.utterances] == [
        ("Ann", "a", "12:30"), ("Bo", "b", "2024-05-01T12:31:00"), ("Ann", "c", "12:32:10"),
    ]  # fmt: skip


def test_a_date_without_a_time_is_kept_as_a_date() -> None:
    conversation = one("[2024-05-01] Ann: a\n[2024-05-13] Bo: b\n", "plain")
    assert [u.time for u in conversation.utterances] == ["2024-05-01", "2024-05-13"]


def test_a_date_inside_somebodys_words_begins_no_message() -> None:
    text = "31/12/20, 21:41 - Ann: the plan\n31/12/20 22:00 dinner: soup\n1/1/21 00:00 fireworks\n"
    text += "31/12/20, 21:42 - Bo: ok\n"
    conversation = one(text)
    assert said(conversation) == [
        ("Ann", "the plan\n31/12/20 22:00 dinner: soup\n1/1/21 00:00 fireworks"),
        ("Bo", "ok"),
    ]
    assert not conversation.warnings


def test_after_a_stamp_everything_with_a_colon_is_speech() -> None:
    text = "[2026/7/9 02:28:37] Tom:Hi\n[2026/7/9 02:29:01] Ann Smith:see http://x.org: now\n"
    assert said(one(text + "[2026/7/9 02:30:00] 小明：好\n")) == [
        ("Tom", "Hi"),
        ("Ann Smith", "see http://x.org: now"),
        ("小明", "好"),
    ]


def test_a_programs_log_is_no_conversation() -> None:
    for line in ("2024-05-01 10:00:00 INFO: started", "[2024-05-01 10:00:00] ERROR server: failed"):
        (wrong,) = parsed(f"{line}\n" * 5)
        assert isinstance(wrong, Unreadable)
        assert "a program's log" in wrong.reason


@settings(max_examples=50)
@given(st.text(max_size=60), st.sampled_from(WRITTEN))
def test_any_text_bears_being_looked_at(text: str, line: str) -> None:
    find_stamp(text)
    find_stamp(line[: len(text)] + text)
    found = find_stamp(text + line)
    assert found is None or (text + line).endswith(found.rest)


def test_the_format_is_told_by_the_stamp() -> None:
    for line in WRITTEN:
        assert sniff(f"{line}\n".encode()) == "whatsapp"
