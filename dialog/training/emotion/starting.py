"""What a training run takes over from an earlier one: the shared encoder's deltas and classifiers, or a whole model."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from dialog.emotion.config import EmotionModelConfig
from models import checkpoint
from models.catalogue import WEIGHTS_FILE
from models.emotionic.model import EmotionIC
from models.tensors import read_file

ENCODER_FILE = "encoder.safetensors"
"""What a run of the shared encoder leaves in its folder."""


def start_tensors(start: Path) -> dict[str, Tensor]:
    """What a folder to start from holds: the shared encoder's file, or a model's own."""
    for name in (ENCODER_FILE, WEIGHTS_FILE):
        if (start / name).is_file():
            return read_file(start / name)
    raise ValueError(f"{start} holds neither {ENCODER_FILE} (rapport train emotion/encoder) nor {WEIGHTS_FILE}")


def start_labels(start: Path | None) -> tuple[str, ...]:
    """The labels of the model in a folder, none where it holds no whole model."""
    if start is None or not (start / WEIGHTS_FILE).is_file():
        return ()
    return checkpoint.read_config(start, EmotionModelConfig).labels


def start_context(context: EmotionIC, given: dict[str, Tensor], theirs: Sequence[str], labels: Sequence[str]) -> None:
    """The context model of the start. ValueError where that says other labels or is of another shape."""
    if tuple(theirs) != tuple(labels):
        raise ValueError(f"the start has labels {', '.join(theirs) or 'none'}; to go on takes {', '.join(labels)}")
    try:
        context.load_state_dict(checkpoint.part(given, "context."))
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
