"""What every reader promises, over all of READERS: no bytes crash it, and nothing good is lost for something bad."""

import gzip
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dialog.conversation import Conversation
from dialog.formats import READERS, Unreadable, read, sniff
from dialog.formats.sniffing import UnknownFormat

SAMPLES = {
    "jsonl": b'{"id":"a","utterances":[{"speaker":"Ann","text":"Hi"},{"speaker":"Bo","text":"Yo"}]}\n',
    "csv": b"speaker,text,emotion\nAnn,Hi,joy\nBo,Yo,\n",
    "plain": b"Ann: Hi\nBo: Yo\n",
    "whatsapp": b"31/12/2020, 21:41 - Ann: Hi\n31/12/2020, 21:42 - Bo: Yo\n",
    "telegram": b'{"type":"personal_chat","messages":[{"type":"message","from":"Ann","text":"Hi"},\n'
    b'{"type":"message","from":"Bo","text":"Yo"}]}\n',
    "discord": b'{"guild":{},"messages":[{"content":"Hi","author":{"name":"Ann"}},\n'
    b'{"content":"Yo","author":{"name":"Bo"}}]}\n',
    "slack": b'[{"ts":"1.0","user":"Ann","text":"Hi"},\n{"ts":"2.0","user":"Bo","text":"Yo"}]\n',
    "messenger": b'{"messages":[{"sender_name":"Ann","timestamp_ms":1000,"content":"Hi"},\n'
    b'{"sender_name":"Bo","timestamp_ms":2000,"content":"Yo"}]}\n',
    "signal": b'{"envelope":{"source":"Ann","dataMessage":{"message":"Hi","groupInfo":{"groupId":"g"}}}}\n'
    b'{"envelope":{"source":"Bo","dataMessage":{"message":"Yo","groupInfo":{"groupId":"g"}}}}\n',
    "chatgpt": b'[{"mapping":{"a":{"message":{"author":{"role":"Ann"},"content":{"parts":["Hi"]}}},\n'
    b'"b":{"parent":"a","message":{"author":{"role":"Bo"},"content":{"parts":["Yo"]}}}},"current_node":"b"}]\n',
    "claude": b'[{"chat_messages":[{"sender":"Ann","text":"Hi"},\n{"sender":"Bo","text":"Yo"}]}]\n',
    "roles": b'[{"role":"user","name":"Ann","content":"Hi"},\n{"role":"assistant","name":"Bo","content":"Yo"}]\n',
    "records": b'[{"user":"Ann","message":"Hi"},\n{"user":"Bo","message":"Yo"}]\n',
    "sms": b'<smses><sms address="1" type="1" body="Hi" contact_name="Ann"/>\n'
    b'<sms address="1" type="1" body="Yo" contact_name="Bo"/></smses>\n',
    "element": b'{"messages":[{"type":"m.room.message","sender":"Ann","content":{"body":"Hi","msgtype":"m.text"}},\n'
    b'{"type":"m.room.message","sender":"Bo","content":{"body":"Yo","msgtype":"m.text"}}]}\n',
    "snapchat": b'{"bo":[{"From":"Ann","Media Type":"TEXT","Created":"2024-03-02 18:22:10 UTC","Content":"Hi"},\n'
    b'{"From":"Bo","Media Type":"TEXT","Created":"2024-03-02 18:22:11 UTC","Content":"Yo"}]}\n',
    "reddit": b'[{"kind":"t3","data":{"name":"t3_x","author":"Ann","selftext":"Hi","created_utc":1}},\n'
    b'{"kind":"t1","data":{"link_id":"t3_x","author":"Bo","body":"Yo","created_utc":2}}]\n',
    "googlechat": b'{"messages":[{"creator":{"name":"Ann","user_type":"Human"},"text":"Hi"},\n'
    b'{"creator":{"name":"Bo","user_type":"Human"},"text":"Yo"}]}\n',
    "hangouts": b'{"conversations":[{"conversation":{"conversation":{"participant_data":[]}},"events":[\n'
    b'{"sender_id":{"gaia_id":"Ann"},"chat_message":{"message_content":{"segment":[{"text":"Hi"}]}}},\n'
    b'{"sender_id":{"gaia_id":"Bo"},"chat_message":{"message_content":{"segment":[{"text":"Yo"}]}}}]}]}\n',
    "teams": b'{"value":[{"createdDateTime":"x","from":{"user":{"displayName":"Ann"}},"body":{"content":"Hi"}},\n'
    b'{"createdDateTime":"y","from":{"user":{"displayName":"Bo"}},"body":{"content":"Yo"}}]}\n',
    "line": b"[LINE] Chat history with Bo\n2024/05/13(Mon)\n10:20\tAnn\tHi\n10:21\tBo\tYo\n",
    "kakaotalk": b"May 1, 2024 at 10:20 AM, Ann : Hi\nMay 1, 2024 at 10:21 AM, Bo : Yo\n",
    "zoom": b"10:20:30 From Ann to Everyone: Hi\n10:21:30 From Bo to Everyone: Yo\n",
    "imessage": b"May 17, 2022  5:29:42 PM\nAnn\nHi\n\nMay 17, 2022  5:30:42 PM\nBo\nYo\n",
    "irc": b"[10:20] <Ann> Hi\n[10:21] <Bo> Yo\n",
    "mail": b"From a@x Wed May  1 10:20:00 2024\nFrom: Ann <a@x>\nSubject: x\nTo: b@x\n\nHi\n\n"
    b"From b@x Wed May  1 10:21:00 2024\nFrom: Bo <b@x>\nSubject: Re: x\nTo: a@x\n\nYo\n",
    "whisper": b'{"segments":[{"start":1,"speaker":"Ann","text":"Hi"},\n{"start":2,"speaker":"Bo","text":"Yo"}]}\n',
    "srt": b"1\n00:00:01,000 --> 00:00:02,000\nAnn: Hi\n\n2\n00:00:03,000 --> 00:00:04,000\nBo: Yo\n",
    "ass": b"[Script Info]\n[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,D,Ann,0,0,0,,Hi\n"
    b"Dialogue: 0,0:00:03.00,0:00:04.00,D,Bo,0,0,0,,Yo\n",
    "vtt": b"WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann>Hi\n\n00:03.000 --> 00:04.000\n<v Bo>Yo\n",
}
MARKS = [bytes([c]) for c in b"\",;|\n\r\t{}[]:'\\\0\xff<>"]
WORDS = [b": ", b" - ", b"\xe2\x80\x8e", b"-->", b"WEBVTT\n", b"\n\n", b"31/12/20, 9:41 PM", b'"utterances"', b'"text"']
PIECES = st.sampled_from([*MARKS, *WORDS, b"speaker,text\n"])


def spliced(sample: bytes, cuts: list[tuple[int, bytes]]) -> bytes:
    for at, piece in cuts:
        at %= len(sample) + 1
        sample = sample[:at] + piece + sample[at:]
    return sample


def check(data: bytes, format: str) -> None:
    items = list(read(io.BytesIO(data), format=format, name="f"))
    assert items, "a log that says nothing must say so"
    for item in items:
        if isinstance(item, Unreadable):
            assert item.reason
            assert item.line >= 0
            item.reason.encode()
        else:
            Conversation.from_dict(item.to_dict())
            "".join(u.text + u.speaker for u in item.utterances).encode()


@pytest.mark.parametrize("format", ["auto", *READERS])
@settings(max_examples=60)
@given(data=st.binary(max_size=300))
@example(data=b"")
@example(data=b"\xff\xfe")
@example(data=b"\xff\xfea")
@example(data=b"\x1f\x8b")
@example(data=b"PK\x03\x04")
@example(data=b"PAR1\0\0\0\0PAR1")
@example(data=b"[" * 5000)
@example(data=b'{"a":' * 3000)
@example(data=b'{"utterances":[{"speaker":"a","text":"\\ud800"}], "x": 1e999, "y": NaN}')
@example(data=b"1" * 5000)
@example(data=b'speaker,text\n"\n"\n"')
@example(data=b"sep=,\n")
@example(data=b"[" + b"1" * 5000 + b"]")
def test_arbitrary_bytes_never_crash_it(data: bytes, format: str) -> None:
    check(data, format)


@pytest.mark.parametrize("format", SAMPLES)
@settings(max_examples=30)
@given(cuts=st.lists(st.tuples(st.integers(0, 400), PIECES | st.binary(max_size=4)), max_size=6))
def test_a_damaged_log_never_crashes_it(format: str, cuts: list[tuple[int, bytes]]) -> None:
    damaged = spliced(SAMPLES[format] * 3, cuts)
    check(damaged, format)
    check(damaged, "auto")


@pytest.mark.parametrize("format", SAMPLES)
@pytest.mark.parametrize("cut", [5, 20, 40])
def test_a_packed_log_that_was_cut_off_gives_what_there_is(format: str, cut: int) -> None:
    packed = gzip.compress(SAMPLES[format] * 200, mtime=0)
    check(packed[: len(packed) - cut], format)


@pytest.mark.parametrize("encode", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("format", SAMPLES)
def test_encodings_marks_and_line_ends_make_no_difference(format: str, ends: str, encode: str) -> None:
    text = SAMPLES[format].decode().replace("Hi", "Hü 😀").replace("\n", ends)
    data = text.encode(encode)
    assert sniff(data) == format
    for packed in (data, gzip.compress(data)):
        (conversation,) = read(io.BytesIO(packed))
        assert isinstance(conversation, Conversation)
        assert [(u.speaker, u.text) for u in conversation.utterances] == [("Ann", "Hü 😀"), ("Bo", "Yo")]
        assert not conversation.warnings


@pytest.mark.parametrize("format", SAMPLES)
def test_windows_1252_is_read_with_a_warning(format: str) -> None:
    (conversation,) = read(io.BytesIO(SAMPLES[format].replace(b"Hi", b"Caf\xe9 \x80")))
    assert isinstance(conversation, Conversation)
    assert conversation.utterances[0].text == "Café €"
    assert "Windows-1252" in conversation.warnings[0]


@pytest.mark.parametrize("format", SAMPLES)
def test_the_content_decides_and_not_the_name(format: str) -> None:
    for filename in ("", "chat", "chat.csv", "chat.txt", "chat.json", "chat.jsonl.gz"):
        assert sniff(SAMPLES[format], filename) == format


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b" \n\t\n", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG"),
        (b"%PDF-1.7\n", "PDF"),
        (bytes(range(1, 9)) * 40, "binary"),
        (b"There is no name anywhere\nin this prose.\n", "no format recognised"),
    ],
)
def test_what_is_no_log_is_told_what_it_looks_like(data: bytes, message: str) -> None:
    with pytest.raises(UnknownFormat, match=message):
        sniff(data)
    (item,) = read(io.BytesIO(data))
    assert isinstance(item, Unreadable)
    assert item.line == 0
    assert message in item.reason


def test_a_format_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"unknown input format 'docx'; expected auto or one of jsonl, csv"):
        next(read(io.BytesIO(b"x"), format="docx"))


@pytest.mark.parametrize(
    ("text", "format"),
    [
        (f"ANN\na{' ' * 100_000}x\n\nBO\nyes\n\nANN\nno\n", "screenplay"),
        (f"ANN\n{'[[a' * 30_000}\n\nBO\nyes\n\nANN\nno\n", "screenplay"),
        (f"ANN{' ' * 100_000}B c\nANN\nhi\nANN\nyo\n", "screenplay"),
        ("1/5/24, 10:20 - Ann: hi" + "\n" * 100_000 + "x\n", "whatsapp"),
        (f"## User\n#{' ' * 100_000}x\n## Assistant\nhi\n", "markdown"),
        ('{"conversations":[{"MessageList":[{"messagetype":"Text","content":"' + "<quote>" * 9999 + '"}]}]}', "teams"),
    ],
    ids=["spaces", "brackets", "capitals", "lines", "heading", "quotes"],
)  # fmt: skip
def test_long_runs_of_one_sign_are_read_at_once(text: str, format: str) -> None:
    """A pattern that begins anew at every place would not come to an end here."""
    check(text.encode(), format)
