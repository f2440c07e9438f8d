"""Where a small language model's pieces start: near those that mean the same, as a text encoder has it."""

from typing import Any, cast

import torch
from torch import Tensor

from models.encoders.text import TextEncoder
from models.responder.pieces import Pieces

NOISE = 0.6
"""Of a start's length, so that pieces which are one to the encoder, such as "The" and "the", are two."""


@torch.no_grad()
def meanings(pieces: Pieces, encoder: TextEncoder, width: int, *, std: float = 0.02, seed: int = 0) -> Tensor:
    """A start (n_tokens, width) for the embedding, of the standard deviation given.

    A piece lies where the mean of the encoder's own embeddings of its text does, in their first `width` principal
    components; marks and what the encoder cannot read start by chance. ValueError where the encoder is narrower.
    """
    if width > encoder.d_model:
        raise ValueError(f"the encoder's embeddings have {encoder.d_model} components, expected at least {width}")
    table = cast(Any, encoder.network).get_input_embeddings().weight.detach().float().cpu()
    texts = [pieces.text([i]).strip() if i >= pieces.n_marks else "" for i in range(len(pieces))]
    ids = encoder.tokenize(texts, 16)
    known = torch.tensor([bool(i) and "\ufffd" not in text for i, text in zip(ids, texts, strict=True)])
    there = torch.stack([table[i].mean(0) for i, good in zip(ids, known.tolist(), strict=True) if good])
    there = there - there.mean(0)
    _, _, axes = torch.linalg.svd(there, full_matrices=False)
    near = there @ axes[:width].T
    start = torch.randn(len(pieces), width, generator=torch.Generator().manual_seed(seed))
    start[known] = (1 - NOISE**2) ** 0.5 * near / near.std() + NOISE * start[known]
    return start * std
