"""Models small enough to make on the spot: an encoder with letters for tokens, and an emotion model over it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from torch import nn

from dialog.conversation import Conversation, Utterance
from dialog.emotion.causes import Calibration, CausesModelConfig
from dialog.emotion.config import EmotionModelConfig
from dialog.labels import LABEL_SETS
from dialog.reading.batching import Layout
from models import checkpoint
from models import config as configs
from models.emotionic.config import EmotionICConfig
from models.emotionic.model import EmotionIC
from models.encoders.text import TextEncoder, linear_layers
from models.pointer.causes import CausePointer, CausesConfig

VOCABULARY = "hello hi good bad no yes you i am so happy sad angry why what is it the dog film oh well great never"
WORDS = VOCABULARY.split()

LAYOUT = Layout(max_tokens=48, context_tokens=12, live_tokens=32, utterance_tokens=20)


def make_encoder(folder: Path) -> Path:
    """A BERT of two layers, 32 wide, for sequences of up to 64 tokens, with its tokenizer, in `folder`."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *".,!?:;'-", *letters, *(f"##{c}" for c in letters), *WORDS]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **special)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    network = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=64,
            initializer_range=0.2,
        )
    )
    network.save_pretrained(folder)
    return folder


def make_model(
    folder: Path, encoder: Path, *, layout: Layout = LAYOUT, tags: tuple[str, ...] = (), **context: Any
) -> Path:
    """An emotion model with random weights in `folder`: config.json, model.safetensors. Every part has its say."""
    torch.manual_seed(2)
    context = {"n_labels": 7, "d_encoder": 32, "d_model": 16, "n_heads": 2, "window": 4} | context
    config = EmotionModelConfig(
        labels=LABEL_SETS["ekman"],
        context=EmotionICConfig(**context),
        layout=layout,
        encoder=str(encoder),
        temperature=1.3,
        live_temperature=0.8,
        tags=tags,
    )
    module = loud(EmotionIC(config.context))
    tensors = {f"context.{k}": v for k, v in module.state_dict().items()}
    for name, layer in linear_layers(TextEncoder.load(encoder).network):
        tensors[f"encoder.{name}.A"] = 0.1 * torch.randn(4, layer.in_features)
        tensors[f"encoder.{name}.B"] = 0.1 * torch.randn(layer.out_features, 4)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(configs.dumps(config))
    return folder


def make_causes(folder: Path, encoder: str, **fields: Any) -> Path:
    """A causes model with random weights in `folder`, for the encoder with this hash. It names about half of all."""
    torch.manual_seed(3)
    sizes = {"d_encoder": 32, "d_model": 8, "d_hidden": 12, "d_token": 6, "d_span": 8}
    pointer = CausesConfig(n_emotions=7, n_habits=2, window=5, max_distance=4, **sizes)
    calibrations = (
        Calibration(scale=0.7, shift=1.0, threshold=0.5, latent_threshold=0.6),
        Calibration(scale=0.6, shift=0.9, threshold=0.4, latent_threshold=0.6),
    )
    fields = {"habits": ("reccon", "ecf"), "calibrations": calibrations} | fields
    model = CausePointer(pointer)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.5)
    labels = LABEL_SETS["ekman"]
    config = CausesModelConfig(labels=labels, pointer=pointer, encoder=encoder, **fields)
    return checkpoint.save(folder, model, config, dtype=torch.float16)


def loud(module: EmotionIC) -> EmotionIC:
    """The module in evaluation mode, its weights random, those that start as zero too: no branch stays silent."""
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(std=0.5)
        for norm in module.modules():
            if isinstance(norm, nn.LayerNorm | nn.RMSNorm):
                norm.weight.normal_(1.0, 0.1)
    return module.eval()


def chat(*lines: str, id: str = "c", emotions: tuple[str | None, ...] | None = None) -> Conversation:
    """`chat("Ann: hello", "Bob: hi")`."""
    pairs = [line.split(": ", 1) for line in lines]
    given = emotions or (None,) * len(lines)
    utterances = (Utterance(speaker=s, text=t, emotion=e) for (s, t), e in zip(pairs, given, strict=True))
    return Conversation(id=id, utterances=tuple(utterances))


def longer(n: int, speakers: int = 3) -> Conversation:
    """A conversation of n utterances, none like its neighbour."""
    lines = [f"{'XYZ'[(i * i + i // 2) % speakers]}: {WORDS[i % 23]} {WORDS[(i * 7) % 19]} {i}" for i in range(n)]
    return chat(*lines, id=f"longer-{n}")


def renamed(c: Conversation, names: dict[str, str]) -> Conversation:
    """The same conversation between people of other names."""
    return replace(c, utterances=tuple(replace(u, speaker=names[u.speaker]) for u in c.utterances))


def probabilities(c: Conversation) -> torch.Tensor:
    """Its predictions' probabilities (N, L)."""
    return torch.tensor([list(u.prediction.probabilities.values()) for u in c.utterances if u.prediction])
