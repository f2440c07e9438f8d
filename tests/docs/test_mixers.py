"""docs/mixers.md tells of every mixer there is, and what it shows runs."""

import re
from typing import Any

import pytest

from models.mixers import MIXERS, build_mixer
from tests.docs.benches import run_of
from tests.docs.blocks import ROOT

TEXT = (ROOT / "docs" / "mixers.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def rows(section: str) -> list[list[str]]:
    """The cells of a section's first table, without its head."""
    lines = TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][1:]


def names(cell: str) -> list[str]:
    """`titans_mac, _mag` are two."""
    first, *others = cell.split(", ")
    return [first, *(first.rpartition("_")[0] + other if other.startswith("_") else other for other in others)]


def test_every_mixer_has_its_paper_state_costs_and_when_to_take_it() -> None:
    told = rows("Which one")
    assert sorted(name for row in told for name in names(row[0])) == sorted(MIXERS)
    assert [row for row in told if len(row) != 6 or not all(row)] == []
    assert [row[0] for row in told if not re.search(r"\(https://arxiv|the same's|19\d\d", row[1])] == []


def test_every_mixer_has_its_recall_or_it_is_said_that_nobody_asked() -> None:
    asked = {row["mixer"] for row in run_of("equal")["rows"]}
    without = {name for name in MIXERS if not _can_recall(name)}
    assert asked | without == set(MIXERS)
    table = {row[0]: row for row in rows("What they recall and cost")}
    assert all(table[name][1] == "not asked" for name in without)


@pytest.mark.parametrize("source", EXAMPLES)
def test_an_example_runs(source: str) -> None:
    exec(compile(source, "docs/mixers.md", "exec"), {})


def test_every_mixer_has_an_example_that_changes_it() -> None:
    said: dict[str, Any] = {}
    exec(EXAMPLES[1], said)
    assert list(said["examples"]) == [name for row in rows("Which one") for name in names(row[0])]
    for name, fields in said["examples"].items():
        config = build_mixer(name, d_model=64).config
        assert all(getattr(config, field) != value for field, value in fields.items()), name


def _can_recall(name: str) -> bool:
    mixer = build_mixer(name, d_model=16)
    return mixer.streams and not mixer.takes_ids
