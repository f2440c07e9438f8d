"""The chat in the terminal: lines of `Name: text` in, each answered with its emotion, read as a live chat."""

import json
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TextIO

from dialog.conversation import Caveat, Prediction
from dialog.emotion.port import LiveTagger
from dialog.language import FOREIGN, unfamiliar
from ui.commands.terminal import note, printable
from ui.messages import colour, percent, symbol

_NAMED = re.compile(r"(?P<speaker>[^:\s][^:]{0,39}?)\s*:\s+(?P<text>.*)", re.DOTALL)
_BAR = 24
FIRST_SPEAKER = "A"


def spoken(line: str, last_speaker: str) -> tuple[str, str] | None:
    """Who says what in a line: `Name: text`, or just text by whoever spoke last. None for an empty line."""
    line = line.strip()
    if not line:
        return None
    named = _NAMED.fullmatch(line)
    # An address such as https://example.org or a time such as 12:30 has no space after its colon.
    return (named["speaker"], named["text"]) if named else (last_speaker, line)


def converse(tagger: LiveTagger, lines: TextIO, *, as_json: bool = False) -> int:
    """Reads lines to their end and answers each. With as_json every message is one JSON object on a line."""
    if lines.isatty():
        note("Type `Name: text`; a line without a name goes on with the last speaker. Ctrl-D ends the chat.")
    show = reporter(tagger.version, as_json=as_json)
    state, speaker = tagger.start(), FIRST_SPEAKER
    for line in typed_lines(lines):
        said = spoken(line, speaker)
        if said is None:
            continue
        speaker, text = said
        prediction, state = tagger.step(state, speaker, text)
        show(speaker, text, prediction, caveat_of(text), typed=lines.isatty())
    return 0


def caveat_of(text: str) -> Caveat | None:
    """What is to be said of a text that the model does not understand."""
    return Caveat("foreign", FOREIGN) if unfamiliar([text]) else None


def reporter(version: str, *, as_json: bool) -> Callable[..., None]:
    """What shows a message with its label: JSON Lines that name the model's version, or a line in colour."""
    return _JsonLines(version) if as_json else _Coloured()


def typed_lines(lines: TextIO) -> Iterable[str]:
    """The lines; on a terminal with editing and history, where Python has them."""
    if not lines.isatty():
        yield from lines
        return
    with suppress(ImportError):
        import readline  # noqa: F401 (makes input() editable)
    while True:
        try:
            yield input()
        except EOFError:
            return


class _JsonLines:
    def __init__(self, version: str) -> None:
        self._told = {"mode": "live", "model_version": version}

    def __call__(self, speaker: str, text: str, prediction: Prediction, warning: Caveat | None, *, typed: bool) -> None:
        line: dict[str, Any] = {"speaker": speaker, "text": text, "prediction": prediction.to_dict(), **self._told}
        if warning:
            line["warnings"] = [warning.to_dict()]
        print(json.dumps(line, ensure_ascii=False), flush=True)


class _Coloured:
    """`      😊 joy 93 % ██████████████      `: the label in words and symbol, and its colour where there are any."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)

    def __call__(self, speaker: str, text: str, prediction: Prediction, warning: Caveat | None, *, typed: bool) -> None:
        from rich.text import Text

        full = round(_BAR * prediction.probability)
        emotion = prediction.emotion or ""
        label = f"{emotion}?" if prediction.unsure and emotion else emotion or "no label"
        line = Text() if typed else Text(printable(f"{speaker}: {text}\n"))
        line.append(f"    {symbol(emotion)} {label:<10} {percent(prediction.probability):>6} ")
        line.append("█" * full, style=colour(emotion))
        line.append("░" * (_BAR - full), style="dim")
        if warning:
            line.append(f"\n    ⚠ {warning}", style="yellow")
        self._console.print(line, soft_wrap=True)
