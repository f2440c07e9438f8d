"""A dialogue about a picture in the terminal: questions in, each answered with how sure the model is."""

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, TextIO

from dialog.pictures.answers import RETRIEVED, Answer, BadQuestion, VisualEngine
from ui.commands.terminal import complain, note, printable
from ui.messages import percent

_BAR = 24
STRANGE = "this picture is unlike those the model has learned from: do not trust its answers"


def converse(
    engine: VisualEngine,
    look: Any,
    questions: Sequence[str],
    lines: TextIO,
    *,
    caption: str = "",
    as_json: bool = False,
) -> int:
    """Asks the questions in turn, or without any those typed, line by line. Returns the exit code."""
    state = engine.start(look, caption=caption)
    strange = look.strangeness is not None and look.strangeness > 1
    if strange:
        note(STRANGE)
    failed = 0
    for question in questions or _typed(lines):
        if not questions and not question.strip():  # an empty line; as an argument it is a mistake
            continue
        try:
            answer, state = engine.ask(state, question)
        except BadQuestion as error:
            complain(str(error))
            failed += 1
            continue
        if as_json:
            told = {"question": question.strip(), **answer.to_dict(), "round": len(state.rounds)}
            extra = {"boxes": look.boxes, "strangeness": look.strangeness, "model_version": engine.version}
            print(json.dumps(told | extra, ensure_ascii=False), flush=True)
        else:
            _show(answer, question if questions or not lines.isatty() else None)
    return 2 if failed else 0


def _typed(lines: TextIO) -> Iterable[str]:
    """The lines; on a terminal with editing and history, where Python has them."""
    if not lines.isatty():
        yield from lines
        return
    note("Ask about the picture; earlier rounds are remembered. Ctrl-D ends.")
    with suppress(ImportError):
        import readline  # noqa: F401 (makes input() editable)
    while True:
        try:
            yield input("? ")
        except EOFError:
            return


def _show(answer: Answer, question: str | None) -> None:
    """The answer, the likeliest ones with bars, and which earlier round it used."""
    if question is not None:
        print(printable(f"? {question.strip()}"))
    remark = answer.why or (RETRIEVED if answer.retrieved else "")
    print(printable(answer.text + (f" ({remark})" if remark else "")))
    for candidate in answer.answers:
        if candidate.probability is not None:
            bar = "█" * round(_BAR * candidate.probability)
            print(printable(f"    {candidate.text:<20} {percent(candidate.probability):>6} {bar}"))
    if answer.rounds and max(answer.rounds) >= 0.2:
        used = max(range(len(answer.rounds)), key=answer.rounds.__getitem__)
        print(f"    looked back to round {used + 1}")
    sys.stdout.flush()
