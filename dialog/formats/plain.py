"""Plain transcripts: `Name: text`, one utterance a line.

    Ann: I finally got the job!!
    Bo: No way,
        that is wonderful news!
    ---
    Cem: Another conversation.

An indented line goes on with the utterance above it; blank lines mean nothing; a line of three or more - = * or #
begins another conversation. A time before the name (`[12:30]`, `(12:30:05)`, `00:12:30`) is kept. Any other line
without a name is unreadable, and costs only itself.
"""

import re
from collections.abc import Iterator

from dialog.conversation import Conversation, Utterance
from dialog.formats.source import Source, Unreadable

_TURN = re.compile(
    r"(?:[\[(]?(?P<time>\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d{1,3})?)[\])]?\s*[-–]?\s*)?"
    r"(?P<speaker>[^\s:：][^:：]{0,59}?)\s*(?::(?=\s|$)|(?<=\w):(?=[^\W\d])|：)\s*(?P<text>.*)",
    re.DOTALL,
)
_CUT = re.compile(r"([-=*#])\1{2,}\s*$")


def read_plain(source: Source) -> Iterator[Conversation | Unreadable]:
    """One conversation a section, called after the file and its number."""
    turns: list[tuple[str, str | None, list[str]]] = []
    number = 1
    for line in source.lines():
        if line.fault:
            yield Unreadable.at(line.number, line.fault)
        elif not line.text.strip():
            continue
        elif _CUT.match(line.text):
            if turns:
                yield _conversation(source, number, turns)
                number, turns = number + 1, []
        elif line.text[0] in " \t" and turns:
            turns[-1][2].append(line.text.strip())
        elif turn := turn_of(line.text):
            turns.append((turn["speaker"].strip(), turn["time"], [turn["text"].rstrip()]))
        else:
            yield Unreadable.at(line.number, "no name before the text; expected `Name: text`", line.text)
    if turns:
        yield _conversation(source, number, turns)


def turn_of(text: str) -> re.Match[str] | None:
    """The parts of a `Name: text` line (time, speaker, text), or None where there is no name."""
    return _TURN.match(text.lstrip("\ufeff\u200e\u200f "))


def _conversation(source: Source, number: int, turns: list[tuple[str, str | None, list[str]]]) -> Conversation:
    return Conversation(
        id=f"{source.name}-{number}",
        utterances=tuple(Utterance(speaker=s, time=time, text="\n".join(text)) for s, time, text in turns),
        warnings=source.take_warnings(),
    )
