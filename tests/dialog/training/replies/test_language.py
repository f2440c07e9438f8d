"""The writer, whole and tiny: trained, resumed, answering, measured."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from dialog.bench.chats import made_up_chats
from dialog.conversation import Conversation, Utterance
from dialog.evaluation.replies.written import evaluate_responder, windows
from dialog.replies.choosing import open_responder
from dialog.replies.drawing import NO_REPEAT
from dialog.replies.port import whole
from dialog.replies.turns import turns_of
from dialog.replies.writer import WritingResponder
from dialog.training import RECIPES
from dialog.training.replies.language import LanguageRecipe, train_language
from models.checkpoint import CheckpointError
from models.responder.pieces import Pieces

RECIPE = LanguageRecipe(
    mixture="hybrid",
    corpora={"dailydialog": 30},
    validation={"dailydialog": 5},
    n_tokens=300,
    d_model=32,
    n_layers=2,
    d_hidden=32,
    context=32,
    batch=4,
    steps=6,
    encoder=None,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "dailydialog"
    folder.mkdir()
    for split, n in (("train", 60), ("validation", 12), ("test", 12)):
        chats = [c.to_dict() for c in made_up_chats(n, seed=n)]
        for c in chats:
            c["utterances"] = [{**u, "emotion": "happiness"} for u in c["utterances"][:8]]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, chats)))
    return folder.parent


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("lm") / "out"
    scores = train_language(RECIPE, data, out, device="cpu")
    assert scores["perplexity"] > 1
    return out


def talk(*texts):
    return Conversation(id="t", utterances=tuple(Utterance(speaker="AB"[i % 2], text=t) for i, t in enumerate(texts)))


def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(data, tmp_path):
    recipe = replace(RECIPE, steps=4)
    train_language(recipe, data, tmp_path / "whole", device="cpu")

    def late(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_language(recipe, data, tmp_path / "cut", device="cpu", report=late)
    train_language(recipe, data, tmp_path / "cut", device="cpu")
    one, other = (WritingResponder.load(tmp_path / name, device="cpu").model for name in ("whole", "cut"))
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-2)  # weights are rounded to bytes
    assert not (tmp_path / "cut" / "packed.safetensors").exists()


def test_it_answers_in_pieces_that_can_be_stopped_and_asked_for_again(folder):
    responder = open_responder(str(folder), device="cpu")
    assert isinstance(responder, WritingResponder)
    said = whole(responder.reply(talk("Hello there"), most=20))
    assert said.text.strip()
    assert said.finish in ("stop", "length")
    pieces = responder.reply(talk("Hello there"), most=20)
    assert said.text.startswith(next(pieces).text)
    pieces.close()
    assert whole(responder.reply(talk("Hello there"), most=20)) == said
    assert whole(responder.reply(talk("Hello there"), most=20, instead_of=[said.text])).text != said.text
    assert len(list(responder.reply(talk("Hello there"), most=1))) <= 2


def test_what_it_should_feel_changes_what_is_likely(folder):
    responder = WritingResponder.load(folder, device="cpu")
    plain, glad = (
        responder._next([*responder._prompt(talk("Hi"), 15), responder.pieces.mark(e)], None)[0] for e in (None, "joy")
    )
    assert not torch.equal(plain, glad)
    assert torch.isinf(plain[: responder.pieces.n_marks]).sum() == responder.pieces.n_marks - 1


@pytest.mark.parametrize("texts", [["word " * 500], ["a"] * 300, ["😀" * 90], ["<|end|>"]])
def test_whatever_is_said_fits(folder, texts):
    responder = WritingResponder.load(folder, device="cpu")
    assert len(responder._prompt(talk(*texts), 15)) <= 15
    assert whole(responder.reply(talk(*texts), most=4)).text


def test_it_never_goes_round_in_a_circle(folder):
    responder = WritingResponder.load(folder, device="cpu")
    ids = []
    for token in responder._tokens([0, 2], ids, torch.Generator().manual_seed(0), 120):
        ids.append(token)
    runs = [tuple(ids[i : i + NO_REPEAT]) for i in range(len(ids) - NO_REPEAT + 1)]
    assert len(runs) > 100
    assert len(set(runs)) == len(runs)


def test_an_empty_conversation_has_nothing_to_answer(folder):
    with pytest.raises(ValueError, match="has none"):
        next(open_responder(str(folder), device="cpu").reply(talk(" ")))


def test_a_tokenizer_of_another_model_is_refused(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    Pieces.learn(["a b c"], 270, ("joy",)).save(other)
    with pytest.raises(CheckpointError, match=r"tokenizer.json has"):
        WritingResponder.load(other, device="cpu")


def test_who_speaks_twice_said_it_at_once():
    said = (("A", "Hi .", None), ("A", "How are you ?", "joy"), ("B", "  ", None), ("B", "Fine", "sadness"))
    utterances = [Utterance(speaker=s, text=t, emotion=e) for s, t, e in said]
    assert turns_of(utterances) == [("Hi. How are you?", "joy"), ("Fine", "sadness")]


def test_it_is_measured_beside_a_5_gram_and_people(data, folder):
    path = data / "dailydialog" / "test.jsonl"
    told = evaluate_responder([path], folder, corpora=data, device="cpu")
    assert told["metrics"]["word_perplexity"] > told["metrics"]["perplexity"] > 1
    assert set(told["baselines"]) == {"five_gram", "people"}
    assert told["baselines"]["five_gram"]["perplexity"] < 300, "better than a guess among all pieces"
    assert 0 < told["metrics"]["distinct_1"] <= 100
    assert "told_perplexity" in told["metrics"]
    with pytest.raises(ValueError, match="--model FOLDER"):
        evaluate_responder([path])


@pytest.mark.parametrize("length", [1, 2, 9, 10, 13, 14, 40])
def test_windows_foresee_each_token_once_and_all_but_the_first(length):
    context, asked = 8, []
    for begin, end, first in windows(range(length), context):
        assert end - begin <= context + 1
        assert begin < first or length == 1
        asked += range(first, end)
    assert asked == list(range(1, length))


def test_the_recipe_names_its_mixers():
    assert RECIPES["responder/lm"].mixers == ("softmax", "gla", "hybrid")
