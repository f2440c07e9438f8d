"""Decoders made on the spot by transformers: ours says the same of every token."""

import json
from typing import Any

import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    set_seed,
)

from models.checkpoint import CheckpointError
from models.decoder.pretrained import read_pretrained

SHAPE: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
KINDS = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SHAPE, num_key_value_heads=4, rms_norm_eps=1e-5)),
    "llama, grouped, tied": (
        LlamaForCausalLM,
        LlamaConfig(**SHAPE, num_key_value_heads=2, head_dim=8, tie_word_embeddings=True),
    ),
    "gemma": (GemmaForCausalLM, GemmaConfig(**SHAPE, num_key_value_heads=1, head_dim=10)),
    "gemma 3": (
        Gemma3ForCausalLM,
        Gemma3TextConfig(
            **SHAPE,
            num_key_value_heads=1,
            head_dim=10,
            query_pre_attn_scalar=16,
            sliding_window=4,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
    ),
}


@pytest.fixture(params=KINDS)
def theirs(request, tmp_path):
    set_seed(0)
    model_class, config = KINDS[request.param]
    model = model_class(config).eval()
    for name, p in model.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(p, std=0.5)
    model.save_pretrained(tmp_path)
    return model, tmp_path


def test_it_says_what_transformers_says(theirs):
    model, folder = theirs
    tokens = torch.randint(40, (2, 13))
    with torch.no_grad():
        expected = model(tokens).logits
        found, _ = read_pretrained(folder)(tokens)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=2e-3)


def test_it_streams(theirs):
    decoder = read_pretrained(theirs[1]).double()
    tokens = torch.randint(40, (2, 11))
    whole, _ = decoder(tokens)
    state, said = decoder.initial_state(2), []
    for t in range(11):
        logits, state = decoder.step(tokens[:, t], state)
        said.append(logits)
    torch.testing.assert_close(torch.stack(said, 1), whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, "model_type is 'gpt2'"),
        ({"attention_bias": True}, "attention_bias"),
        ({"hidden_act": "relu"}, "activation is 'relu'"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5}}, "stretched"),
        ({"rope_scaling": {"type": "linear", "factor": 2}}, "stretched"),
        ({"num_hidden_layers": 4}, r"lack layers\.3"),
        ({"intermediate_size": 30}, r"expected \(30, 24\)"),
        ({"num_hidden_layers": 2}, r"have layers\.2"),
    ],
)
def test_what_is_not_computed_here_is_refused_by_name(tmp_path, change, message):
    LlamaForCausalLM(KINDS["llama"][1]).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=message):
        read_pretrained(tmp_path)


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="cannot read"):
        read_pretrained(tmp_path)
    LlamaForCausalLM(KINDS["llama"][1]).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="damaged"):
        read_pretrained(tmp_path)
