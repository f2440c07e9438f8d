"""What README and docs/ say is so: their tables are the figures we keep, and what they name is there."""

import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from dialog.corpora.original import ORIGINS
from serve.config import AppConfig
from tests.docs.benches import RUNS, run_of
from tests.docs.blocks import PARTS, ROOT, documents, filled, parts_of
from tests.docs.configuration import described
from tests.docs.plots import DRAWINGS
from tests.docs.summary import all_rows
from ui.commands.main import COMMANDS

LAYERS = ("ui", "serve", "dialog", "models", "kernels")
DOCUMENTS = pytest.mark.parametrize("path", list(documents()), ids=lambda path: str(path.relative_to(ROOT)))
CODE = re.compile(r"`([^`\n]+)`")
_NAMED = re.compile(r"^(?:class )?(\w+)(?=[(:]| = )", re.MULTILINE)


@DOCUMENTS
def test_a_table_is_what_would_be_generated(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text == filled(text), "run `make docs`"


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
def test_a_drawing_is_what_would_be_drawn(path: Path) -> None:
    drawn = path.read_text(encoding="utf-8")
    assert drawn == DRAWINGS[path](), "run `make docs`"
    assert ElementTree.fromstring(drawn).tag.endswith("svg")


def test_every_table_stands_in_one_document() -> None:
    assert sorted(part for path in documents() for part in parts_of(path.read_text("utf-8"))) == sorted(PARTS)


def test_readme_is_read_in_one_sitting() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 160


def test_readme_says_first_what_falls_short() -> None:
    lines = PARTS["how good"]().splitlines()[2:]
    assert len(lines) == len(all_rows()) == 8
    short = ["**short**" in line for line in lines]
    assert short == sorted(short, reverse=True)


@DOCUMENTS
def test_a_link_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text("utf-8"))
    local = [unquote(target) for target in targets if "://" not in target]
    assert [target for target in local if not (path.parent / target).exists()] == []


@DOCUMENTS
def test_a_path_of_ours_exists(path: Path) -> None:
    named = {word for code in CODE.findall(path.read_text("utf-8")) for word in code.split()}
    ours = {word for word in named if re.match(rf"(?:{'|'.join(LAYERS)}|tests|docs)/[\w./*-]*$", word)}
    assert sorted(word for word in ours if not any(ROOT.glob(word.rstrip("/")))) == []


@DOCUMENTS
def test_a_class_of_ours_exists(path: Path) -> None:
    """A name in the manner of classes, alone in its quotation marks or before a dot."""
    named = set(re.findall(r"`((?:[A-Z][a-z0-9]+){2,})(?:\.\w+)?`", path.read_text("utf-8")))
    assert sorted(named - classes()) == []


@DOCUMENTS
def test_a_command_takes_what_it_is_given(path: Path) -> None:
    known = {command.__name__: options_of(command.__name__) for command in COMMANDS}
    known["database"] = {"--config", "--data-dir", "--help"}  # of every command under it
    known["maintain"] = {option for name in ("train", "watch") for option in options_of("maintain", name)}
    text = path.read_text("utf-8")
    lines = [*CODE.findall(text), *(line.strip() for line in text.splitlines() if line.startswith("    "))]
    for line in lines:
        for said in re.findall(r"(?:^|[/ ])rapport ([a-z]+\b[^|;>#]*)", line):
            command, *words = said.split()
            assert command in known, line
            options = {word.partition("=")[0].rstrip("`.,)") for word in words if word.startswith("--")}
            assert options <= known[command], line


def test_every_setting_is_explained() -> None:
    assert [name for name, words in described(AppConfig) if not words] == []


def test_every_variable_is_named() -> None:
    """Those of settings are known by their rule; `RAPPORT_PROXY_*` pass between our own processes."""
    sources = [path.read_text("utf-8") for layer in LAYERS for path in (ROOT / layer).rglob("*.py")]
    used = {name for source in sources for name in re.findall(r"RAPPORT_(?!PROXY_)[A-Z_]+[A-Z]", source)}
    told = (ROOT / "docs" / "operating.md").read_text("utf-8")
    assert sorted(name for name in used if name not in told) == []


PART_OF = {"needle": "mixers", "equal": "mixers"}
"""Runs of a part of a suite, kept by themselves."""


@pytest.mark.parametrize("path", sorted(RUNS.glob("*.json")), ids=lambda path: path.stem)
def test_a_bench_run_says_what_it_is_where_and_when(path: Path) -> None:
    run = run_of(path.stem)
    assert run["suite"] == PART_OF.get(path.stem, path.stem)
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", run["date"])
    assert run["device"]
    assert "rapport" in run["command"]
    assert run["threads"] >= 1
    assert len({row["name"] for row in run["rows"]}) == len(run["rows"]) > 0


def test_the_documents_say_where_every_corpus_is_published() -> None:
    training = (ROOT / "docs" / "training.md").read_text("utf-8")
    for corpus, origin in ORIGINS.items():
        assert f"https://github.com/{origin.repository}) | `{origin.folder}`" in training, corpus


@lru_cache
def classes() -> set[str]:
    """Every class of ours, and every alias that is written like one."""
    sources = (path.read_text("utf-8") for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
    return {name for source in sources for name in _NAMED.findall(source)}


def options_of(*names: str) -> set[str]:
    """The options of a command of ours, or of one under a command, both halves of a switch."""
    import typer.main

    from ui.commands.main import app

    command = typer.main.get_command(app)
    for name in names:
        command = command.commands[name]  # type: ignore[attr-defined]
    return {"--help"} | {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
