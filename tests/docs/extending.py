"""docs/extending.md as a newcomer follows it: its files become modules, its rows stand in our tables."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.docs.blocks import ROOT

_TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in re.split(r"^## ", _TEXT, flags=re.MULTILINE)[1:]}


def blocks(section: str) -> list[str]:
    """The code of a section, in order."""
    return re.findall(r"```python\n(.*?)```", SECTIONS[section], re.DOTALL)


class Newcomer:
    """Files under names of our packages, and rows in our tables, for as long as a test lasts."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch

    def file(self, name: str, source: str) -> ModuleType:
        """The module of that name, made of the source and imported."""
        path = self._folder / f"{name.rpartition('.')[2]}.py"
        path.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        self._monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    def row(self, table: dict[str, Any], row: str, names: dict[str, Any]) -> str:
        """Puts a row, as it would be pasted, into a table; its key."""
        ((key, entry),) = eval(f"{{{row}}}", dict(names)).items()
        self._monkeypatch.setitem(table, key, entry)
        return str(key)
