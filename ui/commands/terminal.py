"""How the command line talks: data to stdout, notes, complaints and progress to stderr. User text is never markup."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ui.scores import headline

T = TypeVar("T")


def note(text: str) -> None:
    """A line about what happens."""
    print(printable(text), file=sys.stderr, flush=True)


def complain(text: str) -> None:
    """A line about what went wrong."""
    note(f"rapport: {text}")


def printable(text: str) -> str:
    """The text without characters that would command the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def nothing_more_to_write() -> None:
    """Whoever read our stdout has gone; keeps Python from complaining about that at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def pick(name: str, table: Mapping[str, T], what: str) -> T:
    """The table's entry; ValueError that lists what there is."""
    if name not in table:
        raise ValueError(
            f"unknown {what} {name!r}: expected {'one of ' * (len(table) > 1)}{', '.join(table) or 'none'}"
        )
    return table[name]


class Bar:
    """A progress bar on stderr, or nothing where stderr is no terminal."""

    def __init__(self, progress: Any, task: Any) -> None:
        self._progress = progress
        self._task = task

    def at(self, fraction: float, detail: str = "") -> None:
        """How far the work is, 0 to 1."""
        if self._progress is not None:
            self._progress.update(self._task, total=1.0, completed=fraction, detail=detail)

    def describe(self, text: str) -> None:
        """What is being done now."""
        if self._progress is not None:
            self._progress.update(self._task, description=text)


@contextmanager
def progress(description: str) -> Iterator[Bar]:
    """A bar while the block runs: of unknown length until `at` is called."""
    if not sys.stderr.isatty():
        yield Bar(None, None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield Bar(shown, shown.add_task(description, total=None, detail=""))


def write_json(value: Any) -> None:
    """One JSON object on stdout; paths as strings."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def write_report(result: Any) -> None:
    """A result of `evaluate` or `train`, as text."""
    if not isinstance(result, Mapping):
        print(result)
        return
    baselines = result.get("baselines") or {}
    for key, value in result.items():
        if key not in ("metrics", "baselines"):
            print(f"{key:24} {_shown(value)}")
    for metric, value in (result.get("metrics") or {}).items():
        beside = [
            f"{name} {_shown(b[metric])}" for name, b in baselines.items() if isinstance(b.get(metric), int | float)
        ]
        print(f"  {metric:30} {_shown(value):>10}   {', '.join(beside)}".rstrip())


def write_models(cards: Sequence[Any]) -> None:
    """A table of shipped models."""
    if not cards:
        note("rapport: no model is shipped")
    width = max((len(card.name) for card in cards), default=0)
    for card in cards:
        if card.fault:
            note(f"rapport: {card.name} cannot be loaded: {card.fault}")
        print(f"{card.name:{width}}  {card.summary}")
        if card.labels:
            print(f"{'':{width}}  labels: {', '.join(card.labels)}")
        for data, figures in headline(card.scores):
            shown = ", ".join(f"{metric} {figure}" for metric, figure in figures)
            print(f"{'':{width}}  {f'on {data}: ' if data else ''}{shown}")


def write_card(card: Any) -> None:
    """A model's card: laid out on a terminal, as it is in a file."""
    if card.fault:
        note(f"rapport: {card.name} cannot be loaded: {card.fault}")
    if not sys.stdout.isatty():
        print(card.text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(card.text))


def write_bench(result: Mapping[str, Any]) -> None:
    """A result of `bench` as a table."""
    from rich.console import Console
    from rich.table import Table

    rows = result["rows"]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(title=f"{result['suite']} on {result['device']}, {result['threads']} threads", title_justify="left")
    for column in columns:
        table.add_column(
            column, justify="right" if any(isinstance(row.get(column), int | float) for row in rows) else "left"
        )
    for row in rows:
        table.add_row(*(_shown(row.get(column, "")) for column in columns))
    # A file has no width; a table cut to 80 columns there would lose its words.
    Console(width=None if sys.stdout.isatty() else 200, markup=False).print(table)


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(v) for v in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_shown(v)}" for k, v in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
