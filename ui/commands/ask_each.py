"""The same questions about several pictures: a table, or JSON lines; a picture that cannot be read spoils no other."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dialog.pictures.answers import Answer, VisualEngine
from ui.commands.terminal import complain, note, printable, progress
from ui.messages import number, percent

_ENDINGS_TEXT = ".jpg .jpeg .jpe .jfif .png .webp .heic .heif .avif .gif .bmp .tif .tiff"
ENDINGS = frozenset(_ENDINGS_TEXT.split())
"""By which a folder's pictures are known, and arguments that are pictures and not questions."""


def apart(arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The pictures and folders, which come first, and the questions: the first argument that is neither there nor
    ends as a picture does is the first question."""
    n = next((i for i, given in enumerate(arguments) if not _names_a_picture(given)), len(arguments))
    return [Path(given) for given in arguments[:n]], list(arguments[n:])


def _names_a_picture(given: str) -> bool:
    path = Path(given)
    try:
        return path.suffix.lower() in ENDINGS or path.exists()
    except OSError:  # a question may be longer than a path
        return False


def pictures_of(given: Sequence[Path]) -> list[Path]:
    """The files, and in place of a folder its pictures and those of the folders in it, sorted. ValueError for a folder
    without any."""
    found = list[Path]()
    for path in given:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
        if not inside:
            raise ValueError(
                f"the folder {path} has no picture: expected files that end in {', '.join(sorted(ENDINGS))}"
            )
        found += inside
    return list(dict.fromkeys(found))


def ask_each(
    engine: VisualEngine,
    pictures: Sequence[Path],
    questions: Sequence[str],
    *,
    caption: str = "",
    as_json: bool = False,
) -> int:
    """Asks every picture the questions, in rounds. Returns the exit code: 0, 2 where some failed, 1 where all did."""
    rows, failed = list[tuple[str, list[str]]](), 0
    with progress("Asking") as bar:
        for n, path in enumerate(pictures):
            bar.at(n / len(pictures), path.name)
            cells = list[str]()
            try:
                for question, told in _rounds(engine, path, questions, caption):
                    cells.append(_cell(told))
                    if as_json:
                        line = {"picture": str(path), "question": question, **told.to_dict()}
                        print(json.dumps(line | {"model_version": engine.version}, ensure_ascii=False), flush=True)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                failed += 1
                complain(f"{path}: {reason}")
                if as_json:
                    print(json.dumps({"picture": str(path), "error": reason}, ensure_ascii=False), flush=True)
            rows.append((str(path), cells))
    if not as_json:
        _table(rows, questions)
    if failed:
        note(f"rapport: {number(len(pictures), 'picture')}, {failed:,} failed")
    return 0 if not failed else 1 if failed == len(pictures) else 2


def _rounds(engine: VisualEngine, path: Path, questions: Sequence[str], caption: str) -> Iterator[tuple[str, Answer]]:
    """Each question, and its answer with those before it remembered."""
    from dialog.reading.pictures import open_picture

    state: Any = engine.start(engine.look(open_picture(path.read_bytes())), caption=caption)
    for question in questions:
        answer, state = engine.ask(state, question)
        yield question.strip(), answer


def _cell(answer: Answer) -> str:
    """An answer as it stands in a table: with how likely it is, where it is known."""
    first = answer.answers[0].probability if answer.answers else None
    return answer.text if first is None or not answer.known else f"{answer.text} ({percent(first)})"


def _table(rows: Sequence[tuple[str, list[str]]], questions: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_lines=len(questions) > 1)
    for column in ("picture", *questions):
        table.add_column(printable(column.strip()), overflow="fold")
    for name, cells in rows:
        shown = [*cells, *[""] * (len(questions) - len(cells))]
        table.add_row(printable(name), *map(printable, shown))
    # A file has no width; a table cut to 80 columns there would lose its words.
    Console(width=None if sys.stdout.isatty() else 200, markup=False).print(table)
