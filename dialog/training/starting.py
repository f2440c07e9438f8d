"""What a training run takes over from an earlier one: the shared encoder's deltas and classifiers, or a whole model."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from dialog.emotion.tagger import EmotionModelConfig
from models import config as configs
from models.checkpoint import part
from models.emotionic.model import EmotionIC


def start_tensors(start: Path) -> dict[str, Tensor]:
    """What a folder to start from holds: `encoder.safetensors` of the shared encoder, or a model's own."""
    for name in ("encoder.safetensors", "model.safetensors"):
        if (start / name).is_file():
            return load_file(start / name)
    raise ValueError(f"{start} holds neither encoder.safetensors (rapport train emotion/encoder) nor model.safetensors")


def start_labels(start: Path | None) -> tuple[str, ...]:
    """The labels of the model in a folder, none where it holds no whole model."""
    if start is None or not (start / "model.safetensors").is_file():
        return ()
    return configs.loads((start / "config.json").read_text(), EmotionModelConfig).labels


def start_context(context: EmotionIC, given: dict[str, Tensor], theirs: Sequence[str], labels: Sequence[str]) -> None:
    """The context model of the start. ValueError where that says other labels or is of another shape."""
    if tuple(theirs) != tuple(labels):
        raise ValueError(f"the start has labels {', '.join(theirs) or 'none'}; to go on takes {', '.join(labels)}")
    try:
        context.load_state_dict(part(given, "context."))
    except RuntimeError as error:
        raise ValueError(f"the start's context model has another shape: {error}") from error


def cut_deltas(deltas: dict[str, Tensor], rank: int) -> dict[str, Tensor]:
    """Deltas at a lower rank: they are stored with the largest singular values first."""
    return {k: v[:rank] if k.endswith(".A") else v[:, :rank] for k, v in deltas.items()}


def start_classifier(context: EmotionIC, tensors: dict[str, Tensor], label_set: str) -> None:
    """The shared encoder's classifier for the same labels, where it has one.

    That one reads the vectors as they are, ours reads them normed. Vectors of one encoder have nearly one length, so
    the weights carry over up to a scale that training finds at once.
    """
    weight, bias = tensors.get(f"head.{label_set}.weight"), tensors.get(f"head.{label_set}.bias")
    if weight is not None and bias is not None:
        scale = float(tensors["vector_std"])
        with torch.no_grad():
            context.classify.weight.copy_(weight.float() * scale)
            context.classify.bias.copy_(bias.float())
