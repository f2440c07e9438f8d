"""Imports point downwards, nothing can unpickle, and the tree is the one we agreed on."""

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import kernels

ROOT = Path(__file__).parents[1]
LAYERS = ("ui", "serve", "dialog", "models", "kernels")
"""From the outermost to the innermost; a layer knows itself and the ones after it."""
FORBIDDEN = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
FORBIDDEN_CALLS = {"torch.load", "torch.save", "torch.export.load", "torch.jit.load", "numpy.load", "np.load"}
SOURCES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The dotted name and line of every absolute import in a file, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module, node.lineno
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            named = (a.value for a in node.args[:1] if isinstance(a, ast.Constant))
            yield from ((name, node.lineno) for name in named if isinstance(name, str))


def faults(layer: str, source: str) -> list[str]:
    """Every reason why this source may not stand in that layer, as `line: reason`."""
    tree = ast.parse(source)
    allowed = LAYERS[LAYERS.index(layer) :]
    found = []
    for name, line in imported(tree):
        top = name.partition(".")[0]
        if top in LAYERS and top not in allowed:
            found.append(f"{line}: {layer} imports {top}, which stands above it")
        if top == "tests":
            found.append(f"{line}: {layer} imports from the tests")
        if top in FORBIDDEN or name in FORBIDDEN_CALLS:
            found.append(f"{line}: {name} can run code from a file")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS:
                found.append(f"{node.lineno}: {called} can run code from a file")
            found += [f"{node.lineno}: trust_remote_code" for word in node.keywords if word.arg == "trust_remote_code"]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards_and_nothing_unpickles(path: Path) -> None:
    assert faults(path.relative_to(ROOT).parts[0], path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("models", "import dialog"),
        ("serve", "from ui.app import build_page"),
        ("kernels", "def f():\n    import models.config"),
        ("dialog", "import importlib\nimportlib.import_module('serve.app')"),
        ("ui", "import pickle"),
        ("ui", "from torch import load"),
        ("ui", "import torch\ntorch.load('x')"),
        ("ui", "from transformers import AutoModel\nAutoModel.from_pretrained('x', trust_remote_code=False)"),
        ("ui", "from joblib import load"),
    ],
)
def test_a_forbidden_import_is_found(layer: str, source: str) -> None:
    assert faults(layer, source)


def test_a_downward_import_is_fine() -> None:
    assert faults("ui", "from serve.client import Client\nimport dialog.conversation, torch") == []


def test_every_folder_with_sources_is_a_package() -> None:
    """A folder without __init__.py would be missing from the wheel."""
    folders = {path.parent for path in SOURCES}
    assert [str(f.relative_to(ROOT)) for f in sorted(folders) if not (f / "__init__.py").exists()] == []


def test_only_agreed_folders_stand_at_the_top() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:  # not a checkout but an unpacked archive
        names = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
        names = {name for name in names if not name.startswith(".") and name != "build"}
    else:
        names = {line.split("/")[0] for line in listed.stdout.splitlines() if "/" in line}
    assert names <= {*LAYERS, "tests", ".ci"}


def test_no_file_of_weights_can_hold_code() -> None:
    kinds = {path.suffix for path in (ROOT / "models" / "weights").rglob("*") if path.is_file()}
    assert kinds <= {".json", ".safetensors", ".md"}


def test_the_version_is_stated_once_and_the_same_everywhere() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert kernels.__version__ == declared == metadata.version("rapport")
