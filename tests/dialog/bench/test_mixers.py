"""The suites of mixers and kernels in a small form: every row has its peer from the same run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dialog.bench import SUITES, kernels, mixers, recall
from dialog.bench.kernel_cases import Case, Size, cases
from dialog.bench.kernel_peers import cases_beside_pytorch
from dialog.evaluation.recall import TIERS, Task, Tier, recall_model
from kernels.backend import Backend

SMALL = Size(B=1, H=2, T=16, K=4, dtype=torch.float32, device=torch.device("cpu"))


def test_the_mixers_suite_has_a_row_for_each_mixer_and_length() -> None:
    answer = SUITES["mixers"](mixers=("gla", "rat", "brnn", "identity_attention"), lengths=(16, 32), repeats=1)
    json.dumps(answer)
    assert answer["suite"] == "mixers"
    rows = {row["name"]: row for row in answer["rows"]}
    assert list(rows) == [f"{m}, T = {T}" for m in ("gla", "rat", "brnn", "identity_attention") for T in (16, 32)]
    for row in rows.values():
        assert row["ratio"] == pytest.approx(row["seconds"] / row["peer_seconds"])
        assert row["forward_ratio"] > 0
        assert row["parameters"] > 0
    gla, rat = (rows[f"{name}, T = 32"] for name in ("gla", "rat"))
    assert gla["state_bytes"] == rows["gla, T = 16"]["state_bytes"] == 4 * 128**2 // 8
    assert rat["state_bytes"] - rows["rat, T = 16"]["state_bytes"] == 4 * 2 * 128
    assert gla["step_ratio"] > 0
    assert "step_ratio" not in rows["brnn, T = 16"]


def test_a_slow_mixer_is_not_asked_for_longer_sequences() -> None:
    rows = SUITES["mixers"](mixers=("rhn",), lengths=(8, 16), repeats=1, longest=0.0)["rows"]
    assert [row["T"] for row in rows] == [8]


def test_recall_stands_in_the_suite_with_softmax_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(T=16, N=2, V=32)
    monkeypatch.setitem(TIERS, "smoke", Tier(train=(task,), test=(task,), steps=2, batch=8, n_test=16, every=2))
    rows = SUITES["mixers"](mixers=("gla", "gru", "brnn"), lengths=(), recall=("smoke",), repeats=1)["rows"]
    assert [row["mixer"] for row in rows] == ["softmax", "gla", "gru"]
    assert all(row["ratio"] == pytest.approx(row["recall"] / max(rows[0]["recall"], 1e-9)) for row in rows)
    assert all(0 <= row["recall"] <= 100 and row["state_floats"] > 0 for row in rows)


def test_a_mixer_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no mixer nonesuch"):
        SUITES["mixers"](mixers=("nonesuch",))
    with pytest.raises(ValueError, match="no tier huge"):
        SUITES["mixers"](mixers=("gla",), lengths=(), recall=("huge",))
    with pytest.raises(ValueError, match="a length of 0"):
        SUITES["mixers"](mixers=("gla",), lengths=(16, 0))


def test_the_kernels_suite_measures_every_op_forwards_and_backwards() -> None:
    answer = SUITES["kernels"](size=SMALL, repeats=1)
    json.dumps(answer)
    names = [row["name"] for row in answer["rows"]]
    for case in cases(SMALL):
        assert f"{case.name}, forward" in names
    assert sum("forward and backward" in name for name in names) >= 11
    beside = {"SDPA with the same mask", "plain scores", "plain chunks", "torch.gru"}
    assert {row["peer"] for row in answer["rows"]} == {"the reference", *beside}
    for row in answer["rows"]:
        assert "error" not in row, row
        assert row["ratio"] == pytest.approx(row["seconds"] / row["peer_seconds"])


@pytest.mark.parametrize("case", [*cases(SMALL), *cases_beside_pytorch(SMALL)], ids=lambda case: case.name)
def test_what_is_timed_computes_the_same(case: Case) -> None:
    # Float32 rounds differently from processor to processor; what is asked is that both mean the same.
    exact = [x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in case.inputs]
    ours, peers = case.ours("torch")(*exact), case.ours("reference")(*exact)
    torch.testing.assert_close(ours, peers, rtol=1e-9, atol=1e-9)
    for peer in case.beside.values():
        torch.testing.assert_close(peer(*exact), ours, rtol=1e-9, atol=1e-9)


def test_what_cannot_run_is_a_row_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(size: Size) -> Iterator[Case]:
        def ours(backend: Backend) -> Any:
            def run(x: torch.Tensor) -> torch.Tensor:
                raise ValueError("no such luck")

            return run

        yield Case(name="broken", shape="", inputs=(torch.ones(1),), ours=ours, peers={}, n_bytes=1, flops=1)

    monkeypatch.setattr(kernels, "cases", broken)
    (row,) = kernels.measure(size=SMALL, only="broken")["rows"]
    assert row["error"] == "ValueError: no such luck"
    assert kernels.measure(size=SMALL, only="whole")["rows"] == []


def test_decoding_goes_on_from_each_position_with_the_state_it_has_there() -> None:
    rows = SUITES["mixers"](mixers=("gla", "softmax", "brnn"), lengths=(), decode=(8, 40), repeats=1)["rows"]
    found = {(row["mixer"], row["position"]): row for row in rows}
    assert set(found) == {("gla", 8), ("gla", 40), ("softmax", 8), ("softmax", 40)}  # brnn has no step
    assert found["gla", 8]["state_bytes"] == found["gla", 40]["state_bytes"]
    assert found["softmax", 40]["state_bytes"] - found["softmax", 8]["state_bytes"] == 32 * 4 * 2 * 128
    assert all(row["tokens_per_second"] == pytest.approx(1 / row["seconds"]) for row in rows)


def test_a_longer_sequence_keeps_more_for_the_backward_pass() -> None:
    rows = SUITES["mixers"](mixers=("gla",), lengths=(64, 128), repeats=1)["rows"]
    assert 1.5 < rows[1]["kept_bytes"] / rows[0]["kept_bytes"] < 2.5


def test_the_needle_is_looked_for_at_up_to_sixteen_times_the_length_trained_on() -> None:
    tier = TIERS["needle"]
    assert [task.T // tier.train[0].T for task in tier.test] == [1, 2, 4, 16]
    inputs, labels = tier.test[-1].draw(3, 5)
    asked = labels != -100
    assert asked.sum(1).tolist() == [2, 2, 2]
    assert (inputs[:, 1:4:2].sort(1).values == labels[asked].view(3, 2).sort(1).values).all()


def test_a_run_that_was_cut_goes_on_and_measures_nothing_twice(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    first = mixers.measure(mixers=("gla",), lengths=(8,), repeats=1, keep=file)["rows"]
    with file.open("a", encoding="utf-8") as torn:
        torn.write('{"name": "gla, T = 16", "mixer"')
    whole = mixers.measure(mixers=("gla", "gated_conv"), lengths=(8, 16), decode=(4,), repeats=1, keep=file)["rows"]
    assert whole[0] == first[0]
    assert [row["name"] for row in whole if "T" in row] == [
        f"{name}, T = {T}" for name in ("gla", "gated_conv") for T in (8, 16)
    ]
    again = mixers.measure(mixers=("gla", "gated_conv"), lengths=(8, 16), decode=(4,), repeats=1, keep=file)["rows"]
    assert again == whole
    with pytest.raises(ValueError, match="holds rows of another run"):
        mixers.measure(mixers=("gla",), lengths=(8,), d_model=64, keep=file)


def test_a_row_past_the_peer_and_one_too_long_for_a_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixers, "PEER_UP_TO", 8)
    short, long = mixers.measure(mixers=("gla",), lengths=(16, 8), repeats=1)["rows"]
    assert (short["T"], long["T"]) == (8, 16)
    assert "ratio" in short
    assert "ratio" not in long
    assert long["seconds"] > 0
    monkeypatch.setattr(mixers, "MOST_KEPT", 1)
    short, long = mixers.measure(mixers=("gla",), lengths=(8, 16), repeats=1)["rows"]
    assert "kept_bytes" in short  # nothing was known before it
    assert "seconds" not in long
    assert long["forward_seconds"] > 0


@pytest.mark.parametrize(("name", "what"), [("gla", "parameters"), ("softmax", "state"), ("min_rnn", "state")])
def test_models_made_equal_are_as_near_as_a_width_can_be(name: str, what: str) -> None:
    width = recall.equal_width(name, "smoke", what)
    if name == "min_rnn":  # a vector for a state: the widest there is still has less
        assert width == max(recall.WIDTHS)
        return
    wanted = recall_model("softmax" if what == "parameters" else "gla", 512)
    found = recall_model(name, 512, width)
    sizes = [
        sum(p.numel() for p in model.parameters()) if what == "parameters" else model.backbone.state_floats(64)
        for model in (wanted, found)
    ]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


def test_what_cannot_be_made_equal_is_refused() -> None:
    with pytest.raises(ValueError, match="not in colour"):
        mixers.measure(mixers=("gla",), lengths=(), recall=("smoke",), equal=("colour",))
    with pytest.raises(ValueError, match="no tier of it"):
        mixers.measure(mixers=("gla",), lengths=(), equal=("state",))
