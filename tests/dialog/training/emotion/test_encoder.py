"""The shared encoder's training: every corpus its classifier, batches that mix, deltas at the end."""

import random
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from dialog.conversation import Conversation
from dialog.training.emotion.encoder import EncoderRecipe, bucket_randomly, train_encoder
from dialog.training.emotion.examples import Source
from dialog.training.loop import Progress
from models.encoders.text import TextEncoder, linear_layers
from tests.dialog.tiny import LAYOUT, chat
from tests.dialog.training.conftest import write_corpus


def folder_of_corpora(data: Path) -> Path:
    mad = [chat("A: so angry", "B: so happy", id=str(i), emotions=("mad", "joyful")) for i in range(12)]
    write_corpus(data, "emorynlp", "train", mad)
    pair = {"speaker": "A", "text": "so sad", "emotions": ["sadness"]}
    comments = [Conversation.from_dict({"id": str(i), "utterances": [pair]}) for i in range(12)]
    write_corpus(data, "goemotions", "train", comments)
    lines = [{"speaker": "A", "text": "my dog is so good"}, {"speaker": "B", "text": "great"}]
    whole = [
        Conversation.from_dict({"id": str(i), "emotion": ("proud", "afraid")[i % 2], "utterances": lines})
        for i in range(8)
    ]
    write_corpus(data, "empathetic_dialogues", "validation", whole)
    return data


RECIPE = EncoderRecipe(
    sources=(
        Source(corpus="meld"),
        Source(corpus="emorynlp"),
        Source(corpus="goemotions"),
        Source(corpus="empathetic_dialogues", split="validation"),
    ),
    layout=LAYOUT,
    epochs=6.0,
    lr=2e-3,
    lr_new=1e-2,
    batch_tokens=160,
    rank=8,
)


def test_the_shared_encoder_learns_from_every_corpus_and_leaves_deltas_and_classifiers(
    data: Path, tmp_path: Path
) -> None:
    told: list[Progress] = []
    out = train_encoder(RECIPE, folder_of_corpora(data), tmp_path / "out", report=told.append)
    assert told[-1].loss < told[0].loss
    tensors = load_file(out / "encoder.safetensors")
    rows = {key.split(".")[1]: len(t) for key, t in tensors.items() if key.startswith("head.") and key.endswith("bias")}
    assert rows == {"meld": 7, "emorynlp": 7, "goemotions": 28, "ekman": 7, "whole": 2}
    assert float(tensors["vector_std"]) > 0
    for name, layer in linear_layers(TextEncoder.load().network):
        assert tensors[f"encoder.{name}.A"].shape == (8, layer.in_features)
        assert tensors[f"encoder.{name}.B"].shape == (layer.out_features, 8)
    assert not (out / "checkpoint.safetensors").exists()
    tuned, plain = TextEncoder.load(), TextEncoder.load()
    tuned.add_deltas({k.removeprefix("encoder."): v for k, v in tensors.items() if k.startswith("encoder.")})
    ids, owner = torch.tensor([[2, 40, 41]]), torch.tensor([[-1, 0, 0]])
    assert not torch.allclose(tuned(ids, ids > 0, owner, 1), plain(ids, ids > 0, owner, 1), atol=1e-3)


def test_the_embeddings_stay_shared(data: Path, tmp_path: Path) -> None:
    out = train_encoder(replace(RECIPE, epochs=1.0), folder_of_corpora(data), tmp_path / "out")
    assert not any("embeddings" in key for key in load_file(out / "encoder.safetensors"))


def test_batches_are_of_like_length_hold_everything_once_and_mix_corpora() -> None:
    rng = random.Random(0)
    lengths = [rng.randint(5, 40) for _ in range(500)]
    batches = bucket_randomly(lengths, 200, random.Random(1), pool=100)
    assert sorted(i for b in batches for i in b) == list(range(500))
    assert all(len(b) * max(lengths[i] for i in b) <= 200 for b in batches)
    padding = sum(len(b) * max(lengths[i] for i in b) for b in batches) / sum(lengths)
    assert padding < 1.3
    assert bucket_randomly(lengths, 200, random.Random(1), pool=100) == batches
    assert bucket_randomly(lengths, 200, random.Random(2), pool=100) != batches
