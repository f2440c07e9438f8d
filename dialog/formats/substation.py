"""SubStation Alpha (ass, ssa): one utterance a `Dialogue:` line, its speaker the line's name.

The columns are named by the line `Format:` of the events. Comments, drawings and captions without words are left out
and counted; formatting goes.
"""

import re
from collections.abc import Iterator

from dialog.conversation import Conversation, Utterance
from dialog.formats.left_out import LeftOut, is_silent
from dialog.formats.source import Source, Unreadable

MARK = re.compile(r"\s*\ufeff?\[Script Info\]\s*$", re.IGNORECASE)
"""How such a file begins."""
_LINE = re.compile(r"(?P<kind>Format|Dialogue|Comment)\s*:\s*(?P<cells>.*)")
_COLUMNS = ("Layer", "Start", "End", "Style", "Name", "MarginL", "MarginR", "MarginV", "Effect", "Text")
_TAGS = re.compile(r"\{[^{}]*\}")
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9]")
_EMPTY = "caption without text"


def read_substation(source: Source) -> Iterator[Conversation | Unreadable]:
    """The one conversation of a file, called after it."""
    left_out = LeftOut()
    utterances: list[Utterance] = []
    columns: tuple[str, ...] = _COLUMNS
    events = False
    for line in source.lines():
        if line.fault:
            yield Unreadable.at(line.number, line.fault)
            continue
        text = line.text.strip("\ufeff \t")
        events = text.casefold() == "[events]" if text.startswith("[") and text.endswith("]") else events
        match = _LINE.match(text) if events else None
        if match is None:
            continue
        cells = match["cells"].split(",", len(columns) - 1) if match["kind"] != "Format" else []
        if match["kind"] == "Format":
            columns = tuple(name.strip() for name in match["cells"].split(","))
        elif match["kind"] == "Comment":
            left_out.add("comment")
        elif len(cells) < len(columns):
            yield Unreadable.at(line.number, f"{len(cells)} fields, expected {len(columns)}", line.text)
        else:
            cue = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
            said = _said(cue)
            left_out.add(said) if isinstance(said, str) else utterances.append(said)
    if utterances or left_out:
        warnings = (*source.take_warnings(), *left_out.warnings())
        yield Conversation(
            id=f"{source.name}-1", utterances=tuple(utterances), warnings=warnings, extra=left_out.extra()
        )


def _said(cue: dict[str, str]) -> Utterance | str:
    written = cue.get("Text", "")
    text = _TAGS.sub("", written).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ").strip()
    if is_silent(text):
        return _EMPTY
    if _DRAWING.search(written):
        return "drawing"
    speaker = cue.get("Name") or cue.get("Actor") or "unknown"
    extra = {"end": cue["End"]} if cue.get("End") else {}
    return Utterance(speaker=speaker, text=text, time=cue.get("Start") or None, extra=extra)
