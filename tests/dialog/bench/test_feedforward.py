"""The suite of feed-forwards in a small form."""

import json
from typing import get_args

import pytest
import torch

from dialog.bench import SUITES
from dialog.bench.feedforward import _kept, _layer
from models.feedforward import Kind


def test_the_suite_has_a_row_a_kind_at_equal_parameters() -> None:
    answer = SUITES["feedforward"](d_model=32, n_tokens=8, repeats=1, steps=3, seeds=2)
    json.dumps(answer)
    assert [row["name"] for row in answer["rows"]] == list(get_args(Kind))
    mlp = answer["rows"][0]
    assert mlp["ratio"] == 1.0
    for row in answer["rows"]:
        assert row["ratio"] == pytest.approx(row["seconds"] / mlp["seconds"])
        assert row["parameters"] == pytest.approx(mlp["parameters"], rel=0.01)
        assert row["smooth"] > 0
        assert row["products"] > 0


def test_what_is_kept_for_backward_is_counted_once_and_without_parameters() -> None:
    x = torch.randn(1, 8, 32, requires_grad=True)
    hidden = 4 * 8 * 128
    assert _kept(_layer("mlp", 32), x) == 2 * hidden  # before its activation and after
