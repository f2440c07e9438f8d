"""KakaoTalk's text exports, of the computer and of both phones.

    --------------- 2024년 5월 1일 수요일 ---------------        computer
    [Mira] [오전 10:20] hi
    2024년 5월 1일 오전 10:20, Mira : hi                          phones
    May 1, 2024 at 10:20 AM, Mira : hi

Pictures, stickers, deleted messages and notices are left out and counted.
"""

import re
from collections.abc import Iterator

from dialog.conversation import Conversation
from dialog.formats.left_out import CALL, DELETED, DOCUMENT, PICTURE, SOUND, STICKER, SYSTEM, VIDEO, LeftOut
from dialog.formats.running_date import Dialect, Message, conversation_of, messages_in, stamp_of
from dialog.formats.source import Source, Unreadable

TITLE = re.compile(r"\ufeff?.{0,100}(?:카카오톡 대화|KakaoTalk Chats? with |with KakaoTalk Chats?|Kakaotalk Chat)")
COMPUTER = re.compile(
    r"\[(?!\d{1,4}[./-]\d)(?P<name>[^\[\]]{1,80})\] "
    r"\[(?P<time>(?:(?:오전|오후|AM|PM)\s?\d{1,2}:\d{2}|\d{1,2}:\d{2}\s?[AP]M))\] ?(?P<text>.*)"
)
PHONE = re.compile(
    r"\ufeff?(?P<date>\d{4}(?:년|\.)\s?\d{1,2}(?:월|\.)\s?\d{1,2}(?:일|\.)|[A-Z][a-z]{2,8} \d{1,2}, \d{4})(?: at)?"
    r",?\s(?P<time>(?:오전|오후)?\s?\d{1,2}:\d{2}(?:\s?[AP]M)?)"
    r"(?:, (?P<name>[^:\n]{1,80}?) : (?P<text>.*)|(?P<notice>.*))"
)
_DATE = re.compile(
    r"-{5,}\s*(?P<date>\d{4}년 \d{1,2}월 \d{1,2}일|[A-Z][a-z]+, [A-Z][a-z]+ \d{1,2}, \d{4})[^-]{0,20}-{5,}\s*$"
)
_SAVED = re.compile(r"(?:저장한 날짜|Date Saved|Saved on)\s?:")
_KINDS = {
    PICTURE: re.compile(r"(?:사진(?: \d+장)?|Photos?(?: \d+)?|<사진[^\n]{0,40}>|\d+ photos)"),
    VIDEO: re.compile(r"(?:동영상|Video)"),
    STICKER: re.compile(r"(?:이모티콘|Emoticons?|\(이모티콘\)|Sticker)"),
    SOUND: re.compile(r"(?:음성메시지|Voice Note|Voice message)"),
    DOCUMENT: re.compile(r"(?:파일|File)\s?: [^\n]{1,200}"),
    CALL: re.compile(r"(?:보이스톡|페이스톡|Voice Call|Video Call|그룹콜)[^\n]{0,40}"),
    DELETED: re.compile(
        r"(?:삭제된 메시지입니다\.?|This message was deleted\.?|(?:메시지가|메시지를) (?:삭제|가렸)[^\n]{0,20})"
    ),
}


def read_kakaotalk(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of an export, called after the file."""
    left_out = LeftOut()
    messages = yield from messages_in(source, _DIALECT, left_out)
    if messages or left_out:
        yield conversation_of(f"{source.name}-1", messages, left_out, source.take_warnings())


def _message(text: str, date: str) -> Message | str | None:
    match = COMPUTER.match(text) or PHONE.match(text)
    if match is None:
        return None
    parts = match.groupdict()
    if not parts.get("name"):
        return SYSTEM if (parts.get("notice") or "").strip() else None
    said = match["text"]
    kind = next((kind for kind, names in _KINDS.items() if names.fullmatch(said.strip())), None)
    return kind or Message(match["name"].strip(), stamp_of(parts.get("date") or date, match["time"].strip()), [said])


def _date(text: str) -> str | None:
    match = _DATE.match(text) or PHONE.match(text)
    return match["date"] if match else None


# On a computer a notice has neither name nor time: who came and who left. So no line is unexpected.
_DIALECT = Dialect(message=_message, date=_date, heading=(TITLE, _SAVED))
