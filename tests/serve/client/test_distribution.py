"""The client alone: a wheel without torch, Ray or anything else of ours, and its README as it is pasted from there."""

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

from serve import client as whole
from serve.batches.schemas import BatchFailure, BatchOut, CallbackOut
from serve.batches.worker import Worker
from serve.client.calls import batches
from serve.config import BatchesConfig
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from tests.dialog.tiny_visual import make_visual, picture
from tests.serve.conftest import TAGGER
from tests.serve.edge.test_over_http import LIMITS, Served

ROOT = Path(__file__).parents[3]
HOME = ROOT / "serve" / "client"
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))["project"]
EXAMPLES = re.findall(r"^```python\n(.*?)^```", (HOME / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
NEEDED = ("rapport_client", "httpx", "httpcore", "h11", "anyio", "sniffio", "certifi", "idna", "orjson", "tenacity")
BLOCKED = """
import sys
from importlib.abc import MetaPathFinder

class Wall(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in NEEDED:
            raise ImportError(f"{name} must not be needed")

sys.meta_path.insert(0, Wall())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", build], cwd=HOME, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_alone(installed: Path, program: str) -> str:
    """What a program prints that can import the client and what it needs, and nothing else."""
    site = Path(whole.__file__).parent  # nothing of the checkout is found from here
    code = f"NEEDED = {NEEDED!r}\nimport sys\nsys.path.insert(0, {str(installed)!r})\n{BLOCKED}\n{program}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=site.anchor, env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_one_package_that_is_small_and_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        conversation = archive.read("rapport_client/conversation.py")
        size = sum(entry.file_size for entry in archive.infolist())
    sources = {f"rapport_client/{path.relative_to(HOME)}" for path in HOME.rglob("*.py")}
    assert names == sources | {"rapport_client/py.typed"}
    assert conversation == (ROOT / "dialog" / "conversation.py").read_bytes()
    assert size < 200_000


def test_alone_it_needs_nothing_heavy_and_speaks_to_a_service(installed: Path) -> None:
    program = """
import httpx, rapport_client
def answer(request):
    return httpx.Response(200, json={"models": [], "request_id": "r"})
client = rapport_client.Client(transport=httpx.MockTransport(answer))
assert client.models() == ()
said = rapport_client.Utterance(speaker="Ann", text="hi")
print(rapport_client.Conversation(id="a", utterances=(said,)).to_dict())
print(sorted(rapport_client.__all__))
try:
    import torch
except ImportError as error:
    print(error)
"""
    shown = run_alone(installed, program).splitlines()
    assert "'speaker': 'Ann'" in shown[0]
    assert shown[1] == str(sorted(whole.__all__))
    assert shown[2] == "torch must not be needed"


def test_it_is_of_the_version_of_the_service_and_asks_for_what_that_has() -> None:
    main = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert PROJECT["version"] == main["version"]
    assert PROJECT["requires-python"] == main["requires-python"]
    assert set(PROJECT["dependencies"]) <= set(main["dependencies"])
    assert {re.split(r"[>=<]", need)[0] for need in PROJECT["dependencies"]} <= set(NEEDED)


@pytest.mark.parametrize(
    ("kind", "told"), [(batches.Batch, BatchOut), (batches.BatchFailure, BatchFailure), (batches.Callback, CallbackOut)]
)
def test_a_batch_has_the_fields_that_the_service_tells(kind: Any, told: Any) -> None:
    assert {field.name for field in fields(kind)} == set(told.model_fields)
    if "state" in told.model_fields:
        state = next(field for field in fields(kind) if field.name == "state")
        assert get_args(state.type) == get_args(told.model_fields["state"].annotation)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    eyes = make_visual(tmp_path / "eyes", familiar=True)
    served = Served(tmp_path, engine=str(eyes))
    worker = Worker(served.storage, LocalLabeller(Taggers(TAGGER)), LIMITS, BatchesConfig())
    worker.start()
    yield served
    worker.stop()
    served.stop()


def test_the_examples_of_its_readme_run(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chat.txt").write_text("Ann: I finally got the job!!\nBo: wonderful\n")
    picture(0, (48, 40)).save(tmp_path / "photo.png")
    monkeypatch.setitem(sys.modules, "rapport_client", whole)
    names: dict[str, Any] = {}
    for example in EXAMPLES:
        exec(
            compile(example.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{served.port}"), "README.md", "exec"),
            names,
        )
    shown = capsys.readouterr().out
    assert len(EXAMPLES) == 7
    assert "Ann joy 0.8" in shown
    assert "['joy']" in shown
    assert "done 1.0" in shown
    assert "404 not-found" in shown
    assert "Ann" in (tmp_path / "labelled.csv").read_text()
