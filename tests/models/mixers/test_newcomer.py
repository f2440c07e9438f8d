"""A newcomer adds a mixer as docs/extending.md shows it: its file and its row are taken from there, then held to the
promises of test_contract.py, put in a backbone, and sent to disk and back."""

import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from dialog.evaluation.recall import recall_config
from models.backbone import Backbone, BackboneConfig
from models.mixers import MIXERS, build_mixer
from tests.models.mixers import test_contract as contract

EXTENDING = (Path(__file__).parents[3] / "docs" / "extending.md").read_text("utf-8")
SOURCE, ROW = re.findall(r"```python\n(.*?)```", EXTENDING.split("## A mixer")[1], re.DOTALL)[:2]
NAME = "models.mixers.running_mean"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The newcomer's file, imported."""
    path = tmp_path / "running_mean.py"
    path.write_text(SOURCE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, NAME, made)
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def row(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> str:
    """The newcomer's row, in the table."""
    ((name, entry),) = eval(f"{{{ROW}}}", vars(module)).items()
    monkeypatch.setitem(MIXERS, name, entry)
    return str(name)


PROMISES = [
    function
    for name, function in vars(contract).items()
    if name.startswith("test_") and {"case", "streaming"} & set(inspect.signature(function).parameters)
]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_newcomer_is_held_to_every_promise(row: str, promise: Any) -> None:
    mixer = build_mixer(row, d_model=contract.WIDTH).double().eval()
    x = torch.randn(contract.BATCH, contract.TOKENS, contract.WIDTH, dtype=torch.float64)
    arguments = dict.fromkeys({"case", "streaming"}, contract.Case(mixer, x, None)) | {"cut": 5}
    wanted = inspect.signature(promise).parameters
    if set(wanted) - set(arguments):
        pytest.skip(f"asks for {', '.join(wanted)}")
    promise(**{name: arguments[name] for name in wanted})


def test_a_newcomers_file_is_thirty_lines_and_its_row_one() -> None:
    assert sum(bool(line.strip()) for line in SOURCE.splitlines()) <= 30
    assert len(ROW.strip().splitlines()) == 1


def test_a_newcomer_stands_in_a_backbone_and_survives_the_disk(row: str, tmp_path: Path) -> None:
    model = Backbone(BackboneConfig(d_model=8, mixers=(row, "gla"))).eval()
    again = Backbone.load(model.save(tmp_path))
    x = torch.randn(2, 5, 8)
    assert torch.equal(again(x)[0], model(x)[0])
    state = again.initial_state(2)
    for t in range(5):
        y, state = again.step(x[:, t], state)
    torch.testing.assert_close(y, model(x)[0][:, -1])


def test_a_newcomer_is_asked_for_recall_by_its_name(row: str) -> None:
    assert type(recall_config(row, 32).backbone.mixers[1]).__name__ == "RunningMeanConfig"
