"""SubRip (srt) and WebVTT: one utterance a caption, or one for each voice in it.

The speaker is WebVTT's voice (`<v Ann>`), or a name before the words (`ANN: …`); captions that name nobody are of
`unknown`. Formatting goes; the times a caption is on the screen are `time` and `extra.end`.
"""

import io
import re
from collections.abc import Iterator
from html import unescape

import webvtt
from webvtt.errors import MalformedFileError

from dialog.conversation import Conversation, Utterance
from dialog.formats.plain import turn_of
from dialog.formats.source import Line, Source, Unreadable

_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?[ \t]+([^<>]{1,200})>")
_TAG = re.compile(r"</?[^<>]{0,200}>|\{\\[^{}]{0,100}\}")
_NAMED = re.compile(r"(?:-\s*)?[^\W\d_][^:\n]{0,39}:\s")
_DASH = re.compile(r"^[-\u2013\u2014][ \t]*\S", re.MULTILINE)
_BESIDES = ("WEBVTT", "NOTE", "STYLE", "REGION", "X-TIMESTAMP-MAP")


def read_srt(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a SubRip file."""
    yield from _read(source, "srt")


def read_vtt(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a WebVTT file."""
    yield from _read(source, "vtt")


def _read(source: Source, format: str) -> Iterator[Conversation | Unreadable]:
    utterances: list[Utterance] = []
    for block in _blocks(source):
        if block[0].fault:
            yield Unreadable.at(block[0].number, block[0].fault)
        elif block[0].text.lstrip("\ufeff").startswith(_BESIDES) and not any("-->" in line.text for line in block):
            continue
        elif captions := _captions(block, format):
            utterances += captions
        elif utterances and format == "srt" and not _is_broken(block):
            # A blank line inside a caption: SubRip files have them, and players show what follows.
            rest = _clean("\n".join(line.text for line in block))
            last = utterances.pop()
            utterances.append(
                Utterance(speaker=last.speaker, text=f"{last.text}\n{rest}", time=last.time, extra=last.extra)
            )
        else:
            yield Unreadable.at(block[0].number, "no caption: expected a line with times and -->", block[0].text)
    if utterances:
        yield Conversation(id=f"{source.name}-1", utterances=tuple(utterances), warnings=source.take_warnings())


def _is_broken(block: list[Line]) -> bool:
    """Whether it should have been a caption: it has times that cannot be read, or a number with words under it."""
    return any("-->" in line.text for line in block) or (len(block) > 1 and block[0].text.strip().isdigit())


def _blocks(source: Source) -> Iterator[list[Line]]:
    """Lines up to each blank one."""
    block: list[Line] = []
    for line in source.lines():
        if line.text.strip() and not line.fault:
            block.append(line)
            continue
        if block:
            yield block
        block = []
        if line.fault:
            yield [line]
    if block:
        yield block


def _captions(block: list[Line], format: str) -> list[Utterance]:
    """What one block says; nothing where it is no caption. Blocks without a blank line between them are told apart."""
    at = next((i for i, line in enumerate(block) if "-->" in line.text), None)
    if at is None or at > 1:
        return []
    text = "\n".join(line.text for line in block[at:])
    head = "WEBVTT\n\n" if format == "vtt" else "1\n"
    try:
        captions = webvtt.from_buffer(io.StringIO(head + text), format=format).captions
    except (MalformedFileError, ValueError, IndexError, OverflowError):
        return []
    return [utterance for caption in captions for utterance in _utterances(caption)]


def _utterances(caption: webvtt.Caption) -> Iterator[Utterance]:
    extra = {"end": caption.end}
    before, *voices = _VOICE.split(caption.raw_text)
    for words in _turns(_clean(before)):
        speaker, said = "unknown", words
        if _NAMED.match(words) and (turn := turn_of(words.removeprefix("-").lstrip())):
            speaker, said = turn.speaker, turn.text
        yield Utterance(speaker=speaker, text=said, time=caption.start, extra=extra)
    for name, words in zip(voices[::2], voices[1::2], strict=True):
        yield Utterance(
            speaker=unescape(name).strip() or "unknown", text=_clean(words), time=caption.start, extra=extra
        )


def _turns(words: str) -> list[str]:
    """What is said in one caption: a dash before every voice tells them apart where there are several."""
    dashes = [dash.start() for dash in _DASH.finditer(words)]
    if len(dashes) < 2 or dashes[0]:
        return [words] if words else []
    ends = [*dashes[1:], len(words)]
    return [words[start:end].strip().lstrip("-\u2013\u2014").lstrip() for start, end in zip(dashes, ends, strict=True)]


def _clean(text: str) -> str:
    return unescape(_TAG.sub("", text)).strip()
