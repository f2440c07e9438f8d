"""Which format a log is in, told from how it begins. The file's name only decides where the content does not."""

import io
import re
from itertools import islice, pairwise

from dialog.formats import imessage, kakaotalk, line, substation, zoom
from dialog.formats.csv import Layout, find_layout
from dialog.formats.irc import is_irc
from dialog.formats.jsonl import load
from dialog.formats.markdown import is_markdown
from dialog.formats.page import is_page
from dialog.formats.plain import heading_of, is_stamped, is_transcript, title_of, turn_of
from dialog.formats.records import has_records
from dialog.formats.screenplay import is_screenplay
from dialog.formats.source import Source
from dialog.formats.subtitles import TIMING
from dialog.formats.twitter import ASSIGNMENT
from dialog.formats.whatsapp import header_of

_BINARY = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"RIFF": "a sound, a film or a WebP picture",
    b"%PDF": "a PDF",
    b"{\\rtf": "a rich text document; save it as plain text first",
    b"\xd0\xcf\x11\xe0": "an old Office document; save it as csv or plain text first",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"SQLite format 3": "an SQLite database, as phones and Viber keep their chats in; export the chat as text or csv",
    b"bplist00": "a property list of Apple's; export the chat as text",
    b"\x1aE\xdf\xa3": "a film",
    b"\x7fELF": "a program",
    b"ID3": "an MP3 sound",
    b"OggS": "an Ogg sound",
    b"7z\xbc\xaf": "a 7z archive; unpack it first",
    b"BZh": "bzip2 data; unpack it first",
    b"\xfd7zXZ": "xz data; unpack it first",
    b"\x28\xb5\x2f\xfd": "Zstandard data; unpack it first",
}
_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "plain",
    ".srt": "srt",
    ".vtt": "vtt",
    ".sbv": "srt",
    ".mbox": "mail",
    ".eml": "mail",
    ".parquet": "parquet",
    ".fountain": "screenplay",
    ".ass": "ass",
    ".ssa": "ass",
    ".weechatlog": "irc",
}
_TOLD = 40  # lines in which names that stand alone show themselves
_SEALED = (
    (
        re.compile(r"\.crypt\d*$", re.IGNORECASE),
        "an encrypted backup of WhatsApp's; use Export chat in its menu",
    ),
    (re.compile(r"^signal.*\.backup$", re.IGNORECASE), "an encrypted backup of Signal's; export it with signal-export"),
)
_PAGES = (
    ("telegram", "tgme_|page_wrap|default clearfix"),
    ("discord", "chatlog__|preamble__guild"),
    ("messenger", "_a6-[gh]|_3-9[56]|_2lek|pam _3-9"),
    ("element", "mx_Export_EventWrapper|mx_MatrixChat"),
    ("imessage", 'class="(?:sent iMessage|sent SMS|received|message_part|bubble)"'),
    ("signal", r'class="msg(?: \S+)?">\s*<span class="date"'),
    ("snapchat", r"Chat History|rightpanel|<td>[A-Z]{4,}</td>\s*<td>\d{4}-\d\d-\d\d"),
)
"""Programs whose exports are web pages, by what stands only in those."""
_NO_PAGES = (
    ("var jsonData|ChatGPT Data Export", "ChatGPT's export as a web page; its conversations.json is read"),
    ("", "a web page; save the chat as text, csv or JSON"),
)
_SMS = re.compile(r"<(?:smses|sms|mms)\b")
_MAIL = re.compile(r"\ufeff?(?:From \S+.*\d{4}$|From - |[A-Za-z][A-Za-z-]{1,40}: )")
_JSON = {
    "signal": re.compile(
        r'"envelope"\s*:\s*\{[^{}]{0,400}"(?:source\w*|timestamp)"|"backupTimeMs"\s*:'
        r'|^\{"(?:recipient|chatItem)"\s*:\s*\{"',
        re.MULTILINE,
    ),
    "messenger": re.compile(r'"(?:sender_name|senderName)"\s*:'),
    "element": re.compile(r'"type"\s*:\s*"m\.(?:room|reaction|sticker)\b|"room_name"\s*:'),
    "snapchat": re.compile(r'"Media Type"\s*:\s*"'),
    "hangouts": re.compile(r'"participant_data"\s*:|"sender_id"\s*:\s*\{\s*"gaia_id"|"conversation_state"\s*:'),
    "reddit": re.compile(r'"kind"\s*:\s*"(?:Listing|t[13])"'),
    "googlechat": re.compile(r'"creator"\s*:\s*\{[^{}]{0,300}"(?:user_type|email)"'),
    "chatgpt": re.compile(r'"mapping"\s*:\s*\{'),
    "claude": re.compile(r'"chat_messages"\s*:\s*\['),
    "teams": re.compile(
        r'"MessageList"\s*:|"messagetype"\s*:\s*"(?:RichText|Text|ThreadActivity|Event)'
        r'|"createdDateTime"\s*:'
    ),
    "whisper": re.compile(
        r'"segments"\s*:\s*\[|"transcription"\s*:\s*\[|^[\s\ufeff]*\{\s*"text"\s*:\s*"'
        r'|"start"\s*:\s*[\d.]+\s*,\s*"end"\s*:\s*[\d.]+\s*,\s*"text"\s*:'
    ),
    "roles": re.compile(
        r'"role"\s*:\s*"(?:user|assistant|system|developer|tool|human|model)"|"from"\s*:\s*"(?:human|gpt|system)"'
    ),
}
"""Formats of JSON by what stands only in them, tried in this order."""
_DISCORD = re.compile(r'"(?:guild|channel)"\s*:\s*\{')
_TELEGRAM = re.compile(
    r'"type"\s*:\s*"(?:personal_chat|private_\w+|public_\w+|bot_chat|saved_messages)"|"personal_information"\s*:'
    r'|"about"\s*:\s*"Here is the data'
)
_OURS = re.compile(r'^\s*\[\s*\{[^{}]*"speaker"[^{}]*\}', re.MULTILINE)
"""An array of utterances as we have them ourselves."""
_SLACK = re.compile(r'"ts"\s*:\s*"\d+\.\d+"')


class UnknownFormat(ValueError):
    """The content is no log in a format we read; the message says what it looks like."""


def sniff(head: bytes, filename: str = "") -> str:
    """The name of the format, from the first bytes (64 KiB are plenty). UnknownFormat where it is none of ours."""
    if not head.strip(b" \t\r\n\0\xef\xbb\xbf\xff\xfe"):
        raise UnknownFormat("the file is empty")
    if head.startswith(b"PAR1"):
        return "parquet"
    if sealed := next((what for pattern, what in _SEALED if pattern.search(filename)), None):
        raise UnknownFormat(f"this is {sealed}")
    for mark, what in _BINARY.items():
        if head.startswith(mark):
            raise UnknownFormat(f"this is {what}, not a log")
    source = Source(io.BytesIO(head), "")
    numbered = [line for line in islice(source.lines(), 200) if not line.fault]
    if len(head) >= 2**16 and len(numbered) > 1:
        numbered = numbered[:-1]  # the last one is cut off
    lines = [line.text for line in numbered if line.text.strip(" \t\ufeff\u200e")]
    sample = "\n".join(lines)
    odd = sum((c < " " and c not in "\t\n\r\x0b\x0c\x1b") or c == "\ufffd" for c in sample)
    if odd > 0.02 * len(sample) + 1:
        raise UnknownFormat("this is binary data, not text")
    named = next((f for suffix, f in _SUFFIXES.items() if filename.lower().removesuffix(".gz").endswith(suffix)), "")
    found = _by_marks(lines) or _by_shape(lines, source, named) or named
    if not found:
        raise UnknownFormat(
            "no format recognised: neither JSON, nor a table with a column for the text, nor a chat export, "
            "nor `Name: text` lines"
        )
    return found


def _by_marks(lines: list[str]) -> str:
    """Formats that say what they are."""
    first = lines[0].lstrip("\ufeff \t")
    if first.startswith("WEBVTT"):
        return "vtt"
    if any(TIMING.match(line) for line in lines[:3]):
        return "srt"
    if substation.MARK.match(lines[0]):
        return "ass"
    if is_page(first.encode()):
        return _by_page("\n".join(lines))
    if first.startswith("<?xml") or _SMS.match(first):
        if any(_SMS.search(line) for line in lines[:20]):
            return "sms"
        raise UnknownFormat("this is XML of a program that is not known; save the chat as text, csv or JSON")
    if found := _by_lines(lines):
        return found
    if is_stamped(lines[:_TOLD]):
        return "plain"
    if _is_dated(lines[0]) or sum(_is_dated(line) for line in lines[:100]) > 1:
        return "whatsapp"
    if ASSIGNMENT.match(lines[0]):
        return "twitter"
    head = "\n".join(lines[:100])
    if not re.match(r"[\s\ufeff]*(?:\{|\[\s*(?:[\[{\]]|$))", head):
        return "jsonl" if any(_is_conversation(line) for line in lines[:20]) else ""
    if '"utterances"' not in head:
        if _TELEGRAM.search(head):
            return "telegram"
        if _DISCORD.search(head):
            return "discord"
        if _SLACK.search(head):
            return "slack"
        if found := next((format for format, pattern in _JSON.items() if pattern.search(head)), ""):
            return found
        if has_records(head) and not _OURS.search(head):
            return "records"
    return "jsonl"


def _by_page(page: str) -> str:
    """The program whose export a web page is."""
    if found := next((format for format, mark in _PAGES if re.search(mark, page)), ""):
        return found
    raise UnknownFormat(f"this is {next(what for mark, what in _NO_PAGES if re.search(mark, page))}")


def _by_lines(lines: list[str]) -> str:
    """Exports as text that say by their lines which program wrote them."""
    some = lines[:20]
    if line.TITLE.match(lines[0]) and ("[LINE]" in lines[0] or any(re.match(r"[^\t]{4,14}\t", text) for text in some)):
        return "line"
    phone = (kakaotalk.PHONE.match(text) for text in some)
    if any(kakaotalk.COMPUTER.match(text) for text in some) or any(match and match["name"] for match in phone):
        return "kakaotalk"
    if any(zoom.HEADER.match(text) for text in some[:5]):
        return "zoom"
    if (match := imessage.HEADER.match(lines[0])) and not match["rest"].strip():
        return "imessage"
    if _is_mail(lines):
        return "mail"
    return "irc" if is_irc(lines[:100]) else ""


def _is_mail(lines: list[str]) -> bool:
    """Headers of a message, with or without the line that begins it in a mailbox."""
    if not _MAIL.match(lines[0]):
        return False
    headers = {text.partition(":")[0].lower() for text in lines[:60] if re.match(r"[A-Za-z][A-Za-z-]{1,40}: ", text)}
    return "from" in headers and len(headers & {"subject", "date", "to", "message-id", "mime-version", "received"}) > 1


def _by_shape(lines: list[str], source: Source, named: str) -> str:
    """A table by its header, a transcript by its names."""
    layout = find_layout(source)
    if isinstance(layout, Layout) and (len(layout.roles) > 1 or named == "csv"):
        return "csv"
    if is_markdown(lines):
        return "markdown"
    if heading_of(lines[0]) or title_of(lines):
        return "plain"
    candidates = [line for line in lines if line[0] not in " \t"]
    turns = [turn_of(line) for line in candidates]
    speakers = [turn.speaker for turn in turns if turn]
    if named == "csv":
        return "plain" if speakers and len(speakers) == len(candidates) else ""
    below = sum(a is not None and not a.text and b is None for a, b in pairwise(turns))  # words under a name
    if speakers and is_transcript(speakers, len(speakers) + below, len(candidates)):
        return "plain"
    return "screenplay" if is_screenplay(lines) else ""


def _is_dated(line: str) -> bool:
    """A message with date and time; one that is set off by nothing but a space must have a name as well."""
    header = header_of(line)
    return header is not None and (header.style in ("bracket", "dash", "colon") or turn_of(header.rest) is not None)


def _is_conversation(line: str) -> bool:
    if not line.lstrip().startswith("{"):
        return False
    try:
        return "utterances" in load(line)
    except (ValueError, TypeError):
        return False
