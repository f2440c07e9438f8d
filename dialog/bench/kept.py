"""Rows of a run that may be cut short: what has been measured stands in a file, and is not measured again."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class Kept:
    """Rows by name, kept in a file of one JSON object a line, or for this run alone where there is no file.

    The first line is what all rows have in common, such as the width and the machine: a file of other settings is
    refused with ValueError. A last line torn by a kill is cut off. Runs may take turns on one file, not share it.
    """

    def __init__(self, path: Path | None, common: Mapping[str, Any]) -> None:
        self.path = path
        self._rows: dict[str, Row] = {}
        if path is None:
            return
        if not path.exists() or not path.stat().st_size:
            path.write_text(_line(dict(common)), encoding="utf-8")
            return
        text = path.read_text(encoding="utf-8")
        whole, torn = text[: text.rfind("\n") + 1], text[text.rfind("\n") + 1 :]
        try:
            first, *rest = (json.loads(line) for line in whole.splitlines())
            self._rows = {row["name"]: row for row in rest}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} holds no rows of a run: {error}") from error
        if first != dict(common):
            raise ValueError(f"{path} holds rows of another run: {first}, and this one is {dict(common)}")
        if torn:
            path.write_text(whole, encoding="utf-8")

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __getitem__(self, name: str) -> Row:
        return self._rows[name]

    def row(self, name: str, measure: Callable[[], Mapping[str, Any]]) -> Row:
        """The row of that name: the one kept, or else the one measured now, which is kept from now on."""
        if name not in self._rows:
            self._rows[name] = {"name": name, **measure()}
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(_line(self._rows[name]))
        return self._rows[name]


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
