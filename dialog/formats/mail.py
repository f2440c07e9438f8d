"""E-mail: a mailbox (mbox) or one message (eml). Each thread is a conversation, in the order of its dates.

What is quoted of an earlier message, its attribution and the signature are left out: they are another's words, or
nobody's. HTML becomes text.
"""

import email.policy
import re
from collections.abc import Iterator
from datetime import UTC
from email.message import EmailMessage, MIMEPart
from email.parser import Parser
from email.utils import parseaddr, parsedate_to_datetime

from dialog.conversation import Conversation, Utterance
from dialog.formats.chat_json import Gathering, encodable
from dialog.formats.html_text import as_text
from dialog.formats.left_out import DOCUMENT, EMPTY, is_silent
from dialog.formats.source import Source, Unreadable

_FROM = re.compile(r"From \S+.*\d{4}|From - ")
_REPLY = re.compile(r"^\s*(?:(?:re|fwd?|aw|wg|sv|vs|antw|res|tr|rif|odp|ynt)(?:\[\d+\])?\s?:\s*)+", re.IGNORECASE)
_WROTE = re.compile(
    r"(?:On|Am|Le|El|Il|Em|Op|Den|W dniu)\b[^\n]{5,200}(?:wrote|schrieb[^\n]{0,60}|a écrit|escribió|ha scritto|"
    r"escreveu|schreef|skrev|pisze|napisał[ao]?)\s?:\s*$"
)
_ORIGINAL = re.compile(
    r"-{2,}\s?(?:Original Message|Ursprüngliche Nachricht|Message d'origine|Forwarded message)[^\n]*$|_{20,}$"
)


def read_mail(source: Source) -> Iterator[Conversation | Unreadable]:
    """A conversation for each thread, called after its subject."""
    threads: dict[str, Gathering] = {}
    roots: dict[str, str] = {}
    for number, text, fault in _messages(source):
        if fault:
            yield Unreadable.at(number, fault)
            continue
        try:
            message = Parser(EmailMessage, policy=email.policy.default).parsestr(text)
            said = _said(message)
            subject = _REPLY.sub("", str(message.get("Subject") or "")).strip()
            ids = re.findall(r"<[^<>\s]+>", f"{message.get('References', '')} {message.get('In-Reply-To', '')}")
            own = str(message.get("Message-ID") or "").strip()
        except Exception as error:  # headers of strangers break the parser in ways it does not document
            yield Unreadable.at(number, f"a message that cannot be read ({type(error).__name__}: {error})"[:200], text)
            continue
        root = next((roots[id] for id in ids if id in roots), None) or (subject.casefold() or own or str(number))
        for id in (*ids, own):
            roots.setdefault(id, root)
        threads.setdefault(root, Gathering(encodable(subject) or f"{source.name}-{len(threads) + 1}")).add(said)
    warnings = source.take_warnings()
    for gathering in threads.values():
        yield from gathering.items(warnings)


def _messages(source: Source) -> Iterator[tuple[int, str, str | None]]:
    """The line each message begins on, and its text: of a mailbox all, of a single message the one."""
    lines: list[str] = []
    start, blank = 1, True
    for line in source.lines():
        if line.fault:
            yield line.number, "", line.fault
            continue
        if blank and _FROM.match(line.text):
            if any(given.strip() for given in lines):
                yield start, "\n".join(lines), None
            lines, start = [], line.number
        else:
            lines.append(line.text[1:] if re.match(r">+From ", line.text) else line.text)
        blank = not line.text.strip()
    if any(given.strip() for given in lines):
        yield start, "\n".join(lines), None


def _said(message: EmailMessage) -> Utterance | str:
    body = message.get_body(("plain", "html"))
    text = "" if body is None else _content(body)
    if body is not None and body.get_content_type() == "text/html":
        text = as_text(text)
    text = _own_words(text)
    files = [part.get_filename() or "attachment" for part in message.iter_attachments()]
    if is_silent(text):
        return DOCUMENT if files else EMPTY
    name, address = parseaddr(str(message.get("From") or ""))
    return Utterance(
        speaker=encodable(name.strip() or address.strip() or "unknown"),
        text=encodable(text),
        time=_time(str(message.get("Date") or "")),
        extra={"media": files} if files else {},
    )


def _content(part: MIMEPart) -> str:
    """The words of a part. What is not packed was decoded with the file, whatever charset the part names."""
    packed = str(part.get("Content-Transfer-Encoding") or "").strip().lower() in ("quoted-printable", "base64")
    return str(part.get_content() if packed else part.get_payload())


def _own_words(text: str) -> str:
    """The text without quotes, and without the signature."""
    kept: list[str] = []
    lines = text.replace("\r\n", "\n").split("\n")
    for i, line in enumerate(lines):
        pair = f"{line} {lines[i + 1].strip()}" if i + 1 < len(lines) else line
        if _ORIGINAL.match(line.strip()) or line.rstrip("\r") in ("-- ", "--"):
            break
        if _WROTE.match(line.strip()) or (_WROTE.match(pair.strip()) and not line.startswith(">")):
            continue
        if line.lstrip().startswith(">") or (kept and i and _WROTE.match(f"{lines[i - 1]} {line.strip()}".strip())):
            continue
        kept.append(line.rstrip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def _time(date: str) -> str | None:
    try:
        at = parsedate_to_datetime(date)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat(timespec="seconds")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
