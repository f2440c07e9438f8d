import json
from dataclasses import replace

import pytest

from dialog.bench.chats import made_up_chats
from dialog.conversation import Conversation, Utterance
from dialog.evaluation.replies.chosen import evaluate_reply
from dialog.labels import LABEL_SETS
from dialog.replies.built_in import BuiltInResponder
from dialog.replies.port import whole
from dialog.training.replies.built_in import RepliesRecipe, train_replies
from models.responder.config import TowersConfig

RECIPE = RepliesRecipe(
    conversations={"dailydialog": 40},
    validation={"dailydialog": 5},
    said_again=("dailydialog",),
    towers=TowersConfig(emotions=LABEL_SETS["ekman"], d_text=32, d_hidden=32, d_out=16),
    batch=32,
    epochs=2,
    n_replies=200,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "dailydialog"
    folder.mkdir()
    for split, n in (("train", 270), ("validation", 60)):
        chats = made_up_chats(n, seed=n)
        kind = Utterance(speaker="Q", text="That sounds really lovely , did you like it ?", emotion="happiness")
        rows = [
            Conversation(id=c.id, utterances=(*(replace(u, emotion="sadness") for u in c.utterances), kind)).to_dict()
            for c in chats
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder.parent


@pytest.fixture
def trained(data, tmp_path):
    scores = train_replies(RECIPE, data, tmp_path / "out", device="cpu")
    assert 0 <= scores["dailydialog_hits_at_1_of_100"] <= 100
    return tmp_path / "out"


def test_a_trained_responder_answers_with_what_was_said_and_is_measured(data, trained):
    assert (trained / "card.md").is_file()
    assert not (trained / "texts.safetensors").exists()
    responder = BuiltInResponder.load(trained, device="cpu")
    assert 100 <= len(responder.bank) <= 200
    assert "Tell me more." in [r.text for r in responder.bank.replies], "those chosen by hand are there too"
    assert ("That sounds really lovely, did you like it?", "joy", ("asks",)) in [
        (r.text, r.emotion, r.kinds) for r in responder.bank.replies
    ]
    assert whole(responder.reply(Conversation(id="t", utterances=(Utterance(speaker="A", text="hello you"),)))).text

    told = evaluate_reply([data / "dailydialog" / "train.jsonl"], trained, device="cpu")
    assert told["n"] > 100
    assert set(told["baselines"]) == {"bm25", "untuned_encoder", "random"}
    for some in (told["metrics"], *told["baselines"].values()):
        low, high = some["hits_at_1_of_100_95"]
        assert low <= some["hits_at_1_of_100"] <= high <= 100
        assert some["hits_at_1_of_100"] <= some["mrr"]
    assert told["baselines"]["random"]["hits_at_1_of_100"] < 8
    assert "told_mrr" in told["metrics"], "the file has emotions"


def test_a_file_with_too_few_replies_is_refused(trained, tmp_path):
    few = tmp_path / "few.jsonl"
    few.write_text('{"id": 1, "utterances": [{"speaker": "A", "text": "x"}, {"speaker": "B", "text": "y"}]}')
    with pytest.raises(ValueError, match="1 different replies"):
        evaluate_reply([few], trained, device="cpu")
