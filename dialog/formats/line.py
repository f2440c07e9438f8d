"""LINE's text export: a title, dates on lines of their own, and `time⇥name⇥text` under them.

    [LINE] Chat history with Bo
    Saved on: 2024/05/01 10:30

    2024/05/01(Wed)
    10:20⇥Mira⇥hi

A text of several lines stands in quotes. Stickers, pictures, calls and notices are left out and counted.
"""

import re
from collections.abc import Iterator

from dialog.conversation import Conversation
from dialog.formats.left_out import (
    CALL,
    CONTACT,
    DELETED,
    DOCUMENT,
    LOCATION,
    PICTURE,
    SOUND,
    STICKER,
    SYSTEM,
    VIDEO,
    LeftOut,
)
from dialog.formats.running_date import Dialect, Message, conversation_of, messages_in, stamp_of
from dialog.formats.source import Source, Unreadable
from dialog.formats.stamp import find_stamp

TITLE = re.compile(r"\ufeff?(?:\[LINE\] ?.+|Chat history (?:with|in) .+)")
_SAVED = re.compile(r"(?:Saved on|Saved time|保存日時|保存日期|儲存日期|저장일시|저장한 날짜|บันทึกวันที่|บันทึกเมื่อ)\s?[:：]")
_MESSAGE = re.compile(r"(?P<time>[^\t]{0,6}?\d{1,2}:\d{2}[^\t\d]{0,9})\t(?P<rest>.*)", re.DOTALL)
_MEDIA = {
    STICKER: "Sticker|スタンプ|貼圖|贴图|스티커|สติกเกอร์|Stiker",
    PICTURE: "Photo|写真|照片|圖片|图片|사진|รูปภาพ|รูป|ภาพ|Foto|Album|アルバム|相簿|相册",
    VIDEO: "Video|動画|影片|视频|동영상|วิดีโอ",
    SOUND: "Voice message|ボイスメッセージ|語音訊息|语音消息|음성 메시지|ข้อความเสียง|Audio",
    DOCUMENT: "File|ファイル|檔案|文件|파일|ไฟล์|Note|ノート|記事本",
    LOCATION: "Location|位置情報|位置資訊|位置信息|위치정보|ตำแหน่งที่ตั้ง",
    CONTACT: "Contact|連絡先|聯絡資訊|联系人|연락처|ผู้ติดต่อ",
}
_KINDS = {kind: re.compile(rf"\[(?:{names})\][^\n]{{0,60}}", re.IGNORECASE) for kind, names in _MEDIA.items()}
_CALL = re.compile(r"☎[^\n]{0,60}")
_UNSENT = re.compile(
    r"[^\n]{0,60}(?:unsent a message\.?|メッセージの送信を取り消しました。?|"
    r"已收回訊息|收回了一条消息|메시지를 삭제했습니다\.?)"
)


def read_line(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of an export, called after the file."""
    left_out = LeftOut()
    messages = yield from messages_in(source, _DIALECT, left_out)
    if messages or left_out:
        unquoted = [m._replace(lines=_unquoted(m.lines)) for m in messages]
        yield conversation_of(f"{source.name}-1", unquoted, left_out, source.take_warnings())


def _message(text: str, date: str) -> Message | str | None:
    match = _MESSAGE.match(text)
    if match is None:
        return None
    name, tab, said = match["rest"].partition("\t")
    kind = _kind(said) if name.strip() and tab else CALL if _CALL.match(said or name) else SYSTEM
    return kind or Message(name.strip(), stamp_of(date, match["time"].strip()), [said])


def _kind(said: str) -> str | None:
    if _CALL.fullmatch(said):
        return CALL
    if _UNSENT.fullmatch(said):
        return DELETED
    return next((kind for kind, names in _KINDS.items() if names.fullmatch(said.strip())), None)


def _date(text: str) -> str | None:
    """`2024/05/01(Wed)`, `Wed, 5/1/2024`, `2024.05.01 Wednesday`."""
    if len(text) > 40 or "\t" in text:
        return None
    found = find_stamp(f"[{re.sub(r'[()（）]', ' ', text).strip()}] ")
    alone = found is not None and found.stamp.numbers is not None and found.stamp.hour is None
    return text.strip().lstrip("\ufeff") if alone else None


_DIALECT = Dialect(
    message=_message,
    date=_date,
    heading=(TITLE, _SAVED),
    expected="expected a date, or a time, a name and a text with tabs between",
)


def _unquoted(lines: list[str]) -> list[str]:
    text = "\n".join(lines).rstrip("\n")
    if len(lines) > 1 and text.startswith('"') and text.endswith('"'):
        text = text[1:-1].replace('""', '"')
    return text.split("\n")
