"""Imports point downwards, nothing can unpickle, and the tree is the one we agreed on."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import kernels

ROOT = Path(__file__).parents[1]
LAYERS = ("ui", "serve", "dialog", "models", "kernels")
"""From the outermost to the innermost; a layer knows itself and the ones after it."""
ROOMS: dict[str, tuple[tuple[str, ...], ...]] = {
    "dialog": (
        ("bench",),
        ("training",),
        ("evaluation",),
        ("annotation",),
        ("emotion", "geometry", "pictures", "replies", "speech", "telemetry"),
        ("correction",),
        ("corpora", "formats", "reading"),
        ("labels", "language", "metrics"),
        ("conversation",),
    ),
    "serve": (
        ("bench",),
        ("ray",),
        ("api", "retention"),
        ("replies",),
        ("batches", "chats", "speech"),
        ("leased",),
        ("correction", "emotion", "pictures", "repeats", "telemetry", "watch"),
        ("config", "storage"),
        ("database",),
        ("client", "edge"),
    ),
    "ui": (("commands",), ("page",), ("messages", "scores")),
}
"""The rooms of a layer, storey by storey from the top. A room knows itself and what stands below it."""
FORBIDDEN = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
FORBIDDEN_CALLS = {"torch.load", "torch.save", "torch.export.load", "torch.jit.load", "numpy.load", "np.load"}
THE_ONE_PLACE = {
    "models/encoders/efficientnet.py": "torch.load(io.BytesIO(data), map_location='cpu', weights_only=True)"
}
"""The package with EfficientNet-Lite2 holds a .pth. It is read once, tensors alone, from bytes whose SHA-256 was
checked: this very call, in this file, and no other."""
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


def faults(layer: str, source: str, path: str = "") -> list[str]:
    """Every reason why this source may not stand in that layer, as `line: reason`."""
    tree = ast.parse(source)
    excused = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n) == THE_ONE_PLACE.get(path)][:1]
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
            if called in FORBIDDEN_CALLS and node not in excused:
                found.append(f"{node.lineno}: {called} can run code from a file")
            found += [f"{node.lineno}: trust_remote_code" for word in node.keywords if word.arg == "trust_remote_code"]
    return found


def faults_of_room(layer: str, room: str, source: str) -> list[str]:
    """Every import of a room of the same layer that does not stand below this one, as `line: reason`."""
    storeys = {name: i for i, storey in enumerate(ROOMS.get(layer, ())) for name in storey}
    found = []
    for name, line in imported(ast.parse(source)):
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if top == layer and other in storeys and other != room and storeys[other] <= storeys.get(room, -1):
            found.append(f"{line}: {layer}.{room} imports {layer}.{other}, which does not stand below it")
    return found


@pytest.mark.parametrize("layer", ROOMS)
def test_every_room_has_its_storey(layer: str) -> None:
    there = {path.stem for path in (ROOT / layer).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there - {"__init__"} <= {room for storey in ROOMS[layer] for room in storey}


@pytest.mark.parametrize("layer", ROOMS)
def test_rooms_know_only_what_stands_below_them(layer: str) -> None:
    found = {}
    for path in sorted((ROOT / layer).rglob("*.py")):
        inside = path.relative_to(ROOT / layer)
        if reasons := faults_of_room(layer, Path(inside.parts[0]).stem, path.read_text("utf-8")):
            found[str(inside)] = reasons
    assert found == {}


@pytest.mark.parametrize(
    ("layer", "room", "source"),
    [
        ("dialog", "evaluation", "from dialog.training.loop import run"),
        ("dialog", "emotion", "import dialog.pictures.match"),
        ("serve", "edge", "def f():\n    from serve.emotion import schemas"),
        ("serve", "chats", "from serve import batches"),
        ("serve", "client", "from serve.batches.schemas import BatchOut"),
        ("serve", "client", "from serve.edge.limits import Limits"),
    ],
)
def test_an_import_across_or_up_is_found(layer: str, room: str, source: str) -> None:
    assert faults_of_room(layer, room, source)


def test_the_client_needs_neither_torch_nor_ray() -> None:
    heavy = ("torch", "ray", "transformers", "gradio", "fastapi", "numpy")
    told = f"import sys, serve.client; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards_and_nothing_unpickles(path: Path) -> None:
    inside = path.relative_to(ROOT)
    assert faults(inside.parts[0], path.read_text("utf-8"), inside.as_posix()) == []


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("models", "import dialog"),
        ("serve", "from ui.page.app import build_page"),
        ("kernels", "def f():\n    import models.config"),
        ("dialog", "import importlib\nimportlib.import_module('serve.ray.app')"),
        ("ui", "import pickle"),
        ("ui", "from torch import load"),
        ("ui", "import torch\ntorch.load('x')"),
        ("ui", "from transformers import AutoModel\nAutoModel.from_pretrained('x', trust_remote_code=False)"),
        ("ui", "from joblib import load"),
    ],
)
def test_a_forbidden_import_is_found(layer: str, source: str) -> None:
    assert faults(layer, source)


def test_the_one_file_of_weights_that_is_no_safetensors_is_read_in_one_place_and_one_way() -> None:
    (place, call), *others = THE_ONE_PLACE.items()
    assert not others
    assert faults("models", f"import io, torch\n{call}", place) == []
    assert faults("models", f"import io, torch\n{call}", "models/encoders/text.py")
    assert faults("models", f"import io, torch\n{call}\n{call}", place)
    assert faults("models", f"import io, torch\n{call.replace('True', 'False')}", place)
    assert faults("models", f"from torch import load\n{call}", place)


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
    assert names <= {*LAYERS, "tests", "docs", ".ci"}


def test_no_file_of_weights_can_hold_code() -> None:
    kinds = {path.suffix for path in (ROOT / "models" / "weights").rglob("*") if path.is_file()}
    assert kinds <= {".json", ".safetensors", ".md"}


def test_the_version_is_stated_once_and_the_same_everywhere() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert kernels.__version__ == declared == metadata.version("rapport")
