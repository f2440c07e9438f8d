"""`rapport evaluate emotion`: what is scored, against which labels, and what is left out."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dialog.conversation import Conversation
from dialog.emotion.tagger import EmotionTagger
from dialog.evaluation.emotion.emotion import NothingToScore, evaluate_emotion
from dialog.evaluation.tasks import TASKS
from dialog.metrics import emotion_scores
from tests.dialog.tiny import WORDS, chat

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(conversations: Sequence[Conversation], name: str = "test.jsonl.gz") -> Path:
        path = tmp_path / name
        with gzip.open(path, "wt") as file:
            file.writelines(json.dumps(c.to_dict()) + "\n" for c in conversations)
        return path

    return write


def labelled(labels: Sequence[str | None], id: str = "a", shift: int = 0) -> Conversation:
    lines = [f"{'AB'[i % 2]}: {WORDS[(i + shift) % 24]} {WORDS[(i * 5 + shift) % 24]}" for i in range(len(labels))]
    return chat(*lines, id=id, emotions=tuple(labels))


def test_the_answer_has_every_part_and_the_scores_are_those_of_the_predictions(
    write: Write, model_folder: Path, tagger: EmotionTagger
) -> None:
    conversations = [labelled(["joy", None, "anger"]), labelled(["neutral", "joy", "fear", "disgust"], "b", 3)]
    path = write(conversations)
    told: list[tuple[int, int]] = []
    answer = evaluate_emotion([path], model_folder, progress=lambda done, n: told.append((done, n)))
    assert answer["task"] == "emotion"
    assert answer["model"] == tagger.version
    assert answer["data"] == [str(path)]
    assert (answer["n"], answer["n_without_label"], answer["n_conversations"]) == (6, 1, 2)
    assert answer["seconds"] > 0
    assert told[-1] == (7, 7)
    pairs = [(u.emotion, u.prediction.emotion) for c in tagger.tag(conversations) for u in c.utterances if u.prediction]
    gold, predicted = [g for g, _ in pairs if g], [p for g, p in pairs if g]
    expected = emotion_scores(gold, predicted, tagger.labels)
    assert {k: answer["metrics"][k] for k in expected} == pytest.approx(expected)
    assert 0 <= answer["metrics"]["ece"] <= 1
    low, high = answer["metrics"]["weighted_f1_95"]
    assert 0 <= low <= high <= 100
    assert "live_weighted_f1" in answer["metrics"]
    json.dumps(answer)


def test_the_majority_baseline_says_the_commonest_label_of_all(write: Write, model_folder: Path) -> None:
    answer = evaluate_emotion([write([labelled(["joy", "joy", "fear", "joy"])])], model_folder, live=False)
    majority = answer["baselines"]["majority"]
    assert majority["label"] == "joy"
    assert majority["accuracy"] == pytest.approx(75)
    assert not any(name.startswith("live") for name in answer["metrics"])


def test_labels_of_another_corpus_are_mapped_and_those_without_a_counterpart_left_out(
    write: Write, model_folder: Path
) -> None:
    answer = evaluate_emotion([write([labelled(["joyful", "mad", "peaceful", "powerful", "neutral"])])], model_folder)
    assert (answer["n"], answer["n_without_label"]) == (3, 2)
    answer = evaluate_emotion([write([labelled(["happiness", "neutral", "anger"])])], model_folder)
    assert answer["n"] == 3


def test_files_of_several_corpora_are_mapped_each_by_its_own_labels(write: Write, model_folder: Path) -> None:
    data = [
        write([labelled(["joyful", "mad", "peaceful"])], "emorynlp.jsonl.gz"),
        write([labelled(["happiness", "neutral", "anger"], "b")], "dailydialog.jsonl.gz"),
        write([labelled(["others", "happy", "angry"], "c")], "emocontext.jsonl.gz"),
    ]
    answer = evaluate_emotion(data, model_folder, live=False)
    assert (answer["n"], answer["n_without_label"]) == (8, 1)
    with pytest.raises(NothingToScore, match="no utterance has a label"):
        evaluate_emotion([write([labelled(["joyful", "thrilled"])])], model_folder)


def test_one_of_several_labels_counts_only_where_it_stands_alone(write: Write, model_folder: Path) -> None:
    def comment(*emotions: str) -> Conversation:
        utterance: dict[str, Any] = {"speaker": "A", "text": "hi", "emotions": list(emotions)}
        return Conversation.from_dict({"id": "-".join(emotions), "utterances": [utterance]})

    answer = evaluate_emotion(
        [write([comment("gratitude"), comment("gratitude", "joy"), comment("grief")])], model_folder
    )
    assert (answer["n"], answer["n_without_label"]) == (2, 1)
    assert answer["baselines"]["majority"]["label"] in ("joy", "sadness")


def test_strays_are_read_and_not_scored(write: Write, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    c, d = labelled(["joyful", "mad", "scared", "sad"], "c"), labelled(["neutral", "joyful"], "d")
    read, tag = list[Conversation](), EmotionTagger.tag

    def noted(self: EmotionTagger, conversations: Any, **named: Any) -> Any:
        read.extend(conversations)
        return tag(self, conversations, **named)

    monkeypatch.setattr(EmotionTagger, "tag", noted)
    path = write([c, d], "emorynlp.jsonl.gz")
    answer = evaluate_emotion([path], model_folder, live=False, strays=True)
    assert [len(r.utterances) for r in read] == [5, 3]
    plain = evaluate_emotion([path], model_folder, live=False)
    assert answer["n"] == plain["n"] == 6
    assert (answer["n_without_label"], plain["n_without_label"]) == (2, 0)
    assert answer["baselines"] == plain["baselines"]  # the gold labels are those of the same messages


def test_copies_are_left_out_whatever_their_case_and_punctuation(write: Write, model_folder: Path) -> None:
    seen = chat("A: Hello, dog!", "B: no", emotions=("joy", "joy"))
    copy = chat("X: hello dog", "Y: No...", id="copy", emotions=("joy", "joy"))
    other = chat("X: hello dog", "Y: yes", id="other", emotions=("fear", "joy"))
    path, train = write([copy, other]), write([seen], "train.jsonl.gz")
    answer = evaluate_emotion([path], model_folder, without=[train])
    assert (answer["n"], answer["n_copies_left_out"], answer["n_conversations"]) == (2, 1, 1)


def test_files_together_are_one_test_set(write: Write, model_folder: Path) -> None:
    paths = [write([labelled(["joy"], name)], f"{name}.jsonl.gz") for name in ("a", "b")]
    assert evaluate_emotion(paths, model_folder)["n"] == 2


@pytest.mark.parametrize("labels", [[None, None], ["bored", "thrilled"], []])
def test_nothing_to_score_is_said(write: Write, model_folder: Path, labels: list[str | None]) -> None:
    path = write([labelled(labels)])
    with pytest.raises(NothingToScore, match=f"{path.name}: no utterance has a label out of anger"):
        evaluate_emotion([path], model_folder)


def test_the_task_is_on_the_table() -> None:
    assert TASKS["emotion"] is evaluate_emotion
