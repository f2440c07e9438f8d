"""`rapport evaluate causes`: what is asked, with which emotions, and what is made of the answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from dialog.conversation import Conversation
from dialog.corpora.cause_pairs import fold_1, targets
from dialog.emotion.tagger import EmotionTagger
from dialog.evaluation.emotion.cause_scores import Answer, cause_scores
from dialog.evaluation.emotion.causes import evaluate_causes
from dialog.evaluation.tasks import TASKS
from tests.dialog.tiny import WORDS


def conversation(n: int, *, spans: bool = True) -> Conversation:
    """Every third utterance is emotional, caused by itself and by the one before it, now and then from nowhere."""
    utterances: list[dict[str, Any]] = []
    for i in range(n):
        u: dict[str, Any] = {
            "speaker": "AB"[i % 2],
            "text": f"{WORDS[i % 24]} {WORDS[(5 * i) % 24]}",
            "emotion": "neutral",
        }
        if i % 3 == 2:
            u["emotion"] = "happiness" if spans else "joy"
            u["causes"] = [
                {"utterance": i, "span": WORDS[i % 24] if spans else None},
                {"utterance": i - 1, "span": utterances[-1]["text"] if spans else None},
            ]
            if i % 2:
                u["causes"].append({"utterance": None, "span": None})
        utterances.append(u)
    return Conversation.from_dict({"id": f"c{n}", "utterances": utterances})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps(conversation(n).to_dict()) + "\n" for n in (6, 14, 9)))
    return path


def test_the_answer_has_every_part(path: Path, model_folder: Path, causes_folder: Path, finding: EmotionTagger) -> None:
    told: list[tuple[int, int]] = []
    answer = evaluate_causes(
        [path], causes_folder, emotions=model_folder, progress=lambda done, n: told.append((done, n))
    )
    assert finding.causes
    assert (answer["task"], answer["model"]) == ("causes", finding.causes.version)
    assert answer["emotions"] == finding.version_alone
    rows = [row for n in (6, 14, 9) for row in fold_1(targets(conversation(n)))]
    assert answer["n"] == len({(n, row.target) for n in (6, 14, 9) for row in fold_1(targets(conversation(n)))})
    assert answer["n_positive_rows"] == sum(row.positive for row in rows)
    assert answer["n_negative_rows"] == sum(not row.positive for row in rows)
    assert told == [(1, 2), (2, 2)]
    metrics = answer["metrics"]
    for prefix in ("", "predicted_", "end_to_end_", "live_", "live_predicted_", "live_end_to_end_"):
        assert 0 <= metrics[f"{prefix}positive_f1"] <= 100
        assert 0 <= metrics[f"{prefix}ece"] <= 1
        low, high = metrics[f"{prefix}positive_f1_95"]
        assert low <= high
    assert "pair_weighted_f1" not in metrics
    assert answer["habit"] == "reccon"
    assert not any(name.startswith("as_reccon_") for name in metrics)
    assert set(answer["baselines"]) == {"target_only", "target_and_previous", "last_three"}
    json.dumps(answer)


def test_end_to_end_scores_are_those_of_the_annotated_log(
    path: Path, model_folder: Path, causes_folder: Path, finding: EmotionTagger
) -> None:
    metrics = evaluate_causes([path], causes_folder, emotions=model_folder, live=False)["metrics"]
    assert "live_positive_f1" not in metrics
    answers = []
    for group, c in enumerate(finding.tag([conversation(n) for n in (6, 14, 9)])):
        for row in fold_1(targets(c)):
            prediction = c.utterances[row.target].prediction
            assert prediction
            said = [x.span or "" for x in prediction.causes if x.utterance == row.candidate]
            answers.append(Answer(group, row, said[0] if said else None))
    expected = cause_scores(answers)
    assert {k: metrics[f"end_to_end_{k}"] for k in expected} == pytest.approx(expected)


def test_without_spans_pairs_are_scored(tmp_path: Path, model_folder: Path, causes_folder: Path) -> None:
    path = tmp_path / "ecf.jsonl"
    path.write_text(json.dumps(conversation(14, spans=False).to_dict()) + "\n")
    answer = evaluate_causes([path], causes_folder, emotions=model_folder, live=False)
    metrics = answer["metrics"]
    assert answer["habit"] == "ecf"
    assert not any("span" in name for name in metrics)
    # The same model, answering as the product does: another threshold and other logits.
    assert metrics["as_reccon_ece"] != metrics["ece"]
    as_reccon = {k.removeprefix("as_reccon_") for k in metrics if k.startswith("as_reccon_")}
    assert as_reccon == {k for k in metrics if not k.startswith("as_reccon_")}
    assert 0 < metrics["pair_weighted_f1"] <= 100
    assert metrics["pair_weighted_f1"] == pytest.approx(metrics["pair_micro_f1"]), "there is but one emotion"


def test_a_file_without_causes_is_refused(tmp_path: Path, model_folder: Path, causes_folder: Path) -> None:
    path = tmp_path / "bare.jsonl"
    path.write_text('{"utterances": [{"speaker": "A", "text": "hi"}]}\n')
    with pytest.raises(ValueError, match="no utterance has a cause"):
        evaluate_causes([path], causes_folder, emotions=model_folder)
    assert TASKS["causes"] is evaluate_causes
