"""Decoders made recurrent, from the folder to the answer."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

from dialog.bench import linearise as bench
from dialog.bench.chats import made_up_chats
from dialog.conversation import Conversation, Utterance
from dialog.replies.choosing import open_responder
from dialog.replies.decoders import Texts, open_decoder
from dialog.replies.port import whole
from dialog.training.replies.linearise import LineariseRecipe, linearise, match, rows_of
from models import checkpoint
from models.checkpoint import CheckpointError
from models.decoder.config import DecoderConfig
from models.decoder.linearise import linearised
from models.decoder.model import Decoder
from models.mixers.softmax import SoftmaxAttentionConfig
from models.responder.pieces import Pieces
from models.responder.writer import WriterConfig, writer_network
from models.thinking.config import ThinkingConfig
from models.thinking.model import ThinkAtHard
from models.token_model import TokenModel

RECIPE = LineariseRecipe(method="liger", window=4, length=24, batch=2, steps=3, matching=3, rank=2)
TALK = Conversation(id="t", utterances=(Utterance(speaker="Ann", text="how are you today"),))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "chats.jsonl"
    path.write_text("\n".join(json.dumps(c.to_dict()) for c in made_up_chats(60, seed=1)))
    return path


@pytest.fixture(scope="module")
def writer(tmp_path_factory, data):
    torch.manual_seed(0)
    folder: Path = tmp_path_factory.mktemp("writer")
    said = [u["text"] for line in data.read_text().splitlines() for u in json.loads(line)["utterances"]]
    pieces = Pieces.learn(said, 300, ("joy",))
    network = writer_network("softmax", len(pieces), d_model=16, n_layers=2, d_hidden=16)
    checkpoint.save(folder, TokenModel(network), WriterConfig(network=network, emotions=("joy",), context=32))
    pieces.save(folder)
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    set_seed(0)
    folder = tmp_path_factory.mktemp("llama")
    words = ["[UNK]", "</s>", *["how", "are", "you", "today", "fine", "thanks", "so", "good", "day", "friend", "and"]]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="[UNK]").save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("method", ["liger", "lizard"])
@pytest.mark.parametrize("model", ["writer", "llama"])
def test_a_conversion_is_trained_kept_and_answers(request, model, method, data, tmp_path):
    folder, out, told = request.getfixturevalue(model), tmp_path / "out", []
    scores = linearise(replace(RECIPE, method=method), folder, [data], out, device="cpu", report=told.append)
    assert [p.step for p in told] == list(range(1, (3 if method == "liger" else 6) + 1))
    assert {p.steps for p in told} == {len(told)}
    assert all(scores[f"{name}_perplexity"] > 1 for name in ("teacher", "converted", "trained"))
    assert {p.name for p in out.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json", "card.md"}
    assert not [p for p in out.iterdir() if p.is_dir()], "no checkpoint is left"
    decoder = Decoder.load(out, device="cpu")
    assert decoder.state_floats(10) == decoder.state_floats(10_000)
    responder = open_responder(f"lm:{out}", device="cpu")
    said = whole(responder.reply(TALK, most=6))
    assert said.text or said.finish == "stop"
    assert whole(responder.reply(TALK, most=6)) == said
    with pytest.raises(ValueError, match="holds a model already"):
        linearise(RECIPE, folder, [data], out, device="cpu")


def test_what_was_inherited_and_not_trained_is_the_teachers(writer, data, tmp_path):
    linearise(RECIPE, writer, [data], tmp_path / "out", device="cpu")
    before, after = open_decoder(writer, device="cpu"), Decoder.load(tmp_path / "out", device="cpu")
    for old, new in zip(before.every_layer(), after.every_layer(), strict=True):
        assert torch.equal(new.mixer.out.weight, old.mixer.out.weight.half().float())
        assert not torch.equal(new.mixer.query.weight, old.mixer.project.weight[:16].half().float())


def test_a_run_that_was_cut_off_after_its_first_stage_goes_on(writer, data, tmp_path):
    recipe = replace(RECIPE, method="lizard", length=8, batch=1, steps=4, matching=2)
    linearise(recipe, writer, [data], tmp_path / "whole", device="cpu")

    def late(progress):
        if progress.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        linearise(recipe, writer, [data], tmp_path / "cut", device="cpu", report=late)
    linearise(recipe, writer, [data], tmp_path / "cut", device="cpu")
    one, other = (Decoder.load(tmp_path / name, device="cpu") for name in ("whole", "cut"))
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=1e-2)


def test_matching_learns_to_say_what_attention_said(writer, data):
    teacher = open_decoder(writer, device="cpu")
    rows = rows_of(Texts(writer), [Conversation.from_dict(json.loads(s)) for s in data.read_text().splitlines()], 24)
    student = linearised(teacher, "lizard", window=4)
    tokens = rows.train[:4, :-1]
    optimiser = torch.optim.AdamW(student.parameters(), lr=3e-3)
    first = match(student, teacher, tokens).item()
    for _ in range(15):
        loss = match(student, teacher, tokens)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    assert loss.item() < 0.8 * first
    copy = linearised(teacher, "liger", window=64, branches="window")
    assert match(copy, teacher, tokens).item() < 1e-8


def test_what_is_no_decoder_and_what_is_too_little_is_refused(tmp_path, writer, data):
    with pytest.raises(CheckpointError, match="cannot read"):
        linearise(RECIPE, tmp_path, [data], tmp_path / "out", device="cpu")
    (tmp_path / "config.json").write_text('{"config": "EmotionModelConfig"}')
    with pytest.raises(CheckpointError, match="holds no decoder"):
        linearise(RECIPE, tmp_path, [data], tmp_path / "out", device="cpu")
    few = tmp_path / "few.jsonl"
    few.write_text('{"id": 1, "utterances": [{"speaker": "A", "text": "x"}]}\n' * 2)
    with pytest.raises(ValueError, match="do not fill a row"):
        linearise(RECIPE, writer, [few], tmp_path / "out", device="cpu")


def test_the_bench_has_a_row_a_conversion_and_rows_of_decoding(writer, data, monkeypatch):
    monkeypatch.setattr(bench, "POSITIONS", (4, 40))
    monkeypatch.setattr(bench, "LineariseRecipe", lambda **f: LineariseRecipe(**{**f, "length": 160, "rank": 2}))
    told = bench.measure(writer, data=data, steps=2, repeats=1, only="both", device="cpu")
    names = [row["name"] for row in told["rows"]]
    assert names[:3] == ["teacher", "liger, both", "lizard, both"]
    by_name = {row["name"]: row for row in told["rows"]}
    assert by_name["teacher, decoding at 40"]["state_bytes"] > by_name["teacher, decoding at 4"]["state_bytes"]
    assert by_name["liger, decoding at 40"]["state_bytes"] == by_name["liger, decoding at 4"]["state_bytes"]
    with pytest.raises(ValueError, match="--model FOLDER"):
        bench.measure()


@pytest.fixture
def sighted(tmp_path, llama):
    """A decoder whose first layer looks at eight tokens alone, as Gemma 3's local layers look at few."""
    near, far = (
        SoftmaxAttentionConfig(d_model=16, n_heads=2, positions="rotary", causal=True, window=window)
        for window in (8, None)
    )
    folder = tmp_path / "sighted"
    Decoder(DecoderConfig(n_tokens=13, d_model=16, d_hidden=24, mixers=(near, far))).save(folder)
    Texts(llama).copy_to(folder)
    return folder


def test_a_bench_that_was_cut_off_goes_on_from_what_is_kept(sighted, data, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "POSITIONS", (4, 12))
    monkeypatch.setattr(bench, "LineariseRecipe", lambda **f: LineariseRecipe(**{**f, "length": 24, "rank": 2}))
    monkeypatch.setattr(bench, "FAR", 12)
    keep, told = tmp_path / "rows.jsonl", []
    train = bench.train_linearised

    def cut_off(*args):
        def stop(progress):
            told.append(progress.step)
            if len(told) == 2:
                raise KeyboardInterrupt

        train(*args, report=stop)

    measure = partial(bench.measure, sighted, data=data, steps=3, repeats=1, only="liger, far", keep=keep, device="cpu")
    monkeypatch.setattr(bench, "train_linearised", cut_off)
    with pytest.raises(KeyboardInterrupt):
        measure()
    rows = measure()["rows"]
    assert told == [1, 2, 3], "the second step was saved when the run was cut off"
    assert [row["name"] for row in rows][:2] == ["teacher", "liger, far layers"]
    assert all({"recall_near", "recall_far", "recall_beyond"} <= set(row) for row in rows[:2])
    assert measure()["rows"] == rows, "what is kept is not measured again"
    assert told == [1, 2, 3]
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == ["sighted"], "no checkpoint is left"


def test_a_writer_may_think_again(writer):
    decoder = open_decoder(writer, device="cpu")
    model = ThinkAtHard.of(decoder, ThinkingConfig(decoder=decoder.config, rank=2, decider_blocks=1)).eval()
    tokens = torch.randint(300, (2, 12))
    with torch.no_grad():
        once, twice = (model(tokens, policy=p)[0] for p in ("never", "always"))
        torch.testing.assert_close(once.logits, decoder(tokens)[0])
    assert not torch.allclose(once.logits, twice.logits)
