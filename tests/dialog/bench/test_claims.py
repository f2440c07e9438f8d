"""What papers claim of their mixers: each claim that wants no training, and the suite of those that do, in small."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dialog.bench import SUITES
from dialog.bench.claims import learned, suite
from dialog.bench.claims.learned import LEARNED, LearnedClaim, Trial, asked
from dialog.bench.claims.plain import PLAIN, Claim
from dialog.bench.claims.taught import PAYLOADS, distilled, flagged
from dialog.evaluation.recall import NO_LABEL, Task, Tier, recall_config

REFUTED = "where keys nearly collide, a loss of power 3 remembers better than the square"
TINY = Task(T=16, N=2, V=32)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("claim", PLAIN, ids=lambda claim: claim.says)
def test_a_claim_that_wants_no_training_comes_out_as_the_table_says(claim: Claim, seed: int) -> None:
    figures = claim.measure(seed)
    assert all(math.isfinite(value) for value in figures.values())
    assert claim.holds(figures) == (claim.says != REFUTED)


@pytest.mark.parametrize("claim", LEARNED, ids=lambda claim: claim.says)
def test_the_trials_of_a_claim_are_models_that_can_be_asked(claim: LearnedClaim) -> None:
    for trial in claim.trials.values():
        recall_config(trial.mixer, 64, **trial.fields)
    assert claim.holds(dict.fromkeys(claim.trials, 50.0)) in (True, False)


def test_half_of_the_queries_in_runs_ask_for_what_the_one_before_asked() -> None:
    inputs, labels = asked(3, True, torch.Generator().manual_seed(0))
    keys, values = inputs[:, 0:8:2], inputs[:, 1:8:2]
    queried = labels != NO_LABEL
    assert queried.sum(1).tolist() == [16] * 3
    assert (inputs[:, 8::2] == keys.repeat_interleave(4, 1)).all()
    assert (labels[:, 8::2] == values.repeat_interleave(4, 1)).all()
    apart, _ = asked(3, False, torch.Generator().manual_seed(0))
    assert all(len(set(row.tolist())) == 4 for row in apart[:, 8::2].unflatten(1, (4, 4)).flatten(0, 1))


def test_recycled_attention_is_softmax_attention_where_every_step_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "STRIDE", 1)
    found = learned.recycled(0, steps=1, n_test=4)
    assert len({value for name, value in found.items() if "runs" in name}) == 1


def test_a_text_has_one_flagged_token_and_is_asked_for_it_from_there_on() -> None:
    inputs, labels = flagged(50, torch.Generator().manual_seed(0), length=12)
    for text, wanted in zip(inputs.tolist(), labels.tolist(), strict=True):
        (place,) = (i for i, token in enumerate(text) if token >= PAYLOADS)
        assert wanted == [NO_LABEL] * place + [text[place] - PAYLOADS] * (12 - place)


def test_a_layer_that_is_taught_comes_nearer_to_the_layer_it_is_made_of() -> None:
    before, after = (distilled(0, steps=steps, n_test=4) for steps in (0, 10))
    assert all(after[name] < before[name] for name in ("both, norm row", "both, norm none", "gated alone"))


def test_the_suite_has_a_row_a_claim_and_trains_what_two_claims_share_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(mixer="aaren", tier=Tier(train=(TINY,), test=(TINY,), steps=1, batch=4, n_test=8))
    claim = LearnedClaim(paper="Shared", says="it recalls", trials={"it": trial}, holds=lambda f: f["it"] >= 0)
    monkeypatch.setattr(suite, "LEARNED", (claim, replace(claim, says="it recalls all", holds=lambda f: f["it"] > 100)))
    monkeypatch.setattr(suite, "TAUGHT", ())
    trained = []
    recall = Trial.recall
    monkeypatch.setattr(Trial, "recall", lambda self, seed: trained.append(seed) or recall(self, seed))
    answer = SUITES["claims"](only="Shared", repeats=2, keep=tmp_path / "rows")
    json.dumps(answer)
    assert [row["holds"] for row in answer["rows"]] == [True, False]
    assert trained == [0, 1]
    assert SUITES["claims"](only="Shared", repeats=2, keep=tmp_path / "rows")["rows"] == answer["rows"]
    assert trained == [0, 1]
