"""SubRip (srt), WebVTT and YouTube's sbv: one utterance a caption, or one for each voice in it.

The speaker is WebVTT's voice (`<v Ann>`), or a name before the words (`ANN: …`); captions that name nobody are of
`unknown`, and a sound (`(door slams)`) is nobody's. Formatting goes; the times a caption is on the screen are `time`
and `extra.end`. Times may be shorter or longer than the formats allow: `0:0:4,8` is 4.8 seconds, `09,4000` is 9.4.
Captions that roll, each with the line before it and a new one, give every line once.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import unescape
from itertools import pairwise

from dialog.conversation import Conversation, Utterance
from dialog.formats.left_out import LeftOut, is_silent
from dialog.formats.plain import turn_of
from dialog.formats.source import Line, Source, Unreadable

_CLOCK = r"(?:(?P<{0}h>\d{{1,4}})\s?:\s?)?(?P<{0}m>\d{{1,2}})\s?:\s?(?P<{0}s>\d{{1,2}})(?:[.,](?P<{0}f>\d+))?"
TIMING = re.compile(
    rf"[\s\ufeff]*{_CLOCK.format('a')}\s*(?:-{{1,3}}>|(?<=\.\d\d\d),(?=\d+:\d+:\d+\.\d))\s*{_CLOCK.format('b')}(?=\s|$)"
)
"""A line with the times of a caption."""
_BROKEN = re.compile(r"[\s\ufeff]*\d+\s?:\S*\s*-{1,3}>")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?[ \t]+([^<>]{1,200})>")
_TAG = re.compile(r"</?[^<>]{0,200}>|\{\\[^{}]{0,100}\}")
_NAMED = re.compile(r"(?:-\s*)?(?P<name>[^\W\d_][^:\n]{0,39}):\s")
_SOUND = re.compile(r"[\[(][^\[\]().!?]{1,60}[\])]|[♪♫#\s]+")
_DASH = re.compile(r"^[-\u2013\u2014][ \t]*\S", re.MULTILINE)
_BESIDES = re.compile(r"\ufeff?(?:WEBVTT|NOTE|STYLE|REGION|X-TIMESTAMP-MAP)(?![^\W_])")
_NO_CAPTION = "no caption: expected a line with times and -->"


@dataclass
class _Cue:
    """A caption: when it is on the screen, and its lines as they stand."""

    start: str
    end: str
    lines: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether nothing stands in it so far."""
        return all(is_silent(line) for line in self.lines)


def read_srt(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a SubRip file."""
    yield from _read(source, "srt")


def read_vtt(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a WebVTT file."""
    yield from _read(source, "vtt")


def _read(source: Source, format: str) -> Iterator[Conversation | Unreadable]:
    cues: list[_Cue] = []
    for block in _blocks(source):
        if block[0].fault:
            yield Unreadable.at(block[0].number, block[0].fault)
        elif (wrong := _take(block, cues, format)) is not None:
            yield wrong
    left_out = LeftOut()
    utterances: list[Utterance] = []
    for cue in _unrolled(cues, left_out):
        said = [u for u in _utterances(cue) if not is_silent(u.text)]
        words = [u for u in said if not _SOUND.fullmatch(u.text)]
        utterances += words
        if not words:
            left_out.add("caption of a sound" if said else "caption without text")
    if cues:
        warnings = (*source.take_warnings(), *left_out.warnings())
        yield Conversation(
            id=f"{source.name}-1", utterances=tuple(utterances), warnings=warnings, extra=left_out.extra()
        )


def _blocks(source: Source) -> Iterator[list[Line]]:
    """Lines up to each empty one; a line of spaces is not empty."""
    block: list[Line] = []
    for line in source.lines():
        if line.text and not line.fault:
            block.append(line)
            continue
        if block:
            yield block
        block = []
        if line.fault:
            yield [line]
    if block:
        yield block


def _take(block: list[Line], cues: list[_Cue], format: str) -> Unreadable | None:
    """Adds a block's captions, or its words to the caption before; gives back what it cannot be."""
    timed = [i for i, line in enumerate(block) if TIMING.match(line.text)]
    besides = _BESIDES.match(block[0].text) is not None
    if not timed:
        if besides or all(is_silent(line.text) for line in block):
            return None
        numbered = len(block) > 1 and block[0].text.strip().isdigit()
        broken = any(_BROKEN.match(line.text) for line in block) or numbered
        # A blank line inside a caption: files have them, and players show what follows.
        if cues and not broken and (format == "srt" or cues[-1].empty):
            cues[-1].lines += [line.text for line in block]
            return None
        return Unreadable.at(block[0].number, _NO_CAPTION, "\n".join(line.text for line in block))
    before = block[: timed[0]]
    wrong = None
    if len(before) > 1 and not besides:
        wrong = Unreadable.at(before[0].number, _NO_CAPTION, "\n".join(line.text for line in before[:-1]))
    for at, end in pairwise([*timed, len(block)]):
        lines = [line.text for line in block[at + 1 : end]]
        if end < len(block) and lines and lines[-1].strip().isdigit():
            lines.pop()  # the number of the next one, with no blank line before it
        match = TIMING.match(block[at].text)
        assert match is not None
        cues.append(_Cue(_time(match, "a"), _time(match, "b"), lines))
    return wrong


def _time(match: re.Match[str], which: str) -> str:
    """`00:00:04.800`. What stands behind the comma is a fraction, however many digits it has."""
    hours, minutes, seconds = (int(match[f"{which}{unit}"] or 0) for unit in "hms")
    thousandths = ((match[f"{which}f"] or "") + "000")[:3]
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{int(thousandths):03d}"


def _unrolled(cues: Sequence[_Cue], left_out: LeftOut) -> Iterator[_Cue]:
    """Captions without what they repeat of the one before, where a file's captions roll."""
    shown = [[line for line in map(_clean, cue.lines) if not is_silent(line)] for cue in cues]
    filled = [lines for lines in shown if lines]
    scrolls = sum(_shared(a, b) > 0 and len(b) > _shared(a, b) for a, b in pairwise(filled))
    repeats = sum(_shared(a, b) > 0 for a, b in pairwise(filled))
    if not scrolls or 2 * repeats < len(filled) - 1:
        yield from cues
        return
    last: list[str] = []
    for cue, lines in zip(cues, shown, strict=True):
        known = _shared(last, lines)
        if lines and known == len(lines):
            left_out.add("repeated caption")
        else:
            # The lines as they were written: those that are new, voices and all.
            written = [line for line in cue.lines if not is_silent(_clean(line))]
            yield _Cue(cue.start, cue.end, written[known:])
        last = lines or last


def _shared(before: Sequence[str], lines: Sequence[str]) -> int:
    """How many lines a caption begins with that the one before it ended with."""
    most = min(len(before), len(lines))
    return next((k for k in range(most, 0, -1) if list(before[-k:]) == list(lines[:k])), 0)


def _utterances(cue: _Cue) -> Iterator[Utterance]:
    extra = {"end": cue.end}
    before, *voices = _VOICE.split("\n".join(line for line in cue.lines if not is_silent(line)))
    for words in _turns(_clean(before)):
        speaker, said = "unknown", words
        named = _NAMED.match(words)
        # `not bad: really` names nobody.
        if named and not named["name"][0].islower() and (turn := turn_of(words.removeprefix("-").lstrip())):
            speaker, said = turn.speaker, turn.text
        yield Utterance(speaker=speaker, text=said, time=cue.start, extra=extra)
    for name, words in zip(voices[::2], voices[1::2], strict=True):
        yield Utterance(speaker=unescape(name).strip() or "unknown", text=_clean(words), time=cue.start, extra=extra)


def _turns(words: str) -> list[str]:
    """What is said in one caption: a dash before every voice tells them apart where there are several."""
    dashes = [dash.start() for dash in _DASH.finditer(words)]
    if len(dashes) < 2 or dashes[0]:
        return [words] if words else []
    ends = [*dashes[1:], len(words)]
    return [words[start:end].strip().lstrip("-\u2013\u2014").lstrip() for start, end in zip(dashes, ends, strict=True)]


def _clean(text: str) -> str:
    return unescape(_TAG.sub("", text)).strip()
