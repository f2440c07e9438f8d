"""Sentences as vectors: what a picture's vector is compared with."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dialog.reading.batching import pad_rows
from models.device import device_of
from models.encoders.text import TextEncoder

MAX_TOKENS = 62


@torch.inference_mode()
def caption_vectors(texts: Sequence[str], encoder: TextEncoder, *, batch: int = 256) -> Tensor:
    """One vector a text, (N, D) float32 of length 1, on the CPU: the mean over its tokens, the opening and closing ones
    included, as the sentence models of the MiniLM family were trained (Reimers and Gurevych 2019, section 3)."""
    tokens = encoder.tokenize(list(texts), MAX_TOKENS)
    sequences = [[encoder.start_id, *ids, encoder.separator_id] for ids in tokens]
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    vectors = torch.zeros(len(sequences), encoder.d_model, device="cpu")
    device = device_of(encoder)
    for begin in range(0, len(order), batch):
        rows = order[begin : begin + batch]
        ids, mask = pad_rows([torch.tensor(sequences[i], device=device) for i in rows])  # (B, T)
        owner = torch.arange(len(rows), device=device)[:, None].expand_as(ids).masked_fill(~mask, -1)
        vectors[rows] = encoder(ids, mask, owner, len(rows)).cpu()
    return F.normalize(vectors, dim=-1)


def class_sentence(name: str) -> str:
    """The sentence that stands for a class, in training too."""
    return f"a photo of a {name.replace('_', ' ').lower()}"
