"""Logs in workbooks and Word documents, and text messages of a phone."""

import io
import tracemalloc
from datetime import datetime
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog.conversation import Conversation
from dialog.formats import Unreadable, read, sniff
from tests.dialog.formats.test_chat_exports import said

SMS = """<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>
<!--File Created By SMS Backup & Restore-->
<smses count="6" backup_set="x">
  <sms protocol="0" address="+49123" date="1710000000000" type="1" body="Hi &#55357;&#56832; &amp; all&#10;there"
    contact_name="Ann" />
  <sms protocol="0" address="+49123" date="1710000060000" type="2" body="Yo" contact_name="Ann" />
  <sms protocol="0" address="+49123" date="1710000070000" type="3" body="never sent" contact_name="Ann" />
  <sms protocol="0" address="700" date="1710000080000" type="1" body="Your code is 1" contact_name="(Unknown)" />
  <mms date="1710000090000" msg_box="1" address="+1~+2" contact_name="Bo, Cem"><parts>
    <part seq="0" ct="image/jpeg" text="null" data="AAAA" /><part seq="1" ct="text/plain" text="see this" /></parts>
    <addrs><addr address="+2" type="137" /><addr address="+1" type="151" /></addrs></mms>
  <mms date="1710000091000" msg_box="2" address="+1~+2" contact_name="Bo, Cem"><parts>
    <part seq="0" ct="image/jpeg" text="null" data="AAAA" /></parts><addrs /></mms>
</smses>"""


def workbook(**sheets: list[list[Any]]) -> bytes:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def document(*pieces: str | list[list[str]]) -> bytes:
    made = docx.Document()
    for piece in pieces:
        if isinstance(piece, str):
            made.add_paragraph(piece)
            continue
        table = made.add_table(len(piece), len(piece[0]))
        for row, cells in zip(table.rows, piece, strict=True):
            for cell, text in zip(row.cells, cells, strict=True):
                cell.text = text
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def parsed(data: bytes, **how: Any) -> list[Any]:
    return list(read(io.BytesIO(data), name="log", **how))


def test_a_workbook_is_read_as_its_tables_are() -> None:
    at = datetime(2024, 3, 12, 10, 20)
    (chat,) = parsed(workbook(Chat=[["Speaker", "Text", "Time", "Id"], ["Ann", "Hi, you", at, 7], ["Bo", "2", at, 8]]))
    assert isinstance(chat, Conversation)
    assert (chat.id, said(chat)) == ("log-1", [("Ann", "Hi, you"), ("Bo", "2")])
    assert chat.utterances[0].time == "2024-03-12T10:20:00"
    assert chat.utterances[0].extra == {"Id": "7"}


def test_every_sheet_that_is_a_log_is_read_and_the_others_are_passed_over() -> None:
    log = [["Chat of the team"], [], ["name", "message"], ["Ann", "Hi"]]
    first, second = parsed(workbook(May=log, Costs=[["a", "b"], [1, 2]], Empty=[], June=log))
    assert [first.id, second.id] == ["log May-1", "log June-1"]
    assert said(first) == said(second) == [("Ann", "Hi")]


def test_a_workbook_without_a_log_says_what_it_looked_for() -> None:
    (item,) = parsed(workbook(Costs=[["a", "b"], [1, 2]]))
    assert isinstance(item, Unreadable)
    assert "no column for the text" in item.reason
    (chat,) = parsed(workbook(Costs=[["who", "what"], ["Ann", "Hi"]]), columns={"text": "what", "speaker": "who"})
    assert said(chat) == [("Ann", "Hi")]


def test_a_word_document_is_read_as_its_text_is() -> None:
    (chat,) = parsed(document("Ann: Hi", "Bo: Yo\nand more"))
    assert said(chat) == [("Ann", "Hi"), ("Bo", "Yo\nand more")]


def test_a_transcript_of_teams_in_word() -> None:
    pieces = ("Weekly-20240312", "March 12, 2024, 9:00AM", "5m 3s")
    turns = ("Ann Smith   0:03\nHello everyone.", "Bo Lee   0:10\nHi Ann.\nHow are you?", "Ann Smith   1:02\nFine.")
    (chat,) = parsed(document(*pieces, *turns))
    assert said(chat) == [
        ("Ann Smith", "Hello everyone."),
        ("Bo Lee", "Hi Ann.\nHow are you?"),
        ("Ann Smith", "Fine."),
    ]


def test_a_table_in_a_word_document_is_a_table() -> None:
    (chat,) = parsed(document([["Speaker", "Text"], ["Ann", "Hi"], ["Bo", "Yo"]]))
    assert said(chat) == [("Ann", "Hi"), ("Bo", "Yo")]


def test_a_word_document_that_is_no_log_says_so() -> None:
    (item,) = parsed(document("Dear all", "this is a letter"))
    assert isinstance(item, Unreadable)
    assert "lines are no turns" in item.reason


@pytest.mark.parametrize("data", [workbook(a=[["text"], ["x"]]), document("Ann: Hi")])
@settings(max_examples=25)
@given(cuts=st.lists(st.tuples(st.integers(0, 40_000), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4))
def test_a_damaged_document_never_crashes_it(data: bytes, cuts: list[tuple[int, bytes]]) -> None:
    for at, piece in cuts:
        data = data[: at % len(data)] + piece + data[at % len(data) + len(piece) :]
    assert parsed(data)


def test_a_document_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialog.formats.office.MAX_LINE", 2000)
    (item,) = parsed(document("Ann: " + "x" * 5000))
    assert isinstance(item, Unreadable)
    assert "unpacked" in item.reason


def test_text_messages_of_a_phone() -> None:
    assert sniff(SMS.encode()) == "sms"
    ann, code, group = parsed(SMS.encode())
    assert (ann.id, said(ann)) == ("Ann", [("Ann", "Hi 😀 & all\nthere"), ("me", "Yo")])
    assert ann.utterances[0].time == "2024-03-09T16:00:00+00:00"
    assert ann.warnings == ("left out: 1 draft",)
    assert (code.id, said(code)) == ("700", [("700", "Your code is 1")])
    assert (group.id, said(group)) == ("Bo, Cem", [("+2", "see this")])
    assert group.warnings == ("left out: 1 picture",)


def test_text_messages_break_off_and_hold_no_bombs() -> None:
    ann, code = parsed(SMS[: SMS.index("<mms")].encode())
    assert (said(ann)[1], said(code)[0]) == (("me", "Yo"), ("700", "Your code is 1"))
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>\n'
    evil = bomb + '<smses><sms address="1" type="1" date="0" body="&b;"/></smses>'
    assert len(str(parsed(evil.encode(), format="sms"))) < 2000


def test_large_pictures_among_text_messages_do_not_stay_in_memory(tmp_path: Path) -> None:
    part = f'<part ct="image/jpeg" text="null" data="{"A" * 400_000}" />'
    mms = f'<mms date="1" msg_box="1" address="1" contact_name="Ann"><parts>{part}</parts><addrs/></mms>\n'
    path = tmp_path / "sms.xml"
    with path.open("w") as file:
        file.write("<?xml version='1.0'?>\n<smses>\n")
        for _ in range(60):
            file.write(mms)
        file.write('<sms address="1" type="1" date="1" body="Hi" contact_name="Ann"/>\n</smses>')
    tracemalloc.start()
    (chat,) = read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(chat, Conversation)
    assert (said(chat), chat.warnings) == ([("Ann", "Hi")], ("left out: 60 pictures",))
    assert peak < 12_000_000
