"""A newcomer adds a mixer: one file of thirty lines and one row in the table. Here both are made, and then held to the
promises of test_contract.py, put in a backbone, and sent to disk and back."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from models.backbone import Backbone, BackboneConfig
from models.mixers import MIXERS, build_mixer
from models.mixers.base import SequenceMixer
from tests.models.mixers import test_contract as contract

# ---- the newcomer's file: from here ----


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningMeanConfig:
    d_model: int


class RunningMeanState(NamedTuple):
    total: Tensor  # (B, D)
    count: Tensor  # (B, 1)


class RunningMean(SequenceMixer[RunningMeanState]):
    """y_t = W (x_1 + ... + x_t) / t."""

    def __init__(self, config: RunningMeanConfig) -> None:
        super().__init__()
        self.out = nn.Linear(config.d_model, config.d_model, bias=False)

    def initial_state(self, batch: int) -> RunningMeanState:
        weight = self.out.weight
        return RunningMeanState(weight.new_zeros(batch, len(weight)), weight.new_zeros(batch, 1))

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: Any = None
    ) -> tuple[Tensor, RunningMeanState]:
        self.refuse_ids(ids)
        total, count = self.initial_state(len(x)) if state is None else state
        real = torch.ones_like(x[..., :1]) if mask is None else mask[..., None].to(x.dtype)
        totals = total[:, None] + (x.masked_fill(real == 0, 0.0)).cumsum(1)  # a padded step adds nothing
        counts = count[:, None] + real.cumsum(1)
        y = self.out(totals / counts.clamp_min(1)) * real
        return y, RunningMeanState(totals[:, -1], counts[:, -1])


# ---- to here; and the row in MIXERS ----


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(MIXERS, "running_mean", (RunningMeanConfig, RunningMean))
    return "running_mean"


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


def test_a_newcomers_file_is_about_thirty_lines() -> None:
    text = Path(__file__).read_text("utf-8")
    own = text[text.index("from here ----") : text.index("# ---- to here")]
    assert sum(bool(line.strip()) for line in own.splitlines()[1:]) <= 36


def test_a_newcomer_stands_in_a_backbone_and_survives_the_disk(row: str, tmp_path: Path) -> None:
    model = Backbone(BackboneConfig(d_model=8, mixers=(row, "gla"))).eval()
    again = Backbone.load(model.save(tmp_path))
    x = torch.randn(2, 5, 8)
    assert torch.equal(again(x)[0], model(x)[0])
    state = again.initial_state(2)
    for t in range(5):
        y, state = again.step(x[:, t], state)
    torch.testing.assert_close(y, model(x)[0][:, -1])
