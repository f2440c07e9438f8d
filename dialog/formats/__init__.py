"""Logs in and out: `read` any format to conversations, `write` them in any.

Reading goes on past what it cannot read: an `Unreadable` with its line stands where a conversation would.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from dialog.conversation import Conversation
from dialog.formats.assistants import read_chatgpt, read_claude, read_roles
from dialog.formats.csv import read_csv
from dialog.formats.discord import read_discord
from dialog.formats.discord_page import read_discord_page
from dialog.formats.element import read_element
from dialog.formats.element_page import read_element_page
from dialog.formats.encodings import known
from dialog.formats.google_chat import read_google_chat
from dialog.formats.hangouts import read_hangouts
from dialog.formats.imessage import read_imessage
from dialog.formats.imessage_page import read_imessage_page
from dialog.formats.irc import read_irc
from dialog.formats.jsonl import read_json
from dialog.formats.kakaotalk import read_kakaotalk
from dialog.formats.left_out import counts_of, sentence
from dialog.formats.line import read_line
from dialog.formats.mail import read_mail
from dialog.formats.markdown import read_markdown
from dialog.formats.messenger import read_messenger
from dialog.formats.messenger_page import read_messenger_page
from dialog.formats.names import Names
from dialog.formats.office import unpacked
from dialog.formats.page import has_pages
from dialog.formats.parquet import read_parquet
from dialog.formats.plain import read_plain
from dialog.formats.records import read_records
from dialog.formats.reddit import read_reddit
from dialog.formats.screenplay import read_screenplay
from dialog.formats.signal import read_signal
from dialog.formats.signal_page import read_signal_page
from dialog.formats.slack import read_slack
from dialog.formats.sms import read_sms
from dialog.formats.snapchat import read_snapchat
from dialog.formats.snapchat_page import read_snapchat_page
from dialog.formats.sniffing import UnknownFormat, sniff
from dialog.formats.source import Source, Unreadable
from dialog.formats.substation import read_substation
from dialog.formats.subtitles import read_srt, read_vtt
from dialog.formats.teams import read_teams
from dialog.formats.telegram import read_telegram
from dialog.formats.telegram_page import read_telegram_page
from dialog.formats.twitter import read_twitter
from dialog.formats.whatsapp import read_whatsapp
from dialog.formats.whisper import read_whisper
from dialog.formats.writers import WRITERS, Writer
from dialog.formats.zoom import read_zoom

__all__ = [
    "READERS",
    "WRITERS",
    "Item",
    "Source",
    "UnknownFormat",
    "Unreadable",
    "Writer",
    "read",
    "read_source",
    "sniff",
    "write",
]

Item = Conversation | Unreadable
"""What comes out of a log: a conversation, or the news that a piece of it could not be read."""

Reader = Callable[[Source], Iterator[Item]]


def _either(of_text: Reader, of_pages: Reader) -> Reader:
    """The reader of a program that exports JSON or text, or web pages, as one likes."""

    def read_either(source: Source) -> Iterator[Item]:
        return (of_pages if has_pages(source) else of_text)(source)

    return read_either


READERS: dict[str, Reader] = {
    "jsonl": read_json,
    "csv": read_csv,
    "plain": read_plain,
    "whatsapp": read_whatsapp,
    "parquet": read_parquet,
    "slack": read_slack,
    "discord": _either(read_discord, read_discord_page),
    "telegram": _either(read_telegram, read_telegram_page),
    "messenger": _either(read_messenger, read_messenger_page),
    "signal": _either(read_signal, read_signal_page),
    "element": _either(read_element, read_element_page),
    "snapchat": _either(read_snapchat, read_snapchat_page),
    "twitter": read_twitter,
    "reddit": read_reddit,
    "googlechat": read_google_chat,
    "hangouts": read_hangouts,
    "sms": read_sms,
    "chatgpt": read_chatgpt,
    "claude": read_claude,
    "roles": read_roles,
    "records": read_records,
    "teams": read_teams,
    "line": read_line,
    "kakaotalk": read_kakaotalk,
    "zoom": read_zoom,
    "imessage": _either(read_imessage, read_imessage_page),
    "irc": read_irc,
    "mail": read_mail,
    "whisper": read_whisper,
    "srt": read_srt,
    "vtt": read_vtt,
    "ass": read_substation,
    "markdown": read_markdown,
    "screenplay": read_screenplay,
}
"""Format to reader. Each yields the conversations of a source in order, and never raises for what is in it."""


def read(
    path_or_stream: str | Path | BinaryIO | TextIO,
    format: str = "auto",
    name: str | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Iterator[Item]:
    """The conversations of a log, in order; `auto` tells the format from the content.

    name is what conversations without an id are called after; the file's own name by default. columns says which
    column of a table is which (`{"text": "Comment Body"}`), and encoding what the bytes are in. What cannot be read is
    an Unreadable; a file that is no log at all is one, with line 0. Raises ValueError for a format that is not in
    READERS, and OSError for a file that cannot be opened, both at the first item.
    """
    source = Source.open(path_or_stream, name)
    source.columns, source.encoding = columns or {}, None if encoding is None else known(encoding)
    try:
        yield from read_source(source, format)
    finally:
        if not source.borrowed:
            source.close()


def read_source(source: Source, format: str = "auto", filename: str = "") -> Iterator[Item]:
    """The same, from a source that is open already and stays open."""
    if format != "auto" and format not in READERS:
        raise ValueError(f"unknown input format {format!r}; expected auto or one of {', '.join(READERS)}")
    if source.fault:
        yield Unreadable.at(0, source.fault, source=source.name)
        return
    if source.office is not None:
        yield from _read_office(source, format)
        return
    if format == "auto" and source.columns:
        format = "parquet" if source.head().startswith(b"PAR1") else "csv"
    if format == "auto":
        try:
            format = (
                source.tree.format if source.tree is not None else sniff(source.head(), filename or source.filename)
            )
        except UnknownFormat as unknown:
            yield Unreadable.at(0, str(unknown), source=source.name)
            return
    if format != "parquet" and (asked := source.question()):
        yield Unreadable.at(0, asked, source=source.name)
        return
    anything = said = False
    silent: list[Conversation] = []  # chats without a word are passed on once somebody says something
    names = Names(strict=format not in ("jsonl", "csv", "parquet"))
    for item in READERS[format](source):
        if isinstance(item, Unreadable):
            anything = True
            yield replace(item, source=source.name)
            continue
        item = names.apart(item, 0)
        if item.utterances or said or format == "jsonl":
            anything = said = True
            yield from silent
            silent.clear()
            yield item
        else:
            silent.append(item)
    if silent:
        yield Unreadable.at(0, _nobody_speaks(silent), source=source.name)
    elif not anything:
        yield Unreadable.at(0, f"no conversation in it, read as {format}", source=source.name)


def _read_office(source: Source, format: str) -> Iterator[Item]:
    """What lies in an office document. A sheet that is no log counts for nothing beside one that is."""
    faults: list[Item] = []
    anything = False
    for inner in unpacked(source):
        if isinstance(inner, Unreadable):
            faults.append(inner)
            continue
        inner.columns = source.columns
        held: list[Item] = []
        items = read_source(inner, format, inner.filename)
        for item in items:
            held.append(item)
            if isinstance(item, Conversation):
                anything = True
                yield from held
                yield from items
                break
        else:
            faults += held
    if not anything:
        yield from faults or [Unreadable.at(0, "nothing in it", source=source.name)]


def _nobody_speaks(silent: list[Conversation]) -> str:
    """Why a log is refused that has conversations, but none with an utterance: what was left out of them."""
    counts = sum((Counter(counts_of(c.extra)) for c in silent), Counter())
    return "nobody says anything in it" + (f"; left out: {sentence(counts)}" if counts else "")


def write(items: Iterable[Item], out: BinaryIO, format: str, **options: Any) -> None:
    """Writes items in a format of WRITERS. Raises ValueError for another one."""
    if format not in WRITERS:
        raise ValueError(f"unknown output format {format!r}; expected one of {', '.join(WRITERS)}")
    WRITERS[format].write(list(items) if isinstance(items, Iterator) else items, out, **options)
